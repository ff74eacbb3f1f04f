"""Every call that the filter refuses, made by its number on the machine at hand."""

from __future__ import annotations

import errno
import os

import pytest
from sealed import Box

from sandbox import seccomp
from sandbox.syscalls import HIGHEST_KNOWN, MACHINES

NUMBERS = MACHINES[os.uname().machine].numbers
CALLS = """
import ctypes, json
libc = ctypes.CDLL(None, use_errno=True)
def made(number, *arguments):
    padded = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0, 0, 0)[:6]]
    return ctypes.get_errno() if libc.syscall(ctypes.c_long(number), *padded) == -1 else 0
"""


def known(names: str) -> list[str]:
    return [name for name in names.split() if name in NUMBERS]


@pytest.mark.parametrize("argument", [0, 0xFFFFFFFF_FFFFFFFF])
@pytest.mark.parametrize(
    ("names", "expected"),
    [(seccomp._FORBIDDEN, errno.EPERM), (seccomp._ABSENT, errno.ENOSYS)],
    ids=["forbidden", "absent"],
)
def test_listed_calls(box: Box, names: str, expected: int, argument: int) -> None:
    listed = known(names)
    numbers = [NUMBERS[name] for name in listed]
    source = f"print(json.dumps([made(number, *[{argument}] * 6) for number in {numbers}]))\n"
    seen = box.run(CALLS + source).seen
    assert dict(zip(listed, seen, strict=True)) == dict.fromkeys(listed, expected)


def test_calls_newer_than_the_filter_do_not_exist(box: Box) -> None:
    newer = [HIGHEST_KNOWN + 1, 470, 1000, 0x3FFFFFFF]
    result = box.run(CALLS + f"print(json.dumps([made(number) for number in {newer}]))\n")
    assert result.seen == [errno.ENOSYS] * len(newer)


def test_calls_that_are_refused_by_their_arguments(box: Box) -> None:
    """Also with the high halves set, which the kernel ignores and a filter may not look at."""
    high = 0xDEADBEEF << 32
    attempts = [
        *[("clone", 1 << bit | 17, 0) for bit in (17, 25, 26, 27, 28, 29, 30)],
        ("clone", high | 1 << 28 | 17, 0),
        ("personality", 0x0040000, 0),
        ("fchmod", 1, 0o4755),
        ("fchmod", 1, high | 0o2755),
    ]
    calls = [(NUMBERS[name], first, second) for name, first, second in attempts]
    result = box.run(CALLS + f"print(json.dumps([made(*call) for call in {calls}]))\n")
    assert result.seen == [errno.EPERM] * len(attempts)


def test_sockets_of_families_that_are_refused(box: Box) -> None:
    families = [family for family in range(64) if family not in (1, 2, 10, 16)]
    source = f"print(json.dumps([made({NUMBERS['socket']}, family, 1) for family in {families}]))\n"
    assert set(box.run(CALLS + source).seen) == {errno.EAFNOSUPPORT}
