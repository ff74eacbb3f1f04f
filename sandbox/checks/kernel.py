"""What the kernel itself has to offer: system call filters, and small pages for what TCP sends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from sandbox import seccomp
from sandbox.config import HostConfig
from sandbox.errors import SandboxUnavailableError
from sandbox.findings import Finding, fail, failed, ok, warn

_ACTIONS = Path("/proc/sys/kernel/seccomp/actions_avail")
_NEEDED = {"errno", "allow"}
_SMALL_PAGES = Path("/proc/sys/net/core/high_order_alloc_disable")


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


def check_tcp_pages(_config: HostConfig) -> Iterator[Finding]:
    """A byte that waits in a TCP queue holds the page that it lies in, and is counted as a byte."""
    try:
        are_small = _SMALL_PAGES.read_text(encoding="ascii").strip() == "1"
    except OSError:  # not the host's own network, where alone it is seen; or before Linux 5.3
        return
    if are_small:
        yield ok("what TCP sends lies in pages of 4 KB")
    else:
        yield warn(
            "what TCP sends lies in pages of 32 KB: a program that means to can hold many times its"
            " memory limit, until the host has no memory to spare (SECURITY.md)",
            "sysctl -w net.core.high_order_alloc_disable=1 (to keep it: a file in /etc/sysctl.d)",
        )
