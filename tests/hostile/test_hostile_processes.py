"""Bombs, storms and games with signals: they end with their run, and meet nobody else."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import time
from dataclasses import replace
from typing import Any

import pytest
from attempts import PRELUDE, attempt
from ordinary import AnyBox
from sealed import Box, processes_of_uids, wait_until

from sandbox import SandboxStuckError
from sandbox.locks import MOST
from sandbox.status import open_started

BOMBS = {
    "plain": """
        while True:
            tried(os.fork)
        """,
    "sessions": """
        while True:
            tried(lambda: os.fork() == 0 and os.setsid())
        """,
    "stopped": """
        while True:
            tried(lambda: os.fork() == 0 and os.kill(os.getpid(), signal.SIGSTOP))
        """,
    "vfork": """
        os.posix_spawn("/usr/bin/python3", ["python3", "main.py"], {})
        while True:
            tried(lambda: os.posix_spawn("/usr/bin/python3", ["python3", "main.py"], {}))
        """,
    "threads": """
        import threading
        while True:
            try:
                threading.Thread(target=signal.pause, daemon=True).start()
            except RuntimeError:
                tried(os.fork)
        """,
}


@pytest.mark.parametrize("body", BOMBS.values(), ids=BOMBS)
def test_a_bomb_stays_within_its_count_and_dies_at_once(box: Box, body: str) -> None:
    live = box.start(
        PRELUDE
        + "for number in (1, 2, 3, 15):\n    signal.signal(number, signal.SIG_IGN)\n"
        + "print('up', flush=True)\n"
        + "\n".join(line[8:] for line in body.splitlines()),
        pids_max=60,
        cpu_millis=300,
    )
    live.wait_for("up")
    uid = int(str(live.sandbox.isolation["host_uid"]))
    wait_until(lambda: live.sandbox.usage().pids >= 50, "the bomb has gone off")
    most = live.sandbox.usage().pids
    assert attempt(box, "say(1)").seen == 1
    live.sandbox.interrupt()
    live.sandbox.kill()  # raises when it is not dead within its time-out
    assert most <= 60
    assert processes_of_uids(uid, uid) == []
    assert live.finish().outcome.signal == signal.SIGKILL


def test_zombies_are_counted_and_go_with_their_parent(any_box: AnyBox) -> None:
    result = attempt(
        any_box,
        """
count = 0
while True:
    try:
        if os.fork() == 0:
            os._exit(0)
        count += 1
    except OSError as error:
        say([count, error.errno])
        break
""",
        pids_max=40,
    )
    count, number = result.seen
    assert 30 < count <= 40
    assert number == errno.EAGAIN


def test_orphans_are_reaped(box: Box) -> None:
    """Four hundred of them within a limit of twenty: nobody but pid 1 can have waited for them."""
    result = attempt(
        box,
        """
def orphan():
    while True:
        try:
            if os.fork() == 0:
                os._exit(0)
            return
        except BlockingIOError:
            time.sleep(0.001)
for number in range(100):
    pid = os.fork()
    if pid == 0:
        for _ in range(4):
            orphan()
        os._exit(0)
    os.waitpid(pid, 0)
say(number)
""",
        pids_max=20,
    )
    assert result.seen == 99


def test_its_first_process_cannot_be_killed_from_inside(any_box: AnyBox) -> None:
    result = attempt(
        any_box,
        """
for number in range(1, 65):
    if number not in (32, 33):
        for _ in range(20):
            os.kill(1, number)
say(read("/proc/1/status").splitlines()[0].split()[1])
""",
    )
    assert result.seen == "bwrap"
    assert result.outcome.exit_code == 0


def test_a_storm_at_everybody_reaches_only_its_own(any_box: AnyBox) -> None:
    with subprocess.Popen(["sleep", "300"]) as bystander:
        result = attempt(
            any_box,
            f"""
for number in range(1, 65):
    if number not in (9, 17, 19, 32, 33):
        tried(lambda: signal.signal(number, signal.SIG_IGN))
