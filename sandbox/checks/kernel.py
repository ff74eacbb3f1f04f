"""What the kernel itself has to offer: system call filters."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from sandbox import seccomp
from sandbox.config import HostConfig
from sandbox.errors import SandboxUnavailableError
from sandbox.findings import Finding, fail, failed, ok

_ACTIONS = Path("/proc/sys/kernel/seccomp/actions_avail")
_NEEDED = {"kill_process", "errno", "allow"}


def check_seccomp(_config: HostConfig) -> Iterator[Finding]:
    """Whether this kernel takes our filter, and whether there is one for this machine."""
    try:
        size = len(seccomp.program()) // 8
    except SandboxUnavailableError as error:
        yield from (failed(problem) for problem in error.problems)
        return
    try:
        offered = set(_ACTIONS.read_text(encoding="ascii").split())
    except OSError:
        offered = set()
    if offered >= _NEEDED:
        yield ok(f"system call filters (seccomp): {size} instructions for {os.uname().machine}")
        return
    yield fail(
        "the kernel has no system call filters (seccomp)",
        "boot the distribution's own kernel (apt-get install linux-image-amd64, or -arm64)",
        "boot the distribution's own kernel (apt-get install linux-image-generic)",
    )
