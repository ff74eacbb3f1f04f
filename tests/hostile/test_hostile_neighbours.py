"""What one run can see of another, and what an earlier one may leave for those after it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from attempts import PRELUDE, attempt
from sealed import HOSTILE_UID, Box, opened_box

from sandbox import HostConfig

TRACES = """
import subprocess
name = "left-behind"
def leave():
    for folder in ("/tmp", "/dev/shm", "/workspace", "/dev/mqueue", "/var/tmp", "/run"):
        tried(lambda: open(f"{folder}/{name}", "w").close())
    libc.shmget(4711, 4096, 0o1666)
    libc.msgget(4711, 0o1666)
    libc.semget(4711, 1, 0o1666)
    libc.syscall(240, name.encode(), 0o102, 0o666, None)
    libc.syscall(248, b"user", name.encode(), b"x", 1, -4)
    tried(lambda: os.setpriority(os.PRIO_USER, 0, 19))
    server = socket.socket(socket.AF_UNIX)
    server.bind("\\0" + name)
    server.listen()
    globals()["kept"] = server
def find():
    folders = ("/tmp", "/dev/shm", "/workspace")
    found = [folder for folder in folders if name in os.listdir(folder)]
    found += [kind for kind, call in (("shm", libc.shmget(4711, 4096, 0)),
                                      ("msg", libc.msgget(4711, 0)),
                                      ("sem", libc.semget(4711, 1, 0)),
                                      ("queue", libc.syscall(240, name.encode(), 2, 0, None)),
                                      ("key", libc.syscall(249, b"user", name.encode(), None, 0)))
              if call >= 0]
    with socket.socket(socket.AF_UNIX) as client:
        if tried(lambda: client.connect("\\0" + name)) == 0:
            found.append("socket")
    others = [pid for pid in os.listdir("/proc") if pid.isdigit() and int(pid) > 2]
    return [found, others, os.getpriority(os.PRIO_PROCESS, 0)]
"""


@pytest.fixture
def one_slot() -> Iterator[Box]:
    """A host with one slot: every run has the user id of the one before."""
    config = HostConfig(
        name=f"one-slot-{os.getpid()}", slots=1, ready_slots=1, first_uid=HOSTILE_UID + 50
    )
    with opened_box(config) as box:
        yield box


def test_an_earlier_run_of_the_same_user_id_leaves_nothing(one_slot: Box) -> None:
    left = one_slot.start(PRELUDE + TRACES + "leave()\nprint('left', find()[0], flush=True)")
    uid = left.sandbox.isolation["host_uid"]
    result = left.finish()
    for trace in ("/tmp", "/dev/shm", "shm", "msg", "sem", "socket"):
        assert f"'{trace}'" in result.stdout
    after = one_slot.start(PRELUDE + TRACES + "say(find())")
    assert after.sandbox.isolation["host_uid"] == uid
    assert after.finish().seen == [[], [], 0]


def test_a_background_process_of_an_earlier_run_is_gone(one_slot: Box) -> None:
    """It would share a user id with the next run, and could signal it from outside."""
    one_slot.run(
        PRELUDE
        + """
for _ in range(5):
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        if os.fork() == 0:
            while True:
                tried(lambda: os.kill(-1, 9))
        os._exit(0)
"""
    )
    result = one_slot.run(PRELUDE + "time.sleep(0.2)\nsay(os.listdir('/proc/2/task'))")
    assert result.outcome.exit_code == 0
    assert result.seen == ["2"]


def test_runs_at_the_same_time_see_nothing_of_each_other(box: Box) -> None:
    live = box.start(PRELUDE + TRACES + "leave()\nprint('left', flush=True)\nsignal.pause()")
    live.wait_for("left")
    assert attempt(box, TRACES + "say(find())").seen == [[], [], 0]
    live.sandbox.kill()
    live.finish()


def test_every_run_has_namespaces_of_its_own(box: Box) -> None:
    source = """
kinds = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")
print(json.dumps({kind: os.readlink(f"/proc/self/ns/{kind}") for kind in kinds}), flush=True)
signal.pause()
"""
    lives = [box.start(PRELUDE + source) for _ in range(2)]
    seen = []
    for live in lives:
        live.read_until(lambda live=live: "\n" in live.stdout)  # type: ignore[misc]
        seen.append(json.loads(live.stdout))
    seen.append({kind: str(Path(f"/proc/self/ns/{kind}").readlink()) for kind in seen[0]})
    for kind in seen[0]:
        assert len({namespaces[kind] for namespaces in seen}) == 3, kind
    for live in lives:
        live.sandbox.kill()
        live.finish()


def test_a_neighbour_is_not_found_by_its_port_name_or_address(box: Box) -> None:
    live = box.start(
        PRELUDE
        + """
server = socket.create_server(("0.0.0.0", 4711))
print("listens", flush=True)
signal.pause()
"""
    )
    live.wait_for("listens")
    result = attempt(
        box,
        """
names = ("127.0.0.1", "0.0.0.0", socket.gethostname(), "localhost", "198.18.0.1")
def knock(name):
    with socket.socket() as client:
        client.settimeout(2)
        return tried(lambda: client.connect((name, 4711)))
say([knock(name) for name in names])
""",
    )
    live.sandbox.kill()
    live.finish()
    assert 0 not in result.seen


def test_locks_on_the_shared_runtime_stop_nobody(box: Box) -> None:
    """A lock on a file of the host's that all see: whoever starts meanwhile does not wait."""
    live = box.start(
        PRELUDE
        + """
import fcntl, glob
keep = []
for path in glob.glob("/usr/lib/python3.11/*.py") + ["/usr/bin/python3", "/etc/hosts"]:
    if tried(lambda: keep.append(open(path, "rb"))) == 0:
        tried(lambda: fcntl.flock(keep[-1], fcntl.LOCK_EX | fcntl.LOCK_NB))
print("locked", flush=True)
signal.pause()
"""
    )
    live.wait_for("locked")
    assert attempt(box, "import decimal, asyncio, sqlite3\nsay(1)").seen == 1
    live.sandbox.kill()
    live.finish()


def test_one_that_takes_all_descriptors_and_processes_leaves_enough(box: Box) -> None:
    hogs = [
        box.start(
            PRELUDE
            + """
keep = []
while tried(lambda: keep.append(os.dup(0))) == 0:
    pass
for handle in keep[:4]:
    os.close(handle)
while tried(lambda: os.fork() == 0 and signal.pause()) == 0:
    pass
print("taken", flush=True)
signal.pause()
"""
        )
        for _ in range(3)
    ]
    for hog in hogs:
        hog.wait_for("taken")
    result = attempt(box, "say([len(os.pipe()), os.getpid() > 0, in_child(lambda: None)])")
    assert result.seen == [2, True, 0]
    for hog in hogs:
        hog.sandbox.kill()
        hog.finish()


def test_more_runs_than_slots_are_refused_and_take_nothing(one_slot: Box) -> None:
    live = one_slot.start(PRELUDE + "print('up', flush=True)\nsignal.pause()")
    live.wait_for("up")
    with pytest.raises(Exception, match="all 1 slots are taken"):
        one_slot.run("print('never')")
    live.sandbox.kill()
    live.finish()
    assert one_slot.run("print(1)").seen == 1
