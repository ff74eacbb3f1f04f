"""A run whose time is not extended dies by the guard's hand, whatever its runner does meanwhile."""

from __future__ import annotations

import os
import resource
import signal
import time

import pytest
from sealed import Box, wait_until

from sandbox import Host, Limits, Program, RunOverdueError, WorkspaceFile

STUBBORN = b"""
import os, signal
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
print("up", flush=True)
while True:
    signal.pause()
"""


def program() -> Program:
    limits = Limits(cpu_millis=500, memory_bytes=96 << 20)
    return Program(argv=("main.py",), files=[WorkspaceFile("main.py", STUBBORN)], limits=limits)


def has_ended(fd: int) -> bool:
    return bool(os.waitid(os.P_PIDFD, fd, os.WEXITED | os.WNOHANG | os.WNOWAIT))


def far_s() -> float:
    """A start takes seconds on a slow machine; a deadline that a test waits for comes after it."""
    return time.monotonic() + 600


def test_a_run_that_is_not_extended_is_killed(host: Host) -> None:
    sandbox = host.spawn(program(), "guarded", far_s())
    until_s = time.monotonic() + 0.2
    host.extend(["guarded"], until_s)
    wait_until(lambda: has_ended(sandbox.exit_fd), "the guard kills it")
    assert time.monotonic() >= until_s
    outcome = sandbox.finish()
    assert (outcome.exit_code, outcome.overdue, outcome.oom) == (137, True, False)


def test_one_that_is_extended_lives_on(host: Host) -> None:
    kept = host.spawn(program(), "kept", far_s())
    lost = host.spawn(program(), "lost", far_s())
    first_s = time.monotonic() + 0.4
    host.extend(["kept", "lost"], first_s)
    host.extend(["kept", "unknown"], first_s + 600)
    wait_until(lambda: has_ended(lost.exit_fd), "the other one is killed")
    assert not has_ended(kept.exit_fd)
    lost.finish()
    kept.kill()
    outcome = kept.finish()
    assert (outcome.exit_code, outcome.overdue) == (137, False)


def test_an_extension_that_comes_too_late_revives_nothing(host: Host) -> None:
    sandbox = host.spawn(program(), "late", far_s())
    host.extend(["late"], time.monotonic() + 0.2)
    wait_until(lambda: has_ended(sandbox.exit_fd), "the guard kills it")
    host.extend(["late"], far_s())
    assert sandbox.finish().overdue


def test_a_start_that_comes_too_late_starts_nothing(host: Host) -> None:
    with pytest.raises(RunOverdueError, match="its time is over"):
        host.spawn(program(), "too-late", time.monotonic() - 0.001)
    again = host.spawn(program(), "in-time", far_s())
    again.kill()
    assert not again.finish().overdue


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
def test_another_guard_takes_over(host: Host, number: signal.Signals) -> None:
    before = host.guard_pid
    sandbox = host.spawn(program(), f"handed-over-{number}", far_s())
    os.kill(before, number)

    def is_replaced() -> bool:
        # As heartbeats do; a frozen one is given some time to answer.
        host.extend([sandbox.run_name], far_s())
        return host.guard_pid != before

    wait_until(is_replaced, "another guard")
    assert not has_ended(sandbox.exit_fd), "the change of guard is not the end of the runs"
    host.extend([sandbox.run_name], time.monotonic() + 0.2)
    wait_until(lambda: has_ended(sandbox.exit_fd), "the new one kills it")
    assert sandbox.finish().overdue


def test_a_run_without_a_deadline_has_none(box: Box) -> None:
    result = box.start("print('free')").finish()
    assert (result.stdout, result.outcome.overdue) == ("free\n", False)


def test_another_guard_of_a_runner_with_a_thousand_descriptors(host: Host) -> None:
    """As many as some hundred runs have; select() knows numbers below 1024 alone."""
    before = host.guard_pid
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(4096, limits[0]), max(4096, limits[1])))
    taken = [os.dup(2)]
    try:
        while taken[-1] < 1100:
            taken.append(os.dup(2))
        sandbox = host.spawn(program(), "among-many", time.monotonic() + 600)
        os.kill(before, signal.SIGKILL)

        def is_replaced() -> bool:
            host.extend([sandbox.run_name], time.monotonic() + 600)
            return host.guard_pid != before

        wait_until(is_replaced, "another guard")
        after = host.guard_pid
        host.extend([sandbox.run_name], time.monotonic() + 0.2)
        wait_until(lambda: has_ended(sandbox.exit_fd), "the new one kills it")
        assert sandbox.finish().overdue
        assert host.guard_pid == after
    finally:
        for fd in taken:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