children = []
for _ in range(5):
    pid = os.fork()
    if pid == 0:
        signal.pause()
    children.append(pid)
hit = [tried(lambda: os.kill({bystander.pid}, 9)), tried(lambda: os.kill({os.getpid()}, 9)),
       tried(lambda: os.killpg({os.getpgrp()}, 9)), tried(lambda: os.pidfd_open({bystander.pid}))]
os.kill(-1, signal.SIGKILL)
say([hit, [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]])
""",
        )
        assert bystander.poll() is None
        bystander.kill()
    hit, ended = result.seen
    assert set(hit) == {errno.ESRCH}
    assert ended == [-signal.SIGKILL] * 5


def test_its_own_process_group_is_not_the_runners(any_box: AnyBox) -> None:
    outcome = attempt(any_box, "os.killpg(0, signal.SIGKILL)").outcome
    assert (outcome.signal, outcome.oom) == (signal.SIGKILL, False)


def test_a_process_of_the_host_with_the_same_uid(box: Box) -> None:
    """The worst neighbour: another process of the very user id that the sandbox runs with."""
    live = box.start(PRELUDE + "print('up', flush=True)\nsys.stdin = None\nsignal.pause()")
    live.wait_for("up")
    uid = int(str(live.sandbox.isolation["host_uid"]))
    other: dict[str, Any] = {"user": uid, "group": uid, "extra_groups": []}
    # An ordinary runner's own user id it is there.
    with subprocess.Popen(["sleep", "300"], **({} if uid == os.geteuid() else other)) as bystander:
        # The uids go round: this one is the next run's after those of the other slots.
        for _ in range(8):
            attempt(
                box,
                f"""
tried(lambda: os.kill({bystander.pid}, 9))
tried(lambda: os.kill(-1, 9))
call(libc.ptrace, 16, {bystander.pid}, 0, 0)
os.setpriority(os.PRIO_USER, 0, 19)
""",
            )
        was_alive = bystander.poll() is None
        priority = os.getpriority(os.PRIO_PROCESS, bystander.pid)
        bystander.kill()
    assert was_alive
    assert priority == os.getpriority(os.PRIO_PROCESS, 0)
    live.sandbox.kill()
    live.finish()


def test_death_signals_subreapers_and_undumpable_processes(box: Box) -> None:
    """It hides from /proc and catches its orphans; asking it to end and killing it still work."""
    live = box.start(
        PRELUDE
        + """
libc.prctl(4, 0, 0, 0, 0)
libc.prctl(36, 1, 0, 0, 0)
libc.prctl(1, 9, 0, 0, 0)
libc.prctl(15, b"systemd", 0, 0, 0)
if os.fork() == 0:
    os.setsid()
    libc.prctl(1, 0, 0, 0, 0)
    os.kill(os.getpid(), signal.SIGSTOP)
asked = []
signal.signal(signal.SIGTERM, lambda *_: print("asked", flush=True))
print("up", flush=True)
while True:
    signal.pause()
"""
    )
    live.wait_for("up")
    live.sandbox.interrupt()
    live.wait_for("asked")
    uid = int(str(live.sandbox.isolation["host_uid"]))
    live.sandbox.kill()
    assert processes_of_uids(uid, uid) == []
    assert live.finish().outcome.signal == signal.SIGKILL


def test_limits_and_memory_preference_of_its_first_process(any_box: AnyBox) -> None:
    """It may spoil its own reaper: then its run ends, and is not taken for out of memory."""
    outcome = attempt(
        any_box,
        """
import resource
tried(lambda: resource.prlimit(1, resource.RLIMIT_NOFILE, (0, 0)))
write("/proc/1/oom_score_adj", "1000")
try:
    resource.prlimit(1, resource.RLIMIT_CPU, (0, 0))
except (OSError, ValueError):
    pass
say(0)
sys.exit(7)
""",
    ).outcome
    assert not outcome.oom
    assert (outcome.exit_code, outcome.signal) in ((7, None), (137, 9), (152, 24))


def test_priorities_and_real_time(any_box: AnyBox) -> None:
    result = attempt(
        any_box,
        """
