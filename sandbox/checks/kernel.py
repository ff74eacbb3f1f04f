"""What the kernel itself has to offer: system call filters, small pages for what TCP sends, and
to tell what waits in its queues."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from sandbox import seccomp
from sandbox.config import HostConfig
from sandbox.errors import SandboxUnavailableError
from sandbox.findings import Finding, fail, failed, ok, warn
from sandbox.network import tcp_queues
from sandbox.relief import tcp_page_bytes

_ACTIONS = Path("/proc/sys/kernel/seccomp/actions_avail")
_NEEDED = {"errno", "allow"}


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


def check_tcp_queues(_config: HostConfig) -> Iterator[Finding]:
    """Without them nobody knows whose bytes hold the memory of a host that has none to spare."""
    try:
        known = sum(1 for _ in tcp_queues.connections())
    except OSError as error:
        yield warn(
            f"the kernel does not tell what waits in TCP queues ({error.strerror}): a program that"
            " takes the host's memory that way is not found (SECURITY.md)",
            "modprobe -a inet_diag tcp_diag (to keep it: a file in /etc/modules-load.d)",
        )
    else:
        yield ok(f"what waits in TCP queues can be told ({known} connections here)")


def check_tcp_pages(_config: HostConfig) -> Iterator[Finding]:
    """A byte that waits in a TCP queue holds the page that it lies in, and is counted as a byte."""
    if tcp_page_bytes() == 4096:
        yield ok("what TCP sends lies in pages of 4 KB")
    else:
        yield warn(
            "what TCP sends lies in pages of 32 KB: a program that means to can hold a multiple of"
            " its memory limit, until the host has no memory to spare (SECURITY.md)",
            "sysctl -w net.core.high_order_alloc_disable=1 (to keep it: a file in /etc/sysctl.d)",
        )
