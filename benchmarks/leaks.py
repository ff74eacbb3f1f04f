"""What a hundred sandboxes, one after another, leave behind: counted before and after.

Only what is this process's or its helpers' is counted: others work on the machine at the same time.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.network import ALLOW, in_own_network, opened
from benchmarks.report import Row
from sandbox import Host, Program, WorkspaceFile

RUNS = 100
_SETTLED_WITHIN_S = 20.0  # the kernel removes network namespaces in the background
_PAUSE_S = 0.05
_SOURCE = b"import socket\nopen('file', 'w').write('x')\nprint('done')\n"
_KINDS = ("namespaces", "mounts", "control groups", "descriptors", "processes")


def rows(runs: int = RUNS) -> list[Row]:
    """One row for each kind of thing, at most nothing. For root."""
    return in_own_network(lambda: _measure(runs))


def _measure(runs: int) -> list[Row]:
    name = f"bench-leaks-{os.getpid()}"
    with opened(name, "user", port=9) as host:
        for number in range(3):  # what is made once and kept
            _run(host, f"first-{number}")
        before = _settled(host, name, None)
        for number in range(runs):
            _run(host, f"run-{number}")
        after = _settled(host, name, before)
    note = f"by {runs} sandboxes, one after another"
    return [
        Row(f"left behind: {kind}", [after[kind] - before[kind]], "", 0, note) for kind in _KINDS
    ]


def _run(host: Host, name: str) -> None:
    program = Program(argv=["main.py"], files=[WorkspaceFile("main.py", _SOURCE)], network=ALLOW)
    sandbox = host.spawn(program, name)
    outcome = sandbox.finish()
    if outcome.exit_code != 0:
        raise SystemExit(f"a program of the measurement failed: {outcome}")


def _settled(host: Host, name: str, before: dict[str, int] | None) -> dict[str, int]:
    """Counts that are no more than `before`, or that no longer change."""
    deadline_s = time.monotonic() + _SETTLED_WITHIN_S
    last = _counts(host, name)
    while time.monotonic() < deadline_s:
        time.sleep(_PAUSE_S * 4)
        now = _counts(host, name)
        if now == last if before is None else all(now[kind] <= before[kind] for kind in _KINDS):
            return now
        last = now
    return last


def _counts(host: Host, name: str) -> dict[str, int]:
    family = set(_family(os.getpid()))
    descriptors = [fd for pid in (os.getpid(), host.netd_pid) for fd in _links(pid, "fd")]
    held = {link for link in descriptors if link.partition(":[")[0] in _NAMESPACES}
    lived_in = {link for pid in family for link in _links(pid, "ns")}
    return {
        "namespaces": len(held | lived_in),
        "mounts": sum(_lines(pid, "mountinfo") for pid in family),
        "control groups": sum(1 for _ in Path("/sys/fs/cgroup").glob(f"**/sequence-{name}/**/")),
        "descriptors": len(descriptors),
        "processes": len(family),
    }


_NAMESPACES = frozenset({"net", "user", "mnt", "pid", "ipc", "uts", "cgroup"})


def _family(pid: int) -> Iterator[int]:
    """This process and all below it."""
    yield pid
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _family(int(child))


def _links(pid: int, folder: str) -> list[str]:
    found = []
    with contextlib.suppress(OSError):
        for link in Path(f"/proc/{pid}/{folder}").iterdir():
            with contextlib.suppress(OSError):
                found.append(str(link.readlink()))
    return found


def _lines(pid: int, name: str) -> int:
    with contextlib.suppress(OSError):
        return len(Path(f"/proc/{pid}/{name}").read_text().splitlines())
    return 0
