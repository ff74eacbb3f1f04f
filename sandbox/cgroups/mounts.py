"""Where this process's control groups are: one answer for v1, v2 and hybrid hosts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Hierarchies:
    """This process's own directory in each hierarchy that is mounted and visible.

    `v1` maps a controller (`memory`, `cpu`, ...) to a directory; `v2` is the unified one.
    """

    v1: Mapping[str, Path]
    v2: Path | None


def find(mountinfo: str, memberships: str) -> Hierarchies:
    """Parse the texts of `/proc/self/mountinfo` and `/proc/self/cgroup`."""
    mounts = [_mount(line) for line in mountinfo.splitlines() if " - cgroup" in line]
    v1: dict[str, Path] = {}
    v2: Path | None = None
    for line in memberships.splitlines():
        _, controllers, path = line.split(":", 2)
        for mount in mounts:
            own = mount.directory(path)
            if own is None:
                continue
            if controllers == "" and mount.kind == "cgroup2":
                v2 = v2 or own
            elif mount.kind == "cgroup":
                for controller in set(controllers.split(",")) & mount.options:
                    v1.setdefault(controller, own)
    return Hierarchies(v1, v2)


def find_own() -> Hierarchies:
    """`find` for the calling process."""
    return find(
        Path("/proc/self/mountinfo").read_text(encoding="utf-8"),
        Path("/proc/self/cgroup").read_text(encoding="utf-8"),
    )


@dataclass(frozen=True)
class _Mount:
    root: str
    point: str
    kind: str
    options: frozenset[str]

    def directory(self, path: str) -> Path | None:
        """The directory that shows the group `path`, None when the mount does not reach it.

        A container may see a mount whose root is its own group: `path` then starts with it.
        """
        if not (path + "/").startswith(self.root.rstrip("/") + "/"):
            return None
        below = path.removeprefix(self.root)
        return Path(self.point) / below.lstrip("/")


def _mount(line: str) -> _Mount:
    left, right = line.split(" - ", 1)
    root, point = left.split()[3:5]
    kind, _, options = right.split(" ", 2)
    return _Mount(_unescape(root), _unescape(point), kind, frozenset(options.strip().split(",")))


def _unescape(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)
