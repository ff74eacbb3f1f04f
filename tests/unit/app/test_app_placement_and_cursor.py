"""Which queue a strategy waits in, and the ids of log lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidParamsError, ValidationFailedError
from app.logs.cursor import Cursor, parse
from app.strategies.placement import check_targets, choose_queue

KNOWN = {"default": "local", "coinbase": "us-east-1", "kalshi": "eu-west-1"}


@pytest.mark.parametrize(
    ("wanted", "live", "queue"),
    [
        ([], {"coinbase"}, "default"),
        (["coinbase"], set(), "coinbase"),
        (["coinbase", "kalshi"], {"kalshi"}, "kalshi"),
        (["coinbase", "kalshi"], {"kalshi", "coinbase"}, "coinbase"),
        (["coinbase", "kalshi"], {"default"}, "coinbase"),
    ],
)
def test_the_first_live_target_wins_else_the_first(
    wanted: list[str], live: set[str], queue: str
) -> None:
    assert choose_queue(wanted, live) == queue


def test_known_targets_pass() -> None:
    check_targets(["kalshi", "coinbase"], KNOWN)
    check_targets([], KNOWN)


def test_an_unknown_target_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValidationFailedError) as caught:
        check_targets(["coinbase", "coinbose"], KNOWN)
    assert caught.value.details[0].field == "placement.latency_target"
    assert caught.value.details[0].message == (
        "unknown latency target 'coinbose'; did you mean 'coinbase'? "
        "known are coinbase, default, kalshi"
    )


def test_a_target_like_no_other_is_answered_without_a_guess() -> None:
    with pytest.raises(ValidationFailedError) as caught:
        check_targets(["mars"], KNOWN)
    assert "did you mean" not in caught.value.message


@given(st.integers(0, 10**9 - 1), st.integers(0, 10**18 - 1))
def test_a_cursor_reads_what_it_wrote(epoch: int, number: int) -> None:
    assert parse(str(Cursor(epoch, number)), "after") == Cursor(epoch, number)


@pytest.mark.parametrize(
    "text", ["", "3", "3-", "-3", "a-b", "3-4-5", "-1-2", "9" * 19 + "-1", "$"]
)
def test_what_is_no_line_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidParamsError, match="after is the id of a line, such as 3-17"):
        parse(text, "after")
