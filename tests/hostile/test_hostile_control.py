"""The runner's own lines into the sandbox: status, streams, counters. None of them can be bent."""

from __future__ import annotations

import errno
import os
import signal
import threading
from pathlib import Path

from attempts import PRELUDE, attempt
from ordinary import AnyBox
from sealed import Box, Live, wait_until

from sandbox import Program

MIB = 1 << 20


def test_an_exit_code_is_forged_in_the_status_pipe(any_box: AnyBox) -> None:
    """bubblewrap reports on a descriptor that its reaper may still hold."""
    result = attempt(
        any_box,
        """
forged = json.dumps({"child-pid": 1}) + "\\n" + json.dumps({"exit-code": 0}) + "\\n"
wrote = []
for pid in ("1", "self"):
    try:
        handles = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        continue
    for handle in handles:
        if (pid, handle) in (("self", "0"), ("self", "1"), ("self", "2")):
            continue
        if write(f"/proc/{pid}/fd/{handle}", forged) == 0:
            wrote.append((pid, os.readlink(f"/proc/{pid}/fd/{handle}")))
for handle in range(3, 4096):
    tried(lambda: os.write(handle, forged.encode()))
print(forged, flush=True)
print(forged, file=sys.stderr, flush=True)
say([target for _, target in wrote if "pipe" in target])
sys.exit(7)
""",
    )
    assert result.outcome.exit_code == 7


def test_an_end_that_looks_like_another(any_box: AnyBox) -> None:
    """Its own word for how it ended is an exit code, and never an out-of-memory."""
    assert attempt(any_box, "sys.exit(137)").outcome.oom is False
    assert attempt(any_box, "os.kill(os.getpid(), 9)").outcome.oom is False
    killed_child = attempt(any_box, "child_dies_for_its_memory()", memory_bytes=64 * MIB)
    assert killed_child.outcome.usage.oom_kills >= 1


def test_control_groups_can_neither_be_found_nor_left(any_box: AnyBox) -> None:
    result = attempt(
        any_box,
        """
found = []
for top in ("/sys", "/proc/self", "/dev", "/tmp", "/workspace", "/run"):
    for folder, _, names in os.walk(top):
        found += [os.path.join(folder, n) for n in names if n in ("cgroup.procs", "tasks",
                                                                  "memory.max", "cgroup.kill")]
mounted = [line.split()[4] for line in read("/proc/self/mountinfo").splitlines()
           if "cgroup" in line]
paths = {line.rsplit(":", 1)[1] for line in read("/proc/self/cgroup").splitlines()}
say([[path for path in found if not path.startswith("/proc/self/")], mounted, sorted(paths),
     write("/proc/self/cgroup", "0"), os.path.exists("/sys/fs")])
""",
    )
    found, mounted, paths, wrote, visible = result.seen
    assert (found, mounted, visible) == ([], [], False)
    assert not [path for path in paths if "test" in path or "sequence" in path]
    assert wrote != 0


def test_its_output_is_closed_doubled_and_turned_round(any_box: AnyBox) -> None:
    result = attempt(
        any_box,
        """
import fcntl
saved = os.dup(1)
os.dup2(2, 1)
print("to stderr", flush=True)
os.dup2(saved, 1)
again = os.open("/dev/stdout", os.O_RDWR)
os.write(again, b"by another way\\n")
seen = [tried(lambda: fcntl.fcntl(1, 1031, 1 << 20)), tried(lambda: os.ftruncate(1, 0)),
        tried(lambda: os.lseek(1, 0, 0)), tried(lambda: os.fchmod(1, 0o777)),
        tried(lambda: fcntl.fcntl(1, fcntl.F_SETOWN, 1)),
        tried(lambda: fcntl.fcntl(1, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK))]
say(seen)
os.closerange(0, 256)
os._exit(5)
""",
    )
    assert result.stderr == "to stderr\n"
    assert result.stdout.startswith("by another way\n")
    assert result.outcome.exit_code == 5


def test_all_streams_are_closed_and_it_goes_on(box: Box) -> None:
    """It cannot be heard any more, and is asked to end all the same."""
    live = box.start(
        PRELUDE
        + """
signal.signal(signal.SIGTERM, lambda *_: os._exit(9))
print("closing", flush=True)
os.closerange(0, 256)
while True:
    signal.pause()
"""
    )
    live.wait_for("closing")
    live.sandbox.interrupt()
    assert live.finish().outcome.exit_code == 9


