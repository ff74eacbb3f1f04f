"""Cutting bytes into lines: the same, however they arrive, and no secret in two halves."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.logs.framing import CONTINUED, MAX_LINE_BYTES, LineFramer, Piece
from tasks.logs.redaction import Redactor

SECRET = "hunter2hunter2"
PLAIN = Redactor({})
MASKING = Redactor({"TOKEN": SECRET, "OTHER": "ab/cd+ef?gh"})
_PIECE = st.binary(max_size=40) | st.sampled_from(
    [b"\n", b"\r\n", b"\r", b"\xc3", b"\xa9", b"\n\n", b"\0", SECRET.encode(), b"ab/cd+ef?gh"]
)
_DATA = st.lists(_PIECE, max_size=30).map(b"".join)
# Around the place where a line is cut, and in letters of several bytes.
_LONG = st.tuples(
    st.sampled_from([b"x", "é".encode(), "€".encode(), "😀".encode(), b"\x80"]),
    st.integers(-40, 40),
    _DATA,
).map(lambda parts: (parts[0] * MAX_LINE_BYTES)[: MAX_LINE_BYTES + parts[1]] + parts[2])


def masked(redactor: Redactor, pieces: Iterator[Piece]) -> Iterator[bytes]:
    for piece in pieces:
        data = piece.data if piece.is_masked else redactor(piece.data)
        assert data.endswith(b"\n")
        lines = data[:-1].split(b"\n")
        assert len(lines) == piece.count
        yield from lines


def lines_of(*chunks: bytes, redactor: Redactor = PLAIN) -> list[bytes]:
    framer = LineFramer(redactor)
    pieces = [masked(redactor, framer.feed(chunk)) for chunk in chunks]
    lines = [line for found in pieces for line in found]
    return lines + list(masked(redactor, framer.close()))


def cut_up(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, *(cut % (len(data) + 1) for cut in cuts), len(data)})
    chunks = [data[start:end] for start, end in itertools.pairwise(places)]
    assert b"".join(chunks) == data
    return chunks


@given(_DATA, st.lists(st.integers(0, 1000)))
def test_any_bytes_in_any_chunking_give_the_same_lines(data: bytes, cuts: list[int]) -> None:
    chunks = cut_up(data, cuts)
    for redactor in (PLAIN, MASKING):
        assert lines_of(*chunks, redactor=redactor) == lines_of(data, redactor=redactor)


@settings(max_examples=25)
@given(_LONG, st.lists(st.integers(MAX_LINE_BYTES - 60, MAX_LINE_BYTES + 60), max_size=6))
def test_the_same_where_a_line_is_cut(data: bytes, cuts: list[int]) -> None:
    whole = lines_of(data, redactor=MASKING)
    assert lines_of(*cut_up(data, cuts), redactor=MASKING) == whole
    text = b"".join(line.removesuffix(CONTINUED) for line in whole)
    assert SECRET.encode() not in text


@given(_DATA)
def test_nothing_is_lost(data: bytes) -> None:
    expected = [line.removesuffix(b"\r") for line in data.split(b"\n")]
    if data.endswith(b"\n") or not data:
        expected.pop()
    assert lines_of(data) == expected


def test_a_line_waits_for_its_end() -> None:
    framer = LineFramer(PLAIN)
    assert list(framer.feed(b"one\ntw")) == [Piece(b"one\n", 1)]
    assert list(framer.feed(b"o")) == []
    assert list(framer.feed(b"\nmore\nthree")) == [Piece(b"two\nmore\n", 2)]
    assert list(framer.close()) == [Piece(b"three\n", 1)]
    assert list(framer.close()) == []


def test_empty_lines_are_lines() -> None:
    assert lines_of(b"\n\na\n\n") == [b"", b"", b"a", b""]


def test_bytes_are_kept_as_they_are() -> None:
    assert lines_of(b"\xff\xfe\0 ok\rstill\n") == [b"\xff\xfe\0 ok\rstill"]


def test_the_longest_line_is_whole() -> None:
    for end in (b"\n", b"\r\n", b""):
        assert lines_of(b"x" * MAX_LINE_BYTES + end) == [b"x" * MAX_LINE_BYTES]


def test_a_longer_line_comes_in_parts_that_say_so() -> None:
    data = b"x" * (2 * MAX_LINE_BYTES + 5)
    whole = lines_of(data + b"\n", b"next\n")
    sizes = [len(line.removesuffix(CONTINUED)) for line in whole]
    assert sizes == [MAX_LINE_BYTES, MAX_LINE_BYTES, 5, 4]
    assert [line.endswith(CONTINUED) for line in whole] == [True, True, False, False]
    chunks = [data[start : start + 1000] for start in range(0, len(data), 1000)]
    assert lines_of(*chunks, b"\nnext\n") == whole


def test_a_secret_across_the_cut_is_masked_once() -> None:
    for before in range(MAX_LINE_BYTES - len(SECRET) - 1, MAX_LINE_BYTES + 2):
        first, second = lines_of(
            b"x" * before + SECRET.encode() + b"tail" * 9 + b"\n", redactor=MASKING
        )
        text = first.removesuffix(CONTINUED) + second
        assert text == b"x" * before + b"[secret TOKEN]" + b"tail" * 9


def test_a_letter_is_not_cut_in_two() -> None:
    first, second = lines_of(b"x" * (MAX_LINE_BYTES - 1) + "é tail".encode() + b"\n")
    assert first.removesuffix(CONTINUED) == b"x" * (MAX_LINE_BYTES - 1)
    assert second.decode() == "é tail"


def test_a_stream_without_line_ends_is_held_to_one_line() -> None:
    framer = LineFramer(MASKING)
    for _ in range(100):
        list(framer.feed(b"y" * MAX_LINE_BYTES))
        assert len(framer._rest) <= MAX_LINE_BYTES + MASKING.longest_bytes + 2
