"""Lists of strategies: filters, pages, and the answer without either."""

from __future__ import annotations

from typing import Any

import pytest
from support.api import Caller, error
from support.owners import Rows

from app.strategies.listing import Place, parse_place


def listed(caller: Caller, **query: Any) -> dict[str, Any]:
    answer = caller.get("/strategies", query_string=query)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json
    return page


def names(caller: Caller, **query: Any) -> list[str]:
    return [row["name"] for row in listed(caller, **query)["strategies"]]


@pytest.fixture
def four(caller: Caller, rows: Rows) -> Caller:
    """A caller with four strategies: the two in the middle were created at the same moment."""
    targets = {"latency_target": ["kalshi"]}
    ids = [
        caller.created("btc-a")["strategy_id"],
        caller.created("btc-b", start_immediately=True)["strategy_id"],
        caller.created("BTC-c", placement=targets, start_immediately=True)["strategy_id"],
        caller.created("b_c-d", placement=targets)["strategy_id"],
    ]
    for strategy_id, created_at in zip(ids, (1000.1, 2000.2, 2000.2, 3000.3), strict=True):
        rows.change(strategy_id, created_at=created_at)
    return caller


def test_without_a_question_nothing_is_added(four: Caller) -> None:
    assert set(listed(four)) == {"strategies"}
    assert len(names(four)) == 4


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"status": "queued"}, ["btc-b", "BTC-c"]),
        ({"status": "queued,stopped"}, ["btc-a", "btc-b", "BTC-c", "b_c-d"]),
        ({"status": "failed"}, []),
        ({"name_prefix": "btc"}, ["btc-a", "btc-b"]),
        ({"name_prefix": "b_c"}, ["b_c-d"]),
        ({"latency_target": "kalshi"}, ["BTC-c", "b_c-d"]),
        ({"latency_target": "kalshi", "status": "queued"}, ["BTC-c"]),
    ],
    # A set in the name of a test has another order in each process that shares them out.
    ids=lambda value: str(sorted(value.items() if isinstance(value, dict) else value)),
)
def test_filters(four: Caller, query: dict[str, Any], found: list[str]) -> None:
    assert sorted(names(four, **query)) == sorted(found)
    assert "next_cursor" not in listed(four, **query)


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5])
def test_pages_hold_everything_once_and_in_order(four: Caller, limit: int) -> None:
    seen: list[str] = []
    query: dict[str, Any] = {"limit": limit}
    while True:
        page = listed(four, **query)
        assert len(page["strategies"]) <= limit
        seen += [row["name"] for row in page["strategies"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == names(four)


def test_a_page_does_not_move_when_one_is_made_in_between(four: Caller) -> None:
    first = listed(four, limit=2)
    four.created("newest")
    rest = names(four, limit=9, cursor=first["next_cursor"])
    assert [row["name"] for row in first["strategies"]] + rest == names(four)[1:]


@pytest.mark.parametrize(
    "query",
    [
        {"status": "paused"},
        {"limit": 0},
        {"limit": 201},
        {"state": "queued"},
        {"cursor": str(Place(1.0, "x"))},
        {"cursor": "not-a-cursor", "limit": 2},
        {"cursor": "WzEuMF0", "limit": 2},
        {"cursor": "W05hTiwgIngiXQ", "limit": 2},
        {"cursor": "é", "limit": 2},
        {"cursor": "A" * 300, "limit": 2},
        {"name_prefix": "a\0"},
    ],
    ids=str,
)
def test_bad_questions(caller: Caller, query: dict[str, Any]) -> None:
    error(caller.get("/strategies", query_string=query), 400, "INVALID_PARAMS")


def test_a_place_comes_back_as_it_was() -> None:
    place = Place(1777414125.123456789, "5dfbea6f-3698-4cf4-b493-3a48a69797d4")
    assert parse_place(str(place)) == place
