"""How log lines are packed into entries, and where a reader is told that some are missing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.logs.service import with_gap_markers
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


def line(number: int) -> Line:
    return Line(number, 1_700_000_000_000 + number, Channel.STDOUT, f"line {number}")


def texts(lines: list[Line]) -> list[tuple[int, str, str]]:
    return [(one.number, one.channel, one.text) for one in lines]


def test_a_gap_is_marked_where_it_is() -> None:
    assert texts(with_gap_markers([line(3), line(4), line(8)], 0)) == [
        (2, "system", "2 lines of this run are not kept any more"),
        (3, "stdout", "line 3"),
        (4, "stdout", "line 4"),
        (7, "system", "3 lines of this run are not kept any more"),
        (8, "stdout", "line 8"),
    ]


def test_no_gap_no_marker() -> None:
    lines = [line(5), line(6)]
    assert with_gap_markers(lines, 4) == lines
    assert with_gap_markers(lines, None) == lines
    assert with_gap_markers([], 4) == []


@given(st.sets(st.integers(1, 200)), st.integers(0, 50))
def test_markers_account_for_every_number(numbers: set[int], after: int) -> None:
    kept = sorted(number for number in numbers if number > after)
    marked = with_gap_markers([line(number) for number in kept], after)
    assert [one.number for one in marked] == sorted({one.number for one in marked})
    missing = sum(int(one.text.split()[0]) for one in marked if one.channel == Channel.SYSTEM)
    assert missing + len(kept) == (kept[-1] - after if kept else 0)
