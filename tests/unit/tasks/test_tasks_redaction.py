"""Secret values do not get into a log, in whatever form."""

from __future__ import annotations

import base64
import binascii
import json
import threading
import urllib.parse
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.logs.masking import MIN_CHARS, unmasked, warnings
from tasks.logs.redaction import Redactor

VALUE = 'p/ss+w"rd é\\n?&=1'
ENCODERS: dict[str, Callable[[str], str]] = {
    "plain": lambda text: text,
    "JSON": json.dumps,
    "JSON in UTF-8": lambda text: json.dumps(text, ensure_ascii=False),
    "JSON in JSON": lambda text: json.dumps(json.dumps({"k": text})),
    "JSON with escaped slashes": lambda text: json.dumps(text).replace("/", "\\/"),
    "repr": repr,
    "repr of a dict": lambda text: repr({"k": text}),
    "a URL's query": urllib.parse.quote_plus,
    "a URL's path": urllib.parse.quote,
    "a URL's part": lambda text: urllib.parse.quote(text, safe=""),
    "hex": lambda text: text.encode().hex(),
    "HEX": lambda text: text.encode().hex().upper(),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "URL-safe base64": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "lines of base64": lambda text: base64.encodebytes(text.encode() * 9).decode(),
}


def text_of(redact: Redactor, text: str) -> str:
    return redact(text.encode()).decode()


def test_values_are_masked_wherever_they_stand() -> None:
    redact = Redactor({"TOKEN": "hunter2hunter2", "OTHER": "abcdefgh"})
    assert redact(b"a=hunter2hunter2,b=abcdefgh;hunter2hunter2\nx\nhunter2hunter2\n") == (
        b"a=[secret TOKEN],b=[secret OTHER];[secret TOKEN]\nx\n[secret TOKEN]\n"
    )


def test_ordinary_lines_stay_as_they_are() -> None:
    data = b"nothing here\n" * 1000
    assert Redactor({"TOKEN": "hunter2hunter2"})(data) is data
    assert Redactor({})(data) is data


def test_short_values_are_left_alone_and_named() -> None:
    secrets = {"FLAG": "true", "N": "1" * (MIN_CHARS - 1), "LONG": "1" * MIN_CHARS}
    assert Redactor(secrets)(b"true 11111 111111\n") == b"true 11111 [secret LONG]\n"
    assert unmasked(secrets) == ["FLAG", "N"]
    assert "secret FLAG has fewer than 6 characters" in warnings(secrets)[0]


def test_the_longest_match_wins() -> None:
    redact = Redactor({"SHORT": "abcdef", "LONG": "abcdefghij"})
    assert (
        redact(b"abcdefghij abcdef abcdefghi") == b"[secret LONG] [secret SHORT] [secret SHORT]ghi"
    )


def test_characters_of_patterns_are_plain_characters() -> None:
    redact = Redactor({"TOKEN": "a.b*c(d|e"})
    assert redact(b"a.b*c(d|e axbxcxdxe") == b"[secret TOKEN] axbxcxdxe"


def test_a_value_of_several_lines_is_masked_line_by_line() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nab\r\nhkiG9w0BAQEFAASC\n-----END KEY-----\n"
    redact = Redactor({"PEM": key})
    for line in ("MIIEvQIBADANBgkq", "x hkiG9w0BAQEFAASC", json.dumps(key)):
        assert "[secret PEM]" in text_of(redact, line)
    assert text_of(redact, "ab") == "ab"
    assert "MIIE" not in text_of(redact, json.dumps(key)) + text_of(redact, key)


def test_what_overlaps_is_masked_as_a_whole() -> None:
    redact = Redactor({"FIRST": "abcdef", "SECOND": "defghi", "INNER": "bcdefg"})
    assert redact(b"-abcdefghi-") == b"-[secret FIRST]-"


def test_other_threads_have_their_turn_while_a_hostile_line_is_masked() -> None:
    """A line that took a quarter of a minute with the interpreter's lock held: longer than a lease,
    so that every strategy of the runner was given up."""
    value = "\n".join(("a" * (number % 50) + f"b{number:x}").ljust(6, "c") for number in range(300))
    redact = Redactor({"KEY": value})
    turns, ended = [0], threading.Event()

    def count() -> None:
        while not ended.is_set():
            turns[0] += 1
            ended.wait(0.0005)

    other = threading.Thread(target=count)
    other.start()
    before = turns[0]
    masked = redact(b"a" * 65536)
    after = turns[0]
    ended.set()
    other.join()
    assert masked == b"a" * 65536
    assert after - before >= 3
    assert redact.is_costly


@pytest.mark.parametrize("name", ENCODERS)
def test_every_form_is_masked(name: str) -> None:
    redact = Redactor({"TOKEN": VALUE})
    encoded = ENCODERS[name](VALUE)
    assert "[secret TOKEN]" in text_of(redact, f"before {encoded} after")


@settings(max_examples=50)
@given(st.binary(max_size=20), st.text(min_size=MIN_CHARS, max_size=90), st.binary(max_size=20))
def test_in_base64_wherever_it_begins(before: bytes, value: str, after: bytes) -> None:
    if len(value.strip()) < MIN_CHARS or "\n" in value or value.splitlines() != [value]:
        value = "secret" + value.encode().hex()
    raw = before + value.encode() + after
    redact = Redactor({"TOKEN": value})
    for coded in (base64.b64encode(raw), base64.urlsafe_b64encode(raw).rstrip(b"=")):
        shown = redact(b"Basic " + coded + b" x\n")
        assert b"[secret TOKEN]" in shown
        assert (
            len(shown) <= len(b"Basic [secret TOKEN] x\n") + (len(before) + len(after)) * 4 // 3 + 6
        )


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(st.from_regex(r"[A-Z]{1,8}", fullmatch=True), st.text(min_size=1)),
    st.text(),
    st.text(),
)
def test_no_value_survives(secrets: dict[str, str], before: str, after: str) -> None:
    redact = Redactor(secrets)
    for name, value in secrets.items():
        masked = text_of(redact, f"{before}\x00{value}\x00{after}")
        if len(value) >= MIN_CHARS and "\n" not in value:
            assert "[secret " in masked
            assert f"\x00{value}\x00" not in masked, name


def test_hundreds_of_forms_do_not_hide_each_other() -> None:
    secrets = {
        f"S{number}": binascii.hexlify(bytes([number] * 12)).decode() for number in range(50)
    }
    redact = Redactor(secrets)
    for name, value in secrets.items():
        assert redact(f"x{value}y".encode()) == f"x[secret {name}]y".encode()
