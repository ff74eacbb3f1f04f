"""What a caller hands in: a program, its files and its limits."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sandbox.errors import ProgramInvalidError
from sandbox.policy import NetworkPolicy

MAX_FILES = 1500  # bubblewrap refuses more than 9000 arguments; a file costs up to five
MIB = 1 << 20
_PAGE_BYTES = 4096
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Limits:
    """What one run may use.

    `cpu_millis` are thousandths of one core. If `start_cpu_millis` is more, that is in force until
    `Sandbox.end_start`: imports are most of a program's first second, and a quarter of a core makes
    them four times as long. The three file systems live in memory: what the program writes to them
    counts against `memory_bytes` as well. `inodes_max` files fit into each
    of them under a root runner; under another one only their memory bounds their number.
    """

    cpu_millis: int = 250
    start_cpu_millis: int = 0
    memory_bytes: int = 512 * MIB
    pids_max: int = 256
    open_files: int = 1024
    workspace_bytes: int = 256 * MIB
    tmp_bytes: int = 64 * MIB
    shm_bytes: int = 64 * MIB
    inodes_max: int = 65_536


@dataclass(frozen=True)
class WorkspaceFile:
    """A file to put below `/workspace`: relative POSIX path, content, executable or not."""

    path: str
    content: bytes = field(repr=False)
    executable: bool = False


@dataclass(frozen=True)
class Program:
    """`argv` follows `python3 -u`, for instance `("main.py",)`; the working directory is
    `/workspace`. `env` is the whole environment next to PATH, HOME and LANG. `directories` are
    empty ones to make below `/workspace`; those of `files` are made anyway. `network`: what it may
    reach besides the platform's API."""

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    files: Sequence[WorkspaceFile] = field(default=(), repr=False)
    directories: Sequence[str] = ()
    limits: Limits = field(default_factory=Limits)
    network: NetworkPolicy = field(default_factory=NetworkPolicy)

    def validate(self) -> None:
        """Raise `ProgramInvalidError` unless every sandbox could take this program."""
        for complaint in (*_limits(self.limits), *_texts(self), *_paths(self), *_sizes(self)):
            raise ProgramInvalidError(complaint)

    def all_directories(self) -> list[str]:
        """Every directory below `/workspace`, parents before children."""
        wanted: set[str] = set()
        for path in (*self.directories, *(file.path.rpartition("/")[0] for file in self.files)):
            # Up to the first that is known: a deep one is walked once, whatever lies in it.
            at = path
            while at and at not in wanted:
                wanted.add(at)
                at = at.rpartition("/")[0]
        return sorted(wanted)


def _limits(limits: Limits) -> Iterator[str]:
    floors = {
        "cpu_millis": 10,
        "memory_bytes": 16 * MIB,
        "pids_max": 4,
        "open_files": 32,
        "workspace_bytes": _PAGE_BYTES,
        "tmp_bytes": _PAGE_BYTES,
        "shm_bytes": _PAGE_BYTES,
        "inodes_max": 8192,  # what bubblewrap itself may have to make of a workspace
    }
    for name, least in floors.items():
        if getattr(limits, name) < least:
            yield f"limits.{name} is {getattr(limits, name)}; give at least {least}"


def _texts(program: Program) -> Iterator[str]:
    if not program.argv:
        yield "argv is empty; name the script to run"
    if any("\0" in argument for argument in program.argv):
        yield "an argument holds a NUL byte; remove it"
    for name, value in program.env.items():
        if not _ENV_NAME.fullmatch(name):
            yield f"{name!r} is no name of an environment variable; use letters, digits and _"
        if "\0" in value:
            yield f"the value of {name} holds a NUL byte; remove it"


def _paths(program: Program) -> Iterator[str]:
    files = {file.path for file in program.files}
    if len(files) != len(program.files):
        yield "a workspace path is given twice; send each file once"
    for path in (*files, *program.directories):
        if not _is_inside(path):
            yield f"workspace path {path!r} is not a plain relative path; remove '..', '/' and NUL"
    for directory in program.all_directories():
        if directory in files:
            yield f"workspace path {directory!r} is both a file and a directory; rename one"


def _is_inside(path: str) -> bool:
    parts = path.split("/")
    return "\0" not in path and all(part not in ("", ".", "..") for part in parts)


def _sizes(program: Program) -> Iterator[str]:
    entries = len(program.files) + len(program.directories)
    if entries > MAX_FILES:
        yield f"the workspace has {entries} files; a run takes at most {MAX_FILES}, pack fewer"
    needed = sum(-(-len(file.content) // _PAGE_BYTES) * _PAGE_BYTES for file in program.files)
    if needed > program.limits.workspace_bytes:
        yield (
            f"the workspace's files need {needed} bytes and limits.workspace_bytes is "
            f"{program.limits.workspace_bytes}; raise it or pack less"
        )
