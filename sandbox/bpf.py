"""Just enough of classic BPF for a seccomp filter: pieces that are joined into a program.

Every piece that tests something ends in a verdict and otherwise falls through to the next, so no
jump leaves its piece and none comes near BPF's limit of 255 instructions.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterable, Mapping, Sequence

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, k

_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
_EQUAL, _AT_LEAST, _ANY_BIT = 0x15, 0x35, 0x45
_NUMBER_AT, _MACHINE_AT, _ARGUMENTS_AT = 0, 4, 16

ALLOW = 0x7FFF0000


def refuse(error: int) -> int:
    """The verdict: the call fails with this errno."""
    return 0x00050000 | error


EPERM = refuse(errno.EPERM)
ENOSYS = refuse(errno.ENOSYS)


def assemble(pieces: Iterable[Sequence[Instruction]]) -> bytes:
    """An array of `struct sock_filter`, as the kernel and bubblewrap's `--seccomp` take it."""
    return b"".join(struct.pack("=HBBI", *step) for piece in pieces for step in piece)


def verdict(value: int) -> list[Instruction]:
    """Return this verdict."""
    return [(_RETURN, 0, 0, value)]


def unless_machine(audit_arch: int, value: int) -> list[Instruction]:
    """Return `value` for every call that is not made in this ABI."""
    return [(_LOAD, 0, 0, _MACHINE_AT), (_EQUAL, 1, 0, audit_arch), *verdict(value)]


def load_number() -> list[Instruction]:
    """From here on the call's number is what the pieces below compare."""
    return [(_LOAD, 0, 0, _NUMBER_AT)]


def from_number(number: int, value: int) -> list[Instruction]:
    """`value` for this call and all above it."""
    return [(_AT_LEAST, 0, 1, number), *verdict(value)]


def call(number: int, value: int) -> list[Instruction]:
    """`value` for this call, whatever its arguments."""
    return [(_EQUAL, 0, 1, number), *verdict(value)]


def call_if(number: int, decision: Sequence[Instruction]) -> list[Instruction]:
    """Decide this call by its arguments; `decision` ends in a verdict on every path."""
    return [(_EQUAL, 0, len(decision), number), *decision]


def argument_among(index: int, verdicts: Mapping[int, int], otherwise: int) -> list[Instruction]:
    """The verdict of the argument's low 32 bits: what the kernel looks at for an int, and what a
    program cannot slip past by setting the high ones."""
    tests = [
        step for value, then in verdicts.items() for step in ((_EQUAL, 0, 1, value), *verdict(then))
    ]
    return [_argument(index), *tests, *verdict(otherwise)]


def argument_in(index: int, values: Iterable[int], then: int, otherwise: int) -> list[Instruction]:
    """As `argument_among`, one verdict for all."""
    return argument_among(index, dict.fromkeys(values, then), otherwise)


def argument_is(index: int, value: int, decision: Sequence[Instruction]) -> list[Instruction]:
    """Decide by `decision`, which ends in a verdict on every path, when the low half is `value`."""
    return [_argument(index), (_EQUAL, 0, len(decision), value), *decision]


def masked(mask: int, decision: Sequence[Instruction]) -> list[Instruction]:
    """The same decision, looking only at these bits of the argument that it loads first."""
    load, *rest = decision
    return [load, (_AND, 0, 0, mask), *rest]


def argument_null(index: int, then: int, otherwise: int) -> list[Instruction]:
    """`then` for a null pointer: both halves count."""
    code, _, _, at = _argument(index)
    refused = verdict(otherwise)
    halves = [
        step
        for place in (at, at + 4)
        for step in ((code, 0, 0, place), (_EQUAL, 1, 0, 0), *refused)
    ]
    return [*halves, *verdict(then)]


def argument_has(index: int, bits: int, then: int, otherwise: int) -> list[Instruction]:
    """`then` when any of `bits` is set."""
    return [_argument(index), (_ANY_BIT, 0, 1, bits), *verdict(then), *verdict(otherwise)]


def _argument(index: int) -> Instruction:
    # Both machines are little-endian: the low half comes first.
    return (_LOAD, 0, 0, _ARGUMENTS_AT + 8 * index)
