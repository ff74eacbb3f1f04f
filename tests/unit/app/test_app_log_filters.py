"""Conditions on JSON lines: numbers, odd numbers, nested fields, and lines that are no objects."""

from __future__ import annotations

import json

import pytest

from app.logs.filters import Filter, parse_condition
from app.logs.stream import Block

ORDER_ID = 1234567890123456789


def passes(condition: str, line: str) -> bool:
    wanted = Filter(where=(parse_condition(condition),))
    return bool(list(wanted.lines(1, Block(1, "stdout", 1, line.encode() + b"\n"))))


@pytest.mark.parametrize(
    ("condition", "value", "expected"),
    [
        ("n=5", 5, True),
        ("n==5", 5, True),
        ("n = 5 ", 5, True),
        ("n=5.0", 5, True),
        ("n>5", 5, False),
        ("n>=5", 5, True),
        ("n<1e3", 5, True),
        ("n=+5", 5, True),
        ("n=1_0", 10, False),
        ("n=\u0665", 5, False),
        ("n!=nan", 5, True),
        ("n>nan", 5, False),
        ("n>inf", 5, False),
        ("n<1e999", 5, False),
        ("n=NaN", float("nan"), True),
        ("n=Infinity", float("inf"), True),
        ("n>1", float("inf"), True),
        (f"n={ORDER_ID}", ORDER_ID, True),
        (f"n={ORDER_ID}", ORDER_ID + 1, False),
        (f"n>{10**30 - 1}", 10**30, True),
        ("n=5", "5", True),
        ("n=true", True, True),
        ("n=1", True, False),
        ("n=null", None, True),
        ("n=[1, 2]", [1, 2], True),
        ("n=x=y", "x=y", True),
        ("n.a.b=1", {"a": {"b": 1}}, True),
        ("n.a.b=1", {"a": [1]}, False),
        ("n.a=1", 1, False),
        ("n=", "", True),
    ],
)
def test_a_value(condition: str, value: object, expected: bool) -> None:
    assert passes(condition.strip(), json.dumps({"n": value})) is expected


@pytest.mark.parametrize(
    "line",
    [
        '{"n": ' + "9" * 5000 + "}",
        "[" * 100_000,
        '{"n":' * 9000,
        '{"n": 5',
        "[5]",
        "n=5",
        "",
        "\x00{",
    ],
)
def test_what_is_no_object_does_not_match(line: str) -> None:
    assert not passes("n=5", line)
    assert not passes("n!=6", line)


def test_a_number_of_thousands_of_digits_is_compared() -> None:
    assert passes("n<" + "9" * 4000, '{"n": 1}')
    assert not passes("n=" + "9" * 4200, '{"n": 1}')
    assert not passes("n<" + "9" * 4000, '{"n": NaN}')
    assert passes("n<" + "9" * 4000, '{"n": 1.5}')


def test_a_name_in_any_script() -> None:
    assert passes("größe=1", '{"größe": 1}')
