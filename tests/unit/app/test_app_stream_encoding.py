"""How log lines are packed into entries, and where a reader is told that some are missing."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from app.logs.chunks import pack, unpack
from app.logs.records import record_json, with_gap
from app.logs.stream import Batch, Block, Channel, Line, block_of, decode, encode, entry_id

BLOCKS = st.lists(
    st.builds(
        lambda ts_ms, channel, lines: Block(
            ts_ms, channel, len(lines), b"".join(line.replace(b"\n", b"") + b"\n" for line in lines)
        ),
        st.integers(10**12, 2**43),
        st.sampled_from([str(channel) for channel in Channel]),
        st.lists(st.binary(max_size=30), min_size=1, max_size=5),
    ),
    min_size=1,
    max_size=5,
)


@given(st.integers(1, 10**12), BLOCKS, st.booleans())
def test_an_entry_holds_what_was_put_into_it(first: int, blocks: list[Block], is_end: bool) -> None:
    batch = Batch(first, tuple(blocks), is_end)
    entry = encode(blocks, is_end=is_end)
    assert decode(entry_id(batch.last).encode(), entry) == batch
    assert [line.number for line in batch.lines] == list(range(first, batch.last + 1))


def test_what_is_no_text_is_replaced() -> None:
    blocks = [
        block_of(10**12, Channel.SYSTEM, "a\ud800b\nc"),
        Block(10**12, "stdout", 1, b"\xff\0\n"),
    ]
    lines = decode(b"2-0", encode(blocks)).lines
    assert [line.text for line in lines] == ["a?b c", "\ufffd\0"]


def batch(*numbers: int) -> Batch:
    blocks = [block_of(10**12 + number, Channel.STDOUT, f"line {number}") for number in numbers]
    return Batch(numbers[0], tuple(blocks))


def texts(lines: list[Line]) -> list[tuple[int, str, str]]:
    return [(one.number, one.channel, one.text) for one in lines]


def test_a_gap_is_marked_where_it_is() -> None:
    assert texts(with_gap(batch(3, 4), 0)) == [
        (2, "system", "2 lines of this run are not kept any more"),
        (3, "stdout", "line 3"),
        (4, "stdout", "line 4"),
    ]


def test_no_gap_no_marker() -> None:
    assert texts(with_gap(batch(5, 6), 4)) == [(5, "stdout", "line 5"), (6, "stdout", "line 6")]
    assert texts(with_gap(batch(5, 6), 5)) == [(6, "stdout", "line 6")]
    assert with_gap(batch(5, 6), 6) == []


@given(BLOCKS)
def test_a_chunk_of_the_archive_holds_what_was_packed(blocks: list[Block]) -> None:
    whole = Batch(7, tuple(blocks), True)
    assert unpack(pack([whole]), whole.last, is_end=True) == whole


@given(st.integers(1, 9), st.integers(0, 2**50), st.sampled_from(list(Channel)), st.text())
def test_a_record_is_json(epoch: int, number: int, channel: Channel, text: str) -> None:
    record = json.loads(record_json(epoch, "run", Line(number, 5, channel, text)))
    assert record == {
        "id": f"{epoch}-{number}",
        "run_id": "run",
        "ts_ms": 5,
        "stream": str(channel),
        "line": text,
    }
