"""Making and entering namespaces. Python 3.11 has no `os.unshare`, so libc is called."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
CAP_NET_ADMIN, CAP_SYS_ADMIN = 12, 21
_CAPABILITY_VERSION = 0x20080522
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 47, 2


def unshare(flags: int) -> None:
    """Move the calling thread to new namespaces. Raises OSError."""
    _check(_libc().unshare(ctypes.c_int(flags)), "unshare")


def enter(namespace_fd: int, kind: int) -> None:
    """Move the calling thread to the namespace of that kind (a CLONE_NEW* flag). Raises OSError."""
    _check(_libc().setns(ctypes.c_int(namespace_fd), ctypes.c_int(kind)), "setns")


def open_own(kind: str) -> int:
    """A descriptor of the calling thread's namespace: `net` or `user`."""
    return os.open(f"/proc/thread-self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)


def make_user_namespace() -> int:
    """Enter a new user namespace with only our own ids in it; answers with its descriptor.

    For an ordinary user: it owns the network namespaces made afterwards, so a sandbox, whose
    user namespace lies below this one, has no power over them. Needs a single-threaded caller.
    """
    uid, gid = os.getuid(), os.getgid()
    unshare(CLONE_NEWUSER)
    _map("setgroups", "deny")
    _map("uid_map", f"{uid} {uid} 1")
    _map("gid_map", f"{gid} {gid} 1")
    return open_own("user")


def _map(file: str, text: str) -> None:
    Path("/proc/self", file).write_text(text, encoding="ascii")


def sysctl(path: str) -> list[int]:
    """The numbers of a setting below /proc/sys, of the calling thread's namespaces. Raises
    OSError."""
    return [int(word) for word in Path("/proc/sys", path).read_text(encoding="ascii").split()]


def set_sysctl(path: str, *values: int) -> None:
    """Set them. Raises OSError."""
    Path("/proc/sys", path).write_text(" ".join(map(str, values)), encoding="ascii")


def keep_capabilities(*capabilities: int) -> None:
    """Have the programs that the calling thread starts keep these of its capabilities.

    An exec drops those of a user that is not 0, in whatever user namespace. Raises OSError.
    """
    libc = _libc()
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice 32 bits
    _check(libc.capget(header, sets), "capget")
    sets[2], sets[5] = sets[1], sets[4]
    _check(libc.capset(header, sets), "capset")
    for capability in capabilities:
        raised = libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability, 0, 0)
        _check(raised, "prctl(PR_CAP_AMBIENT)")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, call: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