deadline = ctypes.create_string_buffer((48).to_bytes(4, "little") + (6).to_bytes(4, "little")
    + bytes(16) + (10**6).to_bytes(8, "little") * 3)
say([tried(lambda: os.nice(-5)), tried(lambda: os.setpriority(os.PRIO_PROCESS, 1, -20)),
     tried(lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))),
     tried(lambda: os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))),
     syscall(314, 0, deadline, 0), syscall(251, 1, 0, 1 << 13)])
""",
    )
    assert 0 not in result.seen[:5], result.seen
    assert set(result.seen) <= {errno.EPERM, errno.EACCES}


def test_burners_on_every_core_share_one_quota(box: Box) -> None:
    live = box.start(
        PRELUDE
        + """
for _ in range(7):
    if os.fork() == 0:
        break
tried(lambda: os.sched_setaffinity(0, range(os.cpu_count())))
print("up", flush=True)
while True:
    pass
""",
        cpu_millis=200,
    )
    live.wait_for("up")
    # In this order: what a busy host puts in between makes the time longer, not shorter.
    begun_s = time.monotonic()
    before = live.sandbox.usage().cpu_s
    wait_until(
        lambda: time.monotonic() - begun_s > 1.0 and live.sandbox.usage().throttled_s > 0,
        "a second has passed, and a share was used up",
    )
    usage, taken_s = live.sandbox.usage(), time.monotonic() - begun_s
    live.sandbox.kill()
    live.finish()
    assert usage.cpu_s - before < 0.2 * taken_s + 0.15
    assert usage.throttled_s > 0


def test_timers_and_queued_signals(any_box: AnyBox) -> None:
    """Their number is a user's, so a root runner's strategies cannot take each other's."""
    result = attempt(
        any_box,
        """
import resource
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGRTMIN})
queued = 0
info = ctypes.create_string_buffer(128)
ctypes.c_int.from_buffer(info, 0).value = signal.SIGRTMIN
ctypes.c_int.from_buffer(info, 8).value = -1
while queued < 300_000 and syscall(129, os.getpid(), signal.SIGRTMIN, info) == 0:
    queued += 1
timer, timers = ctypes.c_int(), 0
while timers < 50_000 and syscall(222, 1, None, ctypes.byref(timer)) == 0:
    timers += 1
say([queued, timers, resource.getrlimit(resource.RLIMIT_SIGPENDING)[0]])
""",
        memory_bytes=96 << 20,
    )
    if result.outcome.exit_code == 0:
        queued, timers, most = result.seen
        assert queued + timers <= most + 1
    else:
        assert result.outcome.oom


def test_a_timer_every_microsecond(box: Box) -> None:
    """It does not come to its own next line any more; others do, and it can be ended."""
    live = box.start(
        PRELUDE
        + """
signal.signal(signal.SIGALRM, lambda *_: None)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
signal.setitimer(signal.ITIMER_REAL, 1e-6, 1e-6)
while True:
    pass
""",
        cpu_millis=500,
    )
    live.wait_for("up")
    assert attempt(box, "say(1)").seen == 1
    live.sandbox.interrupt()
    live.sandbox.kill()
    assert live.finish().outcome.signal == signal.SIGKILL


def test_an_endless_chain_of_programs(box: Box) -> None:
    """Each replaces the one before: asking and killing still find it."""
    live = box.start(
        PRELUDE
        + "signal.signal(15, signal.SIG_IGN)\nprint('up', flush=True)\n"
        + "os.execv('/usr/bin/python3', ['python3', 'main.py'])"
    )
    live.read_until(lambda: live.stdout.count("up") >= 3)
    live.sandbox.interrupt()
    live.sandbox.kill()
    assert live.finish().outcome.signal == signal.SIGKILL


