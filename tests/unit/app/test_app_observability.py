"""What a log line looks like, and that nobody's words begin one of their own."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from app import log_context
from app.observability import JsonFormatter, TextFormatter


def record(text: str, **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("app.x", logging.INFO, "x.py", 1, text, (), None)
    made.created, made.msecs = 1_777_414_125.25, 250.0
    vars(made).update(fields)
    return made


def test_json_has_the_event_its_fields_and_those_of_the_request() -> None:
    with log_context.bound(request_id="r-1", run_id=None):
        line = JsonFormatter().format(record("claimed", strategy_id="s-1"))
    assert json.loads(line) == {
        "ts": 1_777_414_125.25,
        "level": "info",
        "event": "claimed",
        "logger": "app.x",
        "request_id": "r-1",
        "strategy_id": "s-1",
    }
    assert "request_id" not in json.loads(JsonFormatter().format(record("later")))


def test_text_has_the_same_in_one_line() -> None:
    with log_context.bound(request_id="r-1"):
        line = TextFormatter().format(record("claimed", n=3, who="a b"))
    assert line == (
        "2026-04-28T22:08:45.250Z INFO    claimed logger=app.x request_id=r-1 n=3 who=a b"
    )


@pytest.mark.parametrize("words", ["a\nb", "a\r\nERROR forged", 'a "b', "\x1b[2J", "a\u2028b"])
def test_nobodys_words_begin_a_line(words: str) -> None:
    for line in (
        TextFormatter().format(record(words, path=words)),
        JsonFormatter().format(record(words, path=words)),
    ):
        assert "\n" not in line
        assert "\r" not in line
        assert "\x1b" not in line


def test_a_traceback_stands_with_its_event() -> None:
    try:
        raise ValueError("why")
    except ValueError:
        made = record("broken")
        made.exc_info = sys.exc_info()
    assert "ValueError: why" in json.loads(JsonFormatter().format(made))["traceback"]
    assert TextFormatter().format(made).endswith("ValueError: why")


@pytest.mark.parametrize("value", ["", "a" * 129, "a\nb", "\u00e4", None, 5])
def test_unusable_ids_are_none(value: object) -> None:
    assert log_context.usable_id(value) == ""


def test_fields_end_with_their_block() -> None:
    with log_context.bound(request_id="a"):
        with log_context.bound(run_id="b"):
            assert dict(log_context.present()) == {"request_id": "a", "run_id": "b"}
        assert log_context.request_id() == "a"
    assert log_context.request_id() is None
