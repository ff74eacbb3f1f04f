"""The sieve lets pass every block with one of its strings, wherever it stands."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from tasks.logs.sieve import sieves

_STRINGS = st.lists(st.binary(min_size=6, max_size=64), min_size=1, max_size=40, unique=True)


@given(strings=_STRINGS, before=st.binary(max_size=80), behind=st.binary(max_size=80))
def test_a_string_passes_wherever_it_stands(
    strings: list[bytes], before: bytes, behind: bytes
) -> None:
    found = sieves(strings)
    assert sorted(string for _, some in found for string in some) == sorted(strings)
    for sieve, some in found:
        for string in some:
            assert sieve.passes(before + string + behind)


def test_each_length_at_each_place() -> None:
    chance = random.Random(7)
    for length in (14, 15, 16, 30, 31, 32, 33):
        strings = [chance.randbytes(length) for _ in range(8)]
        [(sieve, _)] = sieves(strings)
        for place in range(50):
            for string in strings:
                assert sieve.passes(b"x" * place + string)
                assert sieve.passes(b"x" * place + string + b"y" * 5)


def test_a_block_without_any_is_held_back() -> None:
    chance = random.Random(7)
    [(mid, _), (long, _)] = sorted(
        sieves([chance.randbytes(length) for length in (20, 40) for _ in range(50)]),
        key=lambda one: one[0].stride,
    )
    for sieve in (mid, long):
        assert not sieve.passes(b"x" * 65_536)
        assert not sieve.passes(chance.randbytes(65_535))
        assert not sieve.passes(b"")
