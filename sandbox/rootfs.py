"""A configured root file system: one read-only bind of the whole tree, its own Python inside."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from sandbox.errors import Problem, SandboxUnavailableError
from sandbox.runtime import Runtime

PYTHONS = ("/usr/local/bin/python3", "/usr/bin/python3")
# What the sandbox puts its own upon: nothing can be made in a tree that is read-only.
DIRECTORIES = ("dev", "etc", "proc", "tmp", "workspace")
FILES = ("etc/group", "etc/hosts", "etc/nsswitch.conf", "etc/passwd", "etc/resolv.conf")
_MOST_LINKS = 40  # as the kernel


def find_rootfs_runtime(root: Path) -> Runtime:
    """The runtime of the tree below `root`. Raises `SandboxUnavailableError` with all that is wrong
    with it; whether its Python really runs is for a sandbox to show."""
    root = root.resolve()
    if out_of_reach := list(_out_of_reach(root)):
        raise SandboxUnavailableError(out_of_reach)
    python = next((path for path in PYTHONS if _is_program(root, path)), None)
    problems = list(_no_place(root))
    if python is None:
        what = f"the root file system {root} has no python3: neither {' nor '.join(PYTHONS)}"
        problems.append(Problem(what, f"for a Debian tree: chroot {root} apt-get install python3"))
    if problems or python is None:
        raise SandboxUnavailableError(problems)
    return Runtime(kind="rootfs", python=python, binds=((str(root), "/"),), whole=True)


def resolve_inside(root: Path, path: str) -> Path | None:
    """Where `path` leads for a process whose root is `root`; None when nothing is there.

    Links are followed by their text and never out of the tree, as the kernel does after a chroot.
    """
    left = list(reversed(PurePosixPath(path).parts))
    at = root
    links = 0
    while left:
        part = left.pop()
        if part == "/":
            at = root
        elif part == "..":
            at = at if at == root else at.parent
        elif (at / part).is_symlink():
            links += 1
            if links > _MOST_LINKS:
                return None
            left.extend(reversed(PurePosixPath((at / part).readlink()).parts))
        else:
            at = at / part
    return at if at.exists() else None


def _is_program(root: Path, path: str) -> bool:
    found = resolve_inside(root, path)
    return found is not None and found.is_file() and bool(found.stat().st_mode & stat.S_IXOTH)


def _out_of_reach(root: Path) -> Iterator[Problem]:
    """bubblewrap looks the tree up after the drop to the slot's uid."""
    for directory in (*reversed(root.parents), root):
        if not directory.is_dir():
            yield Problem(
                f"the root file system {root} is not a directory",
                "build one with `make runtime`, or unpack an image there that has a python3",
            )
            return
        if not _may_enter(directory):
            yield Problem(
                f"{directory} keeps sandboxes from the root file system {root}",
                f"chmod a+x {directory}, or move the tree to where every user may go",
            )
            return


def _may_enter(directory: Path) -> bool:
    if os.geteuid() == 0:
        return bool(directory.stat().st_mode & stat.S_IXOTH)
    return os.access(directory, os.X_OK)


def _no_place(root: Path) -> Iterator[Problem]:
    directories = [name for name in DIRECTORIES if not _is_kind(root / name, stat.S_ISDIR)]
    files = [name for name in FILES if not _is_kind(root / name, stat.S_ISREG)]
    if directories:
        listed = " ".join(str(root / name) for name in directories)
        yield Problem(f"the root file system lacks directories: {listed}", f"mkdir -p {listed}")
    if files:
        listed = " ".join(str(root / name) for name in files)
        yield Problem(
            f"the root file system lacks plain files to put the sandbox's own upon: {listed}",
            f"rm -f {listed} && touch {listed}",
        )


def _is_kind(path: Path, is_kind: Callable[[int], bool]) -> bool:
    try:
        return is_kind(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
