"""Cutting bytes into lines: the same lines, however the bytes arrive."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from tasks.logs.framing import CONTINUED, MAX_LINE_BYTES, LineFramer

_PIECE = st.binary(max_size=40) | st.sampled_from(
    [b"\n", b"\r\n", b"\r", b"\xc3", b"\xa9", b"\n\n"]
)
_DATA = st.lists(_PIECE, max_size=30).map(b"".join)


def lines_of(*chunks: bytes) -> list[str]:
    framer = LineFramer()
    lines = [line for chunk in chunks for line in framer.feed(chunk)]
    return lines + list(framer.close())


@given(_DATA, st.lists(st.integers(0, 1000)))
def test_any_bytes_in_any_chunking_give_the_same_lines(data: bytes, cuts: list[int]) -> None:
    places = sorted({0, *(cut % (len(data) + 1) for cut in cuts), len(data)})
    chunks = [data[start:end] for start, end in itertools.pairwise(places)]
    assert b"".join(chunks) == data
    assert lines_of(*chunks) == lines_of(data)


@given(_DATA)
def test_nothing_is_lost(data: bytes) -> None:
    expected = [
        line.removesuffix(b"\r").decode("utf-8", errors="replace") for line in data.split(b"\n")
    ]
    if data.endswith(b"\n") or not data:
        expected.pop()
    assert lines_of(data) == expected


def test_a_line_waits_for_its_end() -> None:
    framer = LineFramer()
    assert list(framer.feed(b"one\ntw")) == ["one"]
    assert list(framer.feed(b"o")) == []
    assert list(framer.feed(b"\nthree")) == ["two"]
    assert list(framer.close()) == ["three"]
    assert list(framer.close()) == []


def test_empty_lines_are_lines() -> None:
    assert lines_of(b"\n\na\n\n") == ["", "", "a", ""]


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert lines_of(b"\xff\xfe ok\n") == ["\ufffd\ufffd ok"]


def test_the_longest_line_is_whole() -> None:
    assert lines_of(b"x" * MAX_LINE_BYTES + b"\n") == ["x" * MAX_LINE_BYTES]


def test_a_longer_line_comes_in_parts_that_say_so() -> None:
    data = b"x" * (2 * MAX_LINE_BYTES + 5)
    whole = lines_of(data + b"\n", b"next\n")
    assert [len(line.removesuffix(CONTINUED)) for line in whole] == [
        MAX_LINE_BYTES,
        MAX_LINE_BYTES,
        5,
        4,
    ]
    assert [line.endswith(CONTINUED) for line in whole] == [True, True, False, False]
    chunks = [data[start : start + 1000] for start in range(0, len(data), 1000)]
    assert lines_of(*chunks, b"\nnext\n") == whole


def test_a_stream_without_line_ends_is_held_to_one_line() -> None:
    framer = LineFramer()
    for _ in range(100):
        list(framer.feed(b"y" * MAX_LINE_BYTES))
        assert len(framer._rest) <= MAX_LINE_BYTES
