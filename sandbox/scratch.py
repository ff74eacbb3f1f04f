"""The file systems that a run may write, seen from outside: are they full, how many files may be.

Each is a tmpfs of the run's own. A descriptor that only names it (O_PATH) keeps it for a moment
longer than the mount namespace, so the question is asked when nobody can change the answer.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Mapping

from sandbox.errors import SandboxError

WRITABLE = ("/workspace", "/tmp", "/dev/shm")  # noqa: S108 - inside the sandbox
_FSCONFIG, _FSPICK = 431, 433  # system call numbers, the same on all machines
_EMPTY_PATH = 0x8
_SET_STRING, _RECONFIGURE = 1, 7
_NOT_OURS_TO_CHANGE = (errno.EPERM, errno.ENOSYS)


class Scratch:
    """The writable file systems of one run."""

    def __init__(self, fds: Mapping[str, int]) -> None:
        """`fds`: O_PATH descriptors by path inside; they belong to this object from now on."""
        self._fds = dict(fds)

    def limit_inodes(self, inodes_max: int) -> bool:
        """Allow each file system so many files; False where only the memory limit bounds them.

        bubblewrap cannot set it, and changing a mounted file system takes power over the runner's
        own mount namespace: a root runner has it. Raises `SandboxError` when more files exist.
        """
        libc = ctypes.CDLL(None, use_errno=True)
        return all(_limit_inodes(libc, fd, inodes_max) for fd in self._fds.values())

    def full(self) -> tuple[str, ...]:
        """Those without a free block or a free inode."""
        return tuple(path for path, fd in self._fds.items() if _is_full(fd))

    def close(self) -> None:
        """Let go; of a run that has ended this frees the memory of its files. May be repeated."""
        while self._fds:
            os.close(self._fds.popitem()[1])


def open_scratch(pid_one: int) -> Scratch:
    """The file systems of the sandbox whose first process this is; none when it is gone.

    bubblewrap's reaper is asked and not the program: nobody inside can make its root another, and
    all three are mount points on read-only file systems, which can be neither moved nor replaced.
    Raises `SandboxError`.
    """
    fds: dict[str, int] = {}
    flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        for path in WRITABLE:
            fds[path] = os.open(f"/proc/{pid_one}/root{path}", flags)
    except (FileNotFoundError, ProcessLookupError):
        Scratch(fds).close()
        return Scratch({})
    except OSError as error:
        Scratch(fds).close()
        raise SandboxError(
            f"the sandbox's file systems cannot be looked at: {error}; in a container the runner"
            " needs CAP_SYS_PTRACE"
        ) from error
    return Scratch(fds)


def _is_full(fd: int) -> bool:
    state = os.fstatvfs(fd)
    return state.f_bavail == 0 or (state.f_files > 0 and state.f_ffree == 0)


def _limit_inodes(libc: ctypes.CDLL, fd: int, inodes_max: int) -> bool:
    """`mount -o remount,nr_inodes=...` for a file system of another mount namespace."""
    context = int(libc.syscall(_FSPICK, fd, b"", _EMPTY_PATH))
    if context < 0:
        if ctypes.get_errno() in _NOT_OURS_TO_CHANGE:
            return False
        raise _failed("fspick")
    try:
        value = str(inodes_max).encode()
        for command in ((_SET_STRING, b"nr_inodes", value, 0), (_RECONFIGURE, None, None, 0)):
            if libc.syscall(_FSCONFIG, context, *command) < 0:
                raise _failed("fsconfig")
    finally:
        os.close(context)
    return True


def _failed(call: str) -> SandboxError:
    number = ctypes.get_errno()
    return SandboxError(
        f"the number of files of a run could not be limited: {call}: {os.strerror(number)}; a"
        " program that makes thousands of files in its first millisecond would look so"
    )
