"""What a program in a sandbox must not change on its host, looked at from outside."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from ordinary import ORDINARY_UID
from sealed import HOSTILE_UID

_SETTINGS = (
    "kernel/core_pattern kernel/hostname kernel/domainname kernel/modprobe kernel/sysrq"
    " kernel/randomize_va_space kernel/pid_max kernel/shmmax kernel/msgmax kernel/sem"
    " user/max_user_namespaces vm/overcommit_memory vm/nr_hugepages vm/swappiness"
    " fs/suid_dumpable fs/protected_symlinks fs/aio-nr fs/mqueue/queues_max"
)
_PLACES = ("/tmp", "/var/tmp", "/dev/shm", "/run", "/etc", "/usr/bin", "/usr/lib")
_SYSTEM = ("/tmp", "/proc", "/dev", "/etc", "/usr", "/workspace", "/newroot", "/oldroot")
_PROGRAMS = ("/usr/bin/python3", "/usr/bin/bwrap", "/bin/sh", "/usr/bin/nsenter")


@dataclass(frozen=True)
class HostState:
    """Everything compares by value, so that a difference is shown by name."""

    settings: dict[str, str]
    programs: dict[str, str]
    mounts: frozenset[str]
    devices: frozenset[str]
    ipc: frozenset[str]
    files: frozenset[str]
    limits: str
    where: tuple[int, int, int]


def look() -> HostState:
    """The state now; a few milliseconds."""
    return HostState(
        settings={name: _read(f"/proc/sys/{name}") for name in _SETTINGS.split()},
        programs={path: _fingerprint(path) for path in _PROGRAMS},
        mounts=_mounts(),
        devices=frozenset(path.name for path in Path("/dev").iterdir()),
        ipc=frozenset(
            line
            for kind in ("shm", "msg", "sem")
            for line in _read(f"/proc/sysvipc/{kind}").splitlines()
            if any(_is_hostile(int(word)) for word in line.split() if word.isdigit())
        ),
        files=frozenset(_files_of_hostile_uids()),
        limits=_read("/proc/self/limits"),
        where=(os.getpriority(os.PRIO_PROCESS, 0), os.getpgrp(), Path.cwd().stat().st_ino),
    )


def hostile_processes() -> set[int]:
    """Processes of the host with a uid that only hostile programs have, zombies left out."""
    found = set()
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if entry.name.isdigit() and _is_hostile(entry.stat().st_uid):
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                found |= set() if state == "Z" else {int(entry.name)}
    return found


def _is_hostile(uid: int) -> bool:
    return HOSTILE_UID <= uid <= ORDINARY_UID


def _mounts() -> frozenset[str]:
    """Mount points and options where a sandbox's mounts would show."""
    lines = [line.split() for line in _read("/proc/self/mountinfo").splitlines()]
    return frozenset(
        " ".join(line[3:6]) for line in lines if f"/{line[4].split('/')[1]}" in _SYSTEM
    )


def _files_of_hostile_uids() -> list[str]:
    found = []
    for place in _PLACES:
        with contextlib.suppress(OSError), os.scandir(place) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    if _is_hostile(entry.stat(follow_symlinks=False).st_uid):
                        found.append(entry.path)
    return found


def _fingerprint(path: str) -> str:
    """No write and no change of mode goes by the time of the last change, which nobody can set."""
    state = Path(path).stat()
    return f"{state.st_ino} {state.st_mode:o} {state.st_uid} {state.st_size} {state.st_ctime_ns}"


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError as error:
        return f"errno {error.errno}"
