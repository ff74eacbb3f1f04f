"""The user ids of a root runner's slots: nobody else on the host should have them."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from pathlib import Path

from sandbox.config import HostConfig
from sandbox.findings import Finding, fail, ok, warn

_SUBORDINATE = Path("/etc/subuid")
_REMEDY = "give the runner another range (RUNNER_FIRST_UID; HostConfig.first_uid), such as {free}"


def check(config: HostConfig) -> Iterator[Finding]:
    """Accounts in the range share their rights with strategies; containers of a user whose
    subordinate ids reach into it share the kernel's per-user quotas."""
    if os.geteuid() != 0:
        yield warn(
            "strategies share the runner's own user id, and with it the kernel's per-user quotas",
            "run the runner as root: each run then has a user id of its own",
        )
        return
    first, last = config.first_uid, config.first_uid + config.slots - 1
    if not _is_mapped(first, last):
        yield fail(
            f"this root is that of a container without user ids {first}..{last}",
            "map as many subordinate ids into it, or run as root of the machine itself",
        )
        return
    accounts = [user.pw_name for user in pwd.getpwall() if first <= user.pw_uid <= last]
    owners, highest = _subordinate(first, last)
    remedy = _REMEDY.format(free=max(highest, last) // 100_000 * 100_000 + 100_000)
    if accounts:
        listed = ", ".join(sorted(accounts))
        yield fail(f"user ids {first}..{last} of the runs are those of accounts: {listed}", remedy)
    if owners:
        listed = ", ".join(sorted(owners))
        yield warn(f"user ids {first}..{last} of the runs are subordinate ids of {listed}", remedy)
    if not accounts and not owners:
        yield ok(f"user ids {first}..{last} of the runs are nobody else's")


def _is_mapped(first: int, last: int) -> bool:
    """Whether one line of our user namespace's map (inside, outside, count) has all of them."""
    lines = Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines()
    maps = [tuple(map(int, line.split())) for line in lines]
    return any(begin <= first and last < begin + count for begin, _, count in maps)


def _subordinate(first: int, last: int) -> tuple[set[str], int]:
    """Whose ranges of /etc/subuid meet ours, and the highest id of any."""
    owners: set[str] = set()
    highest = 0
    try:
        lines = _SUBORDINATE.read_text(encoding="utf-8").splitlines()
    except OSError:
        return owners, highest
    for line in lines:
        name, start, count = (*line.split(":"), "", "")[:3]
        if not (start.isdigit() and count.isdigit()):
            continue
        begin, end = int(start), int(start) + int(count) - 1
        highest = max(highest, end)
        if begin <= last and end >= first:
            owners.add(name)
    return owners, highest
