"""Sealed secrets open for the right key, row and column, unaltered, and for nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.secrets.envelope import EnvelopeError, Opener, Sealed, Sealer, generate_key_pair

PRIVATE, PUBLIC = generate_key_pair()
OTHER_PRIVATE, OTHER_PUBLIC = generate_key_pair()
CANARY = "canary-5f2e9c1b7a"
ROW = "11111111-1111-1111-1111-111111111111"


def sealed(value: Any = None, *, strategy_id: str = ROW, column: str = "secrets") -> Sealed:
    value = {"TOKEN": CANARY} if value is None else value
    return Sealer(PUBLIC).seal(value, strategy_id=strategy_id, column=column)


def opened(envelope: Sealed, *, strategy_id: str = ROW, column: str = "secrets") -> Any:
    return Opener([PRIVATE]).open(envelope, strategy_id=strategy_id, column=column)


@given(st.dictionaries(st.text(), st.text()) | st.text())
def test_what_is_sealed_opens_again(value: Any) -> None:
    assert opened(sealed(value)) == value


def test_the_same_value_is_never_sealed_the_same_way() -> None:
    first, second = sealed(), sealed()
    for part in ("ciphertext", "nonce", "wrapped_key"):
        assert getattr(first, part) != getattr(second, part)


@pytest.mark.parametrize("part", ["ciphertext", "nonce", "wrapped_key"])
@pytest.mark.parametrize("place", [0, -1])
def test_a_flipped_bit_is_noticed(part: str, place: int) -> None:
    envelope = sealed()
    damaged = bytearray(getattr(envelope, part))
    damaged[place] ^= 1
    with pytest.raises(EnvelopeError, match="altered or moved"):
        opened(replace(envelope, **{part: bytes(damaged)}))


@pytest.mark.parametrize("part", ["ciphertext", "nonce", "wrapped_key"])
@pytest.mark.parametrize("keep", [0, 5])
def test_a_part_cut_short_is_noticed(part: str, keep: int) -> None:
    envelope = sealed()
    with pytest.raises(EnvelopeError):
        opened(replace(envelope, **{part: getattr(envelope, part)[:keep]}))


def test_it_does_not_open_in_another_row() -> None:
    with pytest.raises(EnvelopeError):
        opened(sealed(), strategy_id=ROW.replace("1", "2"))


def test_it_does_not_open_in_another_column() -> None:
    with pytest.raises(EnvelopeError):
        opened(sealed(), column="sequence_api_key")


def test_row_and_column_cannot_be_shifted_into_each_other() -> None:
    envelope = sealed(strategy_id="ab", column="c")
    with pytest.raises(EnvelopeError):
        opened(envelope, strategy_id="a", column="bc")


def test_a_key_that_is_not_active_is_named() -> None:
    envelope = Sealer(OTHER_PUBLIC).seal("x", strategy_id=ROW, column="secrets")
    with pytest.raises(EnvelopeError, match=envelope.key_id) as caught:
        opened(envelope)
    assert "CREDENTIAL_ENCRYPTION_KEY" in str(caught.value)


def test_a_foreign_key_that_claims_to_be_ours_does_not_open() -> None:
    envelope = Sealer(OTHER_PUBLIC).seal("x", strategy_id=ROW, column="secrets")
    with pytest.raises(EnvelopeError):
        opened(replace(envelope, key_id=sealed().key_id))


def test_two_keys_may_be_active() -> None:
    opener = Opener([OTHER_PRIVATE, PRIVATE])
    for public in (PUBLIC, OTHER_PUBLIC):
        envelope = Sealer(public).seal("both", strategy_id=ROW, column="secrets")
        assert opener.open(envelope, strategy_id=ROW, column="secrets") == "both"


def test_its_length_does_not_tell_how_long_it_is() -> None:
    lengths = {len(sealed({"TOKEN": "x" * size}).ciphertext) for size in range(1, 200)}
    assert len(lengths) == 1


def test_nothing_of_it_shows() -> None:
    envelope = sealed()
    assert "ciphertext" not in repr(envelope)
    assert repr(envelope) == f"Sealed(key_id={envelope.key_id!r})"
    assert CANARY.encode() not in envelope.ciphertext
    for thing in (Sealer(PUBLIC), Opener([PRIVATE])):
        assert PRIVATE not in repr(thing)
    broken = replace(envelope, ciphertext=envelope.ciphertext[:-1] + b"\0")
    with pytest.raises(EnvelopeError) as caught:
        opened(broken)
    assert CANARY not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
