"""Secret values do not get into a log."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from tasks.logs.redaction import MIN_CHARS, Redactor


def test_values_are_masked_wherever_they_stand() -> None:
    redact = Redactor({"TOKEN": "hunter2hunter2", "OTHER": "abcdefgh"})
    assert redact("a=hunter2hunter2,b=abcdefgh;hunter2hunter2") == (
        "a=[secret TOKEN],b=[secret OTHER];[secret TOKEN]"
    )


def test_ordinary_lines_stay_as_they_are() -> None:
    assert Redactor({"TOKEN": "hunter2hunter2"})("nothing here") == "nothing here"
    assert Redactor({})("nothing here") == "nothing here"


def test_short_values_are_left_alone() -> None:
    assert Redactor({"FLAG": "true", "N": "1" * (MIN_CHARS - 1)})("true 11111") == "true 11111"


def test_the_longest_match_wins() -> None:
    redact = Redactor({"SHORT": "abcdef", "LONG": "abcdefghij"})
    assert redact("abcdefghij abcdef") == "[secret LONG] [secret SHORT]"


def test_characters_of_patterns_are_plain_characters() -> None:
    redact = Redactor({"TOKEN": "a.b*c(d|e"})
    assert redact("a.b*c(d|e axbxcxdxe") == "[secret TOKEN] axbxcxdxe"


def test_a_value_of_several_lines_is_masked_line_by_line() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nab\r\nhkiG9w0BAQEFAASC\n-----END KEY-----\n"
    redact = Redactor({"PEM": key})
    for line in ("MIIEvQIBADANBgkq", "x hkiG9w0BAQEFAASC"):
        assert redact(line).endswith("[secret PEM]")
    assert redact("ab") == "ab"
    assert redact(key.strip()) == "[secret PEM]"


def test_what_overlaps_is_masked_as_a_whole() -> None:
    redact = Redactor({"FIRST": "abcdef", "SECOND": "defghi", "INNER": "bcdefg"})
    assert redact("-abcdefghi-") == "-[secret FIRST]-"


def test_other_threads_have_their_turn_while_a_hostile_line_is_masked() -> None:
    """A line that took a quarter of a minute with the interpreter's lock held: longer than a lease,
    so that every strategy of the runner was given up."""
    value = "\n".join(
        ("a" * (number % 50) + f"b{number:x}").ljust(6, "c") for number in range(2000)
    )
    redact = Redactor({"KEY": value})
    turns, ended = [0], threading.Event()

    def count() -> None:
        while not ended.is_set():
            turns[0] += 1
            ended.wait(0.0005)

    other = threading.Thread(target=count)
    other.start()
    before = turns[0]
    masked = redact("a" * 65536)
    after = turns[0]
    ended.set()
    other.join()
    assert masked == "a" * 65536
    assert after - before >= 3


@given(
    st.dictionaries(st.from_regex(r"[A-Z]{1,8}", fullmatch=True), st.text(min_size=1)),
    st.text(),
    st.text(),
)
def test_no_value_survives(secrets: dict[str, str], before: str, after: str) -> None:
    redact = Redactor(secrets)
    for name, value in secrets.items():
        masked = redact(f"{before}\x00{value}\x00{after}")
        if len(value) >= MIN_CHARS:
            assert "[secret " in masked
            assert f"\x00{value}\x00" not in masked, name