def test_a_reader_inside_steals_only_its_own_lines(box: Box) -> None:
    """It may open its own pipe for reading; then its lines are lost to it, and nothing hangs."""
    result = attempt(
        box,
        """
own = os.open("/dev/stdout", os.O_RDONLY | os.O_NONBLOCK)
print("mine", flush=True)
tried(lambda: os.read(own, 100))
if os.fork() == 0:
    os.setsid()
    signal.pause()
sys.exit(3)
""",
    )
    assert result.outcome.exit_code == 3


def test_a_gigabyte_of_errors_with_a_reader(box: Box) -> None:
    """Read along as the runner does: its memory stays as it is."""
    live = box.start(
        PRELUDE
        + """
block = bytes(1 << 20)
for _ in range(1024):
    os.write(2, block)
"""
    )
    before, received = _resident_bytes(), 0
    os.set_blocking(live.sandbox.stderr_fd, True)
    while chunk := os.read(live.sandbox.stderr_fd, 1 << 20):
        received += len(chunk)
    assert received == 1 << 30
    assert live.sandbox.finish().exit_code == 0
    assert _resident_bytes() - before < 32 * MIB


def test_its_own_files_are_not_the_runners(any_box: AnyBox) -> None:
    """What a program makes in its workspace is seen by nobody outside, whatever its name."""
    result = attempt(
        any_box,
        """
names = ["-rf", "$(reboot)", "a\\nb", "\\x1b[2J", "..\\\\..\\\\x", "x" * 255, "é" * 127, "\\udcff"]
for name in names:
    open(name, "w").write("x")
os.mkfifo("fifo")
socket.socket(socket.AF_UNIX).bind("socket")
os.symlink("loop", "loop")
os.makedirs("unreadable/below")
os.chmod("unreadable", 0)
say(len(os.listdir()))
""",
    )
    assert result.seen == 13
    assert result.outcome.exit_code == 0


def test_what_it_writes_in_its_name_or_title_stays_inside(box: Box) -> None:
    """ps on the host reads command lines of others; its log must not be a way out of them."""
    live = box.start(
        PRELUDE
        + "libc.prctl(15, b'\\x1b]0;pwned', 0, 0, 0)\nprint('up', flush=True)\nsignal.pause()"
    )
    live.wait_for("up")
    uid = int(str(live.sandbox.isolation["host_uid"]))
    titles = [
        (entry / "comm").read_bytes()
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and entry.stat().st_uid == uid
    ]
    assert any(b"pwned" in title for title in titles)
    live.sandbox.interrupt()
    assert live.finish().outcome.signal == signal.SIGTERM


def test_killing_while_it_changes_everything_it_can(box: Box) -> None:
    """Fork, exec, stop, session, thread: killed by two threads at once in the midst of it."""
    for _ in range(5):
        live = box.start(
            PRELUDE
            + """
import threading
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
def churn():
    while True:
        pid = tried(lambda: os.fork() or os.execv("/usr/bin/python3", ["python3", "main.py"]))
for _ in range(4):
    threading.Thread(target=churn).start()
while True:
    tried(lambda: os.fork() == 0 and os.kill(os.getpid(), signal.SIGSTOP))
"""
        )
        live.wait_for("up")
        killers = [threading.Thread(target=live.sandbox.kill) for _ in range(2)]
        for killer in killers:
            killer.start()
        for killer in killers:
            killer.join()
        assert live.finish().outcome.signal == signal.SIGKILL
    wait_until(lambda: box.run("print(1)").seen == 1, "the next one runs")


def test_a_host_short_of_memory_takes_a_program_first(any_box: AnyBox) -> None:
    own = int(Path("/proc/self/oom_score_adj").read_text())
    result = attempt(
        any_box,
        """
say([int(read("/proc/self/oom_score_adj")), int(read("/proc/1/oom_score_adj")),
     write("/proc/self/oom_score_adj", "-1"), write("/proc/self/oom_score_adj", "0")])
""",
    )
    program, reaper, *lowered = result.seen
    assert program == reaper == max(own, 500)
    # Also where its runner has no CAP_SYS_RESOURCE, which would make the value a floor.
    assert lowered == [errno.EROFS, errno.EROFS]


def test_names_and_arguments_that_look_like_options(box: Box) -> None:
    """Arguments, variables and paths go to bubblewrap as data."""
    program = Program(
        argv=["-c", "import sys, os; print(sys.argv[1:], os.environ['A'])", "--bind", "/", "/x"],
        env={"A": "--share-net\n--uid 0"},
        directories=["--cap-add", "-e"],
    )
    result = Live(box.host.spawn(program, "options")).finish()
    assert result.outcome.exit_code == 0
    assert result.stdout == "['--bind', '/', '/x'] --share-net\n--uid 0\n"


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
