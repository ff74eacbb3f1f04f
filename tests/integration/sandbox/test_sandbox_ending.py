"""Asking a program to end, killing its tree, and what is left afterwards: nothing."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sealed import Box, Live, group_directories, processes_of_uids, wait_until
from support.groups import control_groups

from sandbox import ApiRelay, Host, HostConfig, Program, SandboxError, SandboxUnavailableError

ROOT = Path(__file__).parents[3]


def test_interrupt_reaches_the_program_and_is_caught(box: Box) -> None:
    live = box.start(
        """
        import signal, sys
        def bye(number, frame):
            print("bye")
            sys.exit(0)
        signal.signal(signal.SIGTERM, bye)
        print("up")
        while True:
            signal.pause()
        """
    )
    live.wait_for("up")
    live.sandbox.interrupt()
    result = live.finish()
    assert result.stdout == "up\nbye\n"
    assert (result.outcome.exit_code, result.outcome.signal) == (0, None)


def test_interrupt_right_after_spawn_is_not_lost(box: Box) -> None:
    for _ in range(10):  # it meets bubblewrap's child, the interpreter's start or the program
        live = box.start("import signal\nsignal.pause()")
        live.sandbox.interrupt()
        assert live.finish().outcome.signal == signal.SIGTERM


def test_interrupt_goes_to_the_first_process_alone(box: Box) -> None:
    live = box.start(
        """
        import os, signal, sys
        child = os.fork()
        if child == 0:
            signal.pause()
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        print("up")
        signal.sigwait([signal.SIGTERM])
        print("child lives" if os.waitpid(child, os.WNOHANG) == (0, 0) else "child died")
        """
    )
    live.wait_for("up")
    live.sandbox.interrupt()
    assert live.finish().stdout.endswith("child lives\n")


STUBBORN = {
    "ignores SIGTERM": """
        import signal
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("up")
        while True:
            signal.pause()
        """,
    "double fork": """
        import os, signal
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.close(1); os.close(2)
                signal.pause()
            os._exit(0)
        os.wait()
        print("up")
        signal.pause()
        """,
    "stopped": """
        import os, signal
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = os.fork()
        if child == 0:
            os.kill(os.getpid(), signal.SIGSTOP)
        os.waitpid(child, os.WUNTRACED)
        print("up")
        os.kill(os.getpid(), signal.SIGSTOP)
        """,
    "fork bomb": """
        import os, signal
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("up")
        while True:
            try:
                os.fork()
            except OSError:
                pass
        """,
}


@pytest.mark.parametrize("source", STUBBORN.values(), ids=STUBBORN.keys())
def test_kill_ends_the_whole_tree(box: Box, source: str) -> None:
    live = box.start(source)
    live.wait_for("up")
    live.sandbox.interrupt()
    uid = int(str(live.sandbox.isolation["host_uid"]))
    assert processes_of_uids(uid, uid)
    live.sandbox.kill()
    wait_until(lambda: not processes_of_uids(uid, uid), "its processes are gone")
    outcome = live.finish().outcome
    assert outcome.exit_code == 128 + outcome.signal if outcome.signal else False
    assert not outcome.oom


def test_kill_from_another_thread_while_one_waits(box: Box) -> None:
    live = box.start("import signal\nprint('up')\nsignal.pause()")
    live.wait_for("up")
    killer = threading.Thread(target=live.sandbox.kill)
    killer.start()
    outcome = live.sandbox.finish()
    killer.join()
    assert outcome.signal == signal.SIGKILL


def test_a_background_process_ends_with_the_program(box: Box) -> None:
    live = box.start("import os, time\nif os.fork() == 0:\n    time.sleep(3600)\nprint('out')")
    uid = int(str(live.sandbox.isolation["host_uid"]))
    assert live.finish().outcome.exit_code == 0  # long before the background's hour is over
    wait_until(lambda: not processes_of_uids(uid, uid), "its processes are gone")


def test_the_sandbox_ends_with_the_thread_that_started_it(box: Box) -> None:
    started: list[Live] = []
    thread = threading.Thread(
        target=lambda: started.append(box.start("import signal; signal.pause()"))
    )
    thread.start()
    thread.join()
    assert started[0].finish().outcome.signal == signal.SIGKILL


RUNNER = """
import sys
from sandbox import Host, HostConfig, Program
host = Host.open(HostConfig(name=sys.argv[1], first_uid=int(sys.argv[2]), ready_slots=1))
program = Program(argv=["-c", "import signal; print('up'); signal.pause()"])
boxes = [host.spawn(program, f"run-{n}") for n in range(3)]
print(host.netd_pid, flush=True)
boxes[0].finish()
"""


@contextlib.contextmanager
def killing(*processes: subprocess.Popen[Any]) -> Iterator[None]:
    """A test that fails is not held up by what it started."""
    try:
        yield
    finally:
        for process in processes:
            process.kill()


def test_all_ends_when_the_runner_is_killed() -> None:
    name, first_uid = f"killed-{os.getpid()}", 320_000
    command = [sys.executable, "-c", RUNNER, name, str(first_uid)]
    with (
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as runner,
        killing(runner),
    ):
        assert runner.stdout is not None
        netd_pid = int(runner.stdout.readline())
        assert len(processes_of_uids(first_uid, first_uid + 9)) >= 6
        runner.kill()
    wait_until(lambda: not processes_of_uids(first_uid, first_uid + 9), "sandboxes gone")
    wait_until(lambda: not Path(f"/proc/{netd_pid}").exists(), "netd gone")
    assert group_directories(name) == []
    Host.open(HostConfig(name=name, first_uid=first_uid, ready_slots=1)).close()


def test_left_overs_of_a_predecessor_are_swept() -> None:
    """Runner and netd were killed at once, and one process had escaped PR_SET_PDEATHSIG."""
    name, first_uid = f"swept-{os.getpid()}", 330_000
    command = [sys.executable, "-c", RUNNER, name, str(first_uid)]
    with (
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as runner,
        subprocess.Popen(["sleep", "600"]) as orphan,
        killing(runner, orphan),
    ):
        assert runner.stdout is not None
        netd_pid = int(runner.stdout.readline())
        for directory in group_directories(name):
            if directory.name == "run-1":
                (directory / "cgroup.procs").write_text(str(orphan.pid))
        runner.send_signal(signal.SIGSTOP)  # so that it starts no other netd
        os.kill(netd_pid, signal.SIGKILL)
        runner.kill()
        runner.wait()
        assert orphan.poll() is None
        second = Host.open(HostConfig(name=name, ready_slots=1, first_uid=first_uid))
        assert orphan.wait(timeout=60) == -signal.SIGKILL
    assert group_directories(name) == []
    second.close()
    assert control_groups(f"sequence-{name}") == []


@pytest.mark.usefixtures("host")
def test_a_name_is_one_runners(host_config: HostConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.host._LOCK_TIMEOUT_S", 0.2)
    with pytest.raises(SandboxUnavailableError, match="is alive on this host"):
        Host.open(host_config)


def test_close_kills_what_still_runs() -> None:
    host = Host.open(HostConfig(name=f"closed-{os.getpid()}", ready_slots=1, first_uid=340_000))
    sandbox = host.spawn(Program(argv=["-c", "import signal; signal.pause()"]), "run")
    host.close()
    wait_until(lambda: not processes_of_uids(340_000, 340_009), "its processes are gone")
    assert sandbox.finish().signal == signal.SIGKILL


def test_a_set_up_that_fails_is_our_fault_and_leaves_nothing(
    box: Box, host: Host, host_config: HostConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.bwrap._seal", lambda: iter(["--ro-bind", "/nonexistent", "/x"]))
    with pytest.raises(SandboxError, match=r"could not be set up: bwrap: .*nonexistent"):
        box.run("print('never')")
    assert group_directories(host_config.name) == []
    assert len(host._free) == host_config.slots


def test_the_shim_fails_closed_when_it_cannot_join(
    box: Box, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = host._tree.create

    def create_elsewhere(run_name, limits):  # type: ignore[no-untyped-def]
        group = create(run_name, limits)
        monkeypatch.setattr(
            type(group), "join_files", property(lambda _: [Path("/sys/fs/cgroup/no/procs")])
        )
        return group

    monkeypatch.setattr(host._tree, "create", create_elsewhere)
    with pytest.raises(SandboxError, match=r"could not be set up: .*no/procs"):
        box.run("print('never')")


def _open_files() -> int:
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


def _open_files_of(pid: int) -> int:
    with contextlib.suppress(FileNotFoundError):
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return 0


def test_a_hundred_runs_leak_nothing() -> None:
    config = HostConfig(
        name=f"leaks-{os.getpid()}",
        api=ApiRelay("127.0.0.1", 9),
        ready_slots=2,
        slots=4,
        first_uid=350_000,
    )
    host = Host.open(config)
    box = Box(host)
    box.run("pass")
    wait_until(lambda: host._network._ready.qsize() == 2, "pool full")
    before, netd_before = _open_files(), _open_files_of(host.netd_pid)
    threads = threading.active_count()
    for number in range(100):
        outcome = box.run(f"raise SystemExit({number % 3})").outcome
        assert outcome.exit_code == number % 3
    wait_until(lambda: host._network._ready.qsize() == 2, "pool full")
    wait_until(lambda: _open_files_of(host.netd_pid) <= netd_before, "netd's descriptors")
    wait_until(lambda: _open_files() <= before, "our descriptors")
    assert threading.active_count() == threads
    assert group_directories(config.name) == []
    wait_until(lambda: not processes_of_uids(350_000, 350_009), "its processes are gone")
    netd_pid = host.netd_pid
    host.close()
    assert not Path(f"/proc/{netd_pid}").exists()
    assert control_groups(f"sequence-{config.name}") == []


def test_a_successor_waits_for_its_predecessor_to_close() -> None:
    """Restarts overlap: the second opens while the first still clears away, and both are whole."""
    config = HostConfig(name=f"relay-race-{os.getpid()}", ready_slots=1, first_uid=370_000)
    first = Host.open(config)
    opened: list[Host] = []
    successor = threading.Thread(target=lambda: opened.append(Host.open(config)))
    successor.start()
    first.close()
    successor.join()
    assert Box(opened[0]).run("print(1)").seen == 1
    opened[0].close()
    with pytest.raises(SandboxError, match="is closed"):
        opened[0].spawn(Program(argv=["-c", "pass"]), "late")
    assert control_groups(f"sequence-{config.name}") == []
