"""The programs that sandboxes are made with."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from sandbox.chain import Tools
from sandbox.config import HostConfig
from sandbox.findings import Finding, fail, ok

_SEARCH_PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"
_VERSION_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Need:
    """A tool, its Debian and Ubuntu package, the least version."""

    tool: str
    package: str
    at_least: tuple[int, int] = (0, 0)


NEEDS = (
    Need("bwrap", "bubblewrap", at_least=(0, 8)),
    Need("nsenter", "util-linux"),
    Need("sh", "dash"),
)


def check(_config: HostConfig) -> Iterator[Finding]:
    """Whether each is there, and new enough."""
    for need in NEEDS:
        yield check_one(need)


def find(tool: str) -> str | None:
    """The absolute path of a tool, wherever PATH points."""
    return shutil.which(tool, path=_SEARCH_PATH)


def found() -> Tools | None:
    """Those of the chain, None when one is missing."""
    nsenter, bwrap = find("nsenter"), find("bwrap")
    return Tools(nsenter, bwrap) if nsenter and bwrap else None


def check_one(need: Need) -> Finding:
    """Whether it is there, and new enough."""
    path = find(need.tool)
    remedy = f"apt-get install {need.package}"
    if path is None:
        return fail(f"missing: {need.tool}", remedy)
    if need.tool == "sh":  # POSIX gives it no way to tell its version
        return ok(f"{path}")
    said = version(path)
    numbers = re.search(r"(\d+)\.(\d+)", said)
    has = (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
    if has < need.at_least:
        wanted = ".".join(map(str, need.at_least))
        return fail(
            f"{need.package} {wanted} is needed, {path} says {said}",
            f"{remedy} (Debian 12 has it; on an older release install a newer package)",
            f"{remedy} (Ubuntu 24.04 has it; on an older release install a newer package)",
        )
    return ok(f"{path}: {said}")


def version(path: str) -> str:
    """The first line of what it says of its version."""
    try:
        run = subprocess.run(
            [path, "--version"],
            env={},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_VERSION_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return (run.stdout or run.stderr).strip().partition("\n")[0]
