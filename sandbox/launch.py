"""Start one sandbox: prepare its pieces, run the chain, wait until the program exists."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sandbox import bwrap, cgroups, chain
from sandbox.config import ApiRelay
from sandbox.errors import SandboxError
from sandbox.locks import LockCount, open_count
from sandbox.network.refusals import Refusal
from sandbox.payload import Payload
from sandbox.program import Limits, Program
from sandbox.running import Parts, Sandbox
from sandbox.runtime import Runtime
from sandbox.scratch import Scratch, open_scratch
from sandbox.status import Started, StatusPipe, open_started, wait_readable

_POLL_S = 0.001
_LOWEST_FD = 2048  # and all files of a workspace above it: below what `checks` asks for
_NAMESPACES = ("user", "pid", "ipc", "uts", "mount", "net", "cgroup")


@dataclass(frozen=True)
class Equipment:
    """What all runs of a host share."""

    tools: chain.Tools
    runtime: Runtime
    api: ApiRelay | None
    seccomp: bytes
    cgroup_version: str
    start_timeout_s: float
    kill_timeout_s: float
    python_version: str = ""  # known after the trial run


@dataclass(frozen=True)
class Place:
    """What one run has for itself. `uid` None: it runs with the runner's own. `network`: what it
    may reach, for the record; `network_ready` waits until that is in force. `in_time` raises when
    the run may not begin any more; `was_killed`: whether it was not let live to its end."""

    group: cgroups.RunGroup
    network_fd: int
    user_fd: int | None
    uid: int | None
    network: Mapping[str, object]
    network_ready: Callable[[], None]
    refusals: Callable[[], list[Refusal]]
    release: Callable[[], None]
    in_time: Callable[[], None]
    was_killed: Callable[[], bool]


@dataclass
class _Streams:
    """Pipes of one run: `outer` ends are ours and non-blocking, `inner` ones go into the chain."""

    outer: list[int] = field(default_factory=list)
    inner: list[int] = field(default_factory=list)

    def open(self, uid: int | None) -> None:
        outer, inner = os.pipe2(os.O_CLOEXEC)
        self.outer.append(outer)
        self.inner.append(inner)
        os.set_blocking(outer, False)
        if uid is not None:
            os.fchown(inner, uid, uid)  # so that a program may open /dev/stdout again

    def close_inner(self) -> None:
        _close_all(self.inner)

    def close(self) -> None:
        _close_all(self.inner)
        _close_all(self.outer)


def launch(run_name: str, program: Program, equipment: Equipment, place: Place) -> Sandbox:
    """Start `program` in `place`; returns when its first process exists (or has ended already).

    Raises `SandboxError` when the set-up failed; nothing of it is then left but the empty group.
    """
    with contextlib.ExitStack() as undo:
        streams = _Streams()
        undo.callback(streams.close)
        for uid in (place.uid, place.uid, None):
            streams.open(uid)
        stdout_fd, stderr_fd, status_fd = streams.outer
        process = _start(program, equipment, place, streams.inner)
        streams.close_inner()
        exit_fd = os.pidfd_open(process.pid)
        undo.callback(os.close, exit_fd)
        undo.callback(_abandon, process, place.group, equipment.kill_timeout_s)
        status = StatusPipe(status_fd)
        started = _await_start(status, exit_fd, equipment.start_timeout_s)
        if started is None and status.exit_code is None and not place.group.usage().oom_kills:
            raise SandboxError(f"the sandbox could not be set up: {_last_words(stderr_fd)}")
        limits = program.limits
        scratch, lock_count = _look_inside(status, started)
        undo.callback(scratch.close)
        undo.callback(lock_count.close)
        inodes_limited = scratch.limit_inodes(limits.inodes_max)
        place.group.limit_cpu(max(limits.start_cpu_millis, limits.cpu_millis))
        undo.pop_all()
    return Sandbox(
        run_name,
        Parts(
            process=process,
            group=place.group,
            status=status,
            stdout_fd=stdout_fd,
            stderr_fd=stderr_fd,
            exit_fd=exit_fd,
            started=started,
            scratch=scratch,
            lock_count=lock_count,
            cpu_millis=limits.cpu_millis,
            memory_bytes=limits.memory_bytes,
            isolation={
                **_isolation(limits, equipment, place),
                "inodes_max": limits.inodes_max if inodes_limited else None,
            },
            kill_timeout_s=equipment.kill_timeout_s,
            refusals=place.refusals,
            release=place.release,
            was_killed=place.was_killed,
        ),
    )


def _start(
    program: Program, equipment: Equipment, place: Place, inner: list[int]
) -> subprocess.Popen[bytes]:
    stdout, stderr, status = inner
    entry = chain.Entry(
        join_files=place.group.join_files,
        open_files=program.limits.open_files,
        network_fd=place.network_fd,
        user_fd=place.user_fd,
        uid=place.uid,
    )
    with Payload(lowest_fd=min(program.limits.open_files, _LOWEST_FD)) as payload:
        arguments = bwrap.arguments(
            program, equipment.runtime, equipment.api, payload, equipment.seccomp
        )
        inside = bwrap.command(payload.add(arguments), status, equipment.runtime, program.argv)
        place.network_ready()
        # Last of all: from here on what the guard does to the group ends the chain.
        place.in_time()
        try:
            # An empty environment: /proc/1/environ inside shows what the chain started with.
            return subprocess.Popen(
                chain.command(equipment.tools, entry, inside),
                env={},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                pass_fds=[status, *payload.fds],
            )
        except OSError as error:
            raise SandboxError(f"the sandbox's first process did not start: {error}") from error


def _await_start(status: StatusPipe, exit_fd: int, timeout_s: float) -> Started | None:
    """Wait for the program's first process; None when all has ended already. Nothing announces a
    process, so its parent's list of children is looked at every millisecond."""
    deadline_s = time.monotonic() + timeout_s
    while not wait_readable(exit_fd, _POLL_S):
        status.read()
        if status.child_pid is not None:
            started = open_started(status.child_pid)
            if started is not None:
                return started
        if time.monotonic() > deadline_s:
            raise SandboxError(
                f"the program did not begin within {timeout_s:g} s; is the host busy?"
            )
    status.read()
    return None


