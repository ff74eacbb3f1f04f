"""Limits that lie on the runner itself, and that every one of its sandboxes inherits."""

from __future__ import annotations

import contextlib
import os
import re
import resource
from collections.abc import Iterator
from pathlib import Path

from sandbox.config import HostConfig
from sandbox.findings import Finding, fail, ok, warn
from sandbox.program import Limits

_OPEN_FILES_AT_LEAST = 4096
_OPEN_FILES_PER_RUN = 16
_PROCESSES_AT_LEAST = 4 * Limits().pids_max
_CORE_PATTERN = Path("/proc/sys/kernel/core_pattern")
_PACED_SINCE = (6, 12)  # what the kernel logs of programs whose core dump is refused


def check_open_files(config: HostConfig) -> Iterator[Finding]:
    """The hard limit: a runner raises its soft one to it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES_AT_LEAST + _OPEN_FILES_PER_RUN * config.slots
    remedy = "ulimit -Hn 65536 before it starts (systemd: LimitNOFILE=65536)"
    if most == resource.RLIM_INFINITY or most >= wanted:
        yield ok(f"open files: {_words(most)}")
    elif most < _OPEN_FILES_AT_LEAST:
        what = f"the runner may open {most} files at most; it needs {_OPEN_FILES_AT_LEAST}"
        yield fail(what, remedy)
    else:
        yield warn(
            f"the runner may open {most} files at most; {config.slots} runs need {wanted}", remedy
        )


def check_files_of_the_host(config: HostConfig) -> Iterator[Finding]:
    """Open files are counted for each process, and once for the host."""
    run = Limits().pids_max * Limits().open_files
    most = _number("fs/file-max")
    if most < run * config.slots:
        yield warn(
            f"the host may have {most} files open, and one run {run}: {config.slots} that mean to"
            " could leave none to those who are not root (the API, Redis)",
            "sysctl -w fs.file-max=9223372036854775807, as systemd does"
            " (to keep it: a file in /etc/sysctl.d)",
        )
    else:
        yield ok("open files of the host: enough for every run")


def check_processes(config: HostConfig) -> Iterator[Finding]:
    """Per user and for the whole host; the limits of control groups are looked at elsewhere."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    shared = Limits().pids_max * config.slots
    system = min(_number("kernel/pid_max"), _number("kernel/threads-max"))
    if soft != resource.RLIM_INFINITY and soft < _PROCESSES_AT_LEAST:
        yield warn(
            f"one user may have {soft} processes; {_PROCESSES_AT_LEAST} are a few busy strategies",
            "ulimit -u 65536 before it starts (systemd: LimitNPROC=65536)",
        )
    elif soft != resource.RLIM_INFINITY and soft <= shared and os.geteuid() != 0:
        yield warn(
            f"one user may have {soft} processes; {config.slots} runs may have {shared}, and when"
            " they have them the runner starts no other",
            f"ulimit -u {shared + _PROCESSES_AT_LEAST} before it starts (systemd: LimitNPROC=), or"
            " a smaller RUNNER_MAX_STRATEGIES",
        )
    if system < _PROCESSES_AT_LEAST * 4:
        yield warn(
            f"the host may have {system} processes in all",
            "sysctl -w kernel.pid_max=4194304 kernel.threads-max=200000"
            " (to keep it: a file in /etc/sysctl.d)",
        )
    else:
        yield ok(f"processes: {_words(soft)} per user, {system} on the host")


def check_core_dumps(_config: HostConfig) -> Iterator[Finding]:
    """A dump of a strategy holds its keys. A pipe of `core_pattern` gets it unless the limit is 1:
    0 means "no file", and a pipe is none."""
    pattern = _CORE_PATTERN.read_text(encoding="utf-8", errors="replace").strip()
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    if pattern.startswith("|") and most == 0 and not _may_raise_core_limit():
        yield warn(
            f"core dumps go to a program of the host ({pattern.split()[0]}) and the runner's limit"
            " of 0 bytes does not keep them from it",
            "start the runner with a hard limit of 1 byte: ulimit -Hc 1 (systemd: LimitCORE=1)",
        )
        return
    if pattern.startswith("|") and _kernel_version() < _PACED_SINCE:
        yield warn(
            f"core dumps go to a program of the host ({pattern.split()[0]}): each crash of a"
            " strategy's process is two lines of the kernel's log, however many there are",
            "sysctl -w kernel.core_pattern=core (to keep it: a file in /etc/sysctl.d)",
            "systemctl disable --now apport, then as on Debian",
        )
        return
    yield ok(f"no core dumps of programs (core_pattern: {pattern or 'none'})")


def harden_this_process() -> None:
    """Raise the soft limit of open files, never dump core, ask for no precedence.

    The runner holds keys, and every sandbox inherits the limit: 1 byte and not 0, because 0 still
    lets a `core_pattern` that is a pipe hand a program's memory to a process of the host.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if not _set_core_limit(1):
        _set_core_limit(0)
    # A program in real time takes a whole processor, whatever its quota is.
    for precedence in (resource.RLIMIT_RTPRIO, resource.RLIMIT_NICE):
        resource.setrlimit(precedence, (0, 0))


def _may_raise_core_limit() -> bool:
    """Tried, and taken back: no capability says it as surely."""
    before = resource.getrlimit(resource.RLIMIT_CORE)
    raised = _set_core_limit(1)
    if raised:
        resource.setrlimit(resource.RLIMIT_CORE, before)
    return raised


def _set_core_limit(size_bytes: int) -> bool:
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (size_bytes, size_bytes))
        return True
    return False


def _kernel_version() -> tuple[int, int]:
    major, minor = re.findall(r"\d+", os.uname().release)[:2]
    return int(major), int(minor)


def _number(setting: str) -> int:
    return int(Path("/proc/sys", setting).read_text(encoding="ascii"))


def _words(limit: int) -> str:
    return "unlimited" if limit == resource.RLIM_INFINITY else str(limit)