def test_a_program_that_ends_before_it_is_seen(any_box: AnyBox) -> None:
    for _ in range(5):
        outcome = attempt(any_box, "os.kill(os.getpid(), signal.SIGKILL)").outcome
        assert (outcome.signal, outcome.oom) == (signal.SIGKILL, False)


def test_hundreds_of_processes_without_a_share_of_the_processor_die_in_time(box: Box) -> None:
    """Each takes processor time to die: at 10 millis they took 19 s, and the kill gave up at 10."""
    live = box.start(
        PRELUDE
        + """
for child in range(240):
    if os.fork() == 0:
        signal.pause()
print("forked", flush=True)
signal.pause()
""",
        start_cpu_millis=2000,
        cpu_millis=10,
        pids_max=256,
    )
    live.wait_for("forked")
    live.sandbox.end_start()
    live.sandbox.kill()
    assert live.finish().outcome.exit_code == 137


def test_a_slot_comes_back_when_what_did_not_die_in_time_is_gone(box: Box) -> None:
    live = box.start("import signal; print('begun', flush=True); signal.pause()")
    live.wait_for("begun")
    sandbox, host = live.sandbox, box.host
    outside = sandbox._parts.process.pid
    sandbox._parts = replace(sandbox._parts, kill_timeout_s=-1.0)
    os.kill(outside, signal.SIGSTOP)  # bubblewrap itself: it outlives the program
    free = len(host._free)
    try:
        with pytest.raises(SandboxStuckError):
            sandbox.kill()
        time.sleep(1.2)  # the watch looks meanwhile
        assert len(host._free) == free
    finally:
        sandbox._parts = replace(sandbox._parts, kill_timeout_s=10.0)
        os.kill(outside, signal.SIGKILL)
    wait_until(lambda: len(host._free) == free + 1, "the slot is free")


def test_who_dies_slowly_holds_up_nobody_elses_kill(box: Box) -> None:
    """A process that closes one of 34,000 descriptors of a file walks along all locks in it."""
    slow = box.start(
        PRELUDE
        + """
import fcntl
for child in range(36):
    ready, say_ready = os.pipe()
    if os.fork() == 0:
        kept = [os.open("/workspace/x", os.O_CREAT | os.O_RDWR) for number in range(950)]
        os.write(say_ready, b"x")
        signal.pause()
    os.read(ready, 1)
    os.close(ready)
    os.close(say_ready)
file = open("/workspace/x", "r+b")
print("ready", flush=True)
for position in range(2 * 20000, 0, -2):
    fcntl.lockf(file, fcntl.LOCK_EX, 1, position)
signal.pause()
""",
        cpu_millis=250,
        start_cpu_millis=2000,
        open_files=1000,
    )
    slow.wait_for("ready")
    wait_until(lambda: slow.sandbox._killed_for == "locks", "its locks are too many")
    quick = attempt(
        box,
        f"""
import fcntl
file = open("/workspace/x", "wb")
for position in range(2 * {2 * MOST}, 0, -2):
    fcntl.lockf(file, fcntl.LOCK_EX, 1, position)
signal.pause()
""",
    )
    assert quick.outcome.too_many_locks
    assert slow.finish().outcome.too_many_locks


NAMES = [b"\xff\xfe", b"a\x0bSigCgt:zz", b"a\x1cNSpid:\t1\t2", b"\xc3", b"NSpid: 9 2"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_no_text(box: Box, name: bytes) -> None:
    """The runner reads it among what it wants to know of a process."""
    live = box.start(
        PRELUDE
        + f"""
signal.signal(62, lambda *_: print("asked", flush=True))
libc.prctl(15, {name!r}, 0, 0, 0)
print("named", flush=True)
while True:
    signal.pause()
"""
    )
    live.wait_for("named")
    assert live.sandbox.ask_for_stacks()
    live.wait_for("asked")
    pid_one = live.sandbox._parts.status.child_pid
    assert pid_one is not None
    started = open_started(pid_one)
    assert started is not None
    os.close(started.program_fd)
    os.close(started.pid_one_fd)
    live.sandbox.kill()
    live.finish()