def _look_inside(status: StatusPipe, started: Started | None) -> tuple[Scratch, LockCount]:
    """Empty for a program that is gone: its file systems and its locks went with it."""
    if started is None or status.child_pid is None:
        return Scratch({}), LockCount(None)
    with contextlib.ExitStack() as undo:
        scratch = open_scratch(status.child_pid)
        undo.callback(scratch.close)
        lock_count = open_count(status.child_pid)
        undo.callback(lock_count.close)
        if not wait_readable(started.pid_one_fd, 0):  # else its id may be another process's by now
            undo.pop_all()
    return scratch, lock_count


def _abandon(
    process: subprocess.Popen[bytes], group: cgroups.RunGroup, kill_timeout_s: float
) -> None:
    process.kill()  # by itself: the chain may have failed before it joined the group
    cgroups.empty(group, kill_timeout_s)
    process.wait()


def _last_words(stderr_fd: int) -> str:
    try:
        text = os.read(stderr_fd, 4096).decode(errors="replace").strip()
    except BlockingIOError:
        text = ""
    return text or "it ended without a message"


def _isolation(limits: Limits, equipment: Equipment, place: Place) -> dict[str, object]:
    """True by construction: each step of the chain ends it when it fails."""
    return {
        "namespaces": list(_NAMESPACES),
        "uid": "own" if place.uid is not None else "the runner's",
        "host_uid": place.uid if place.uid is not None else os.getuid(),
        # Only root can leave groups; an ordinary user's go with the program.
        "host_groups": [] if place.uid is not None else sorted({*os.getgroups()} - {os.getgid()}),
        "cgroup": equipment.cgroup_version,
        "cpu_millis": limits.cpu_millis,
        "memory_bytes": limits.memory_bytes,
        "pids_max": limits.pids_max,
        "network": dict(place.network),
        "seccomp": "deny list" if equipment.seccomp else "none",
        "runtime": equipment.runtime.kind,
        "python": equipment.python_version,
    }


def _close_all(fds: list[int]) -> None:
    while fds:
        os.close(fds.pop())
