"""The DNS parser: right with what is right, and one kind of error for everything else."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.network import dns_message
from sandbox.network.dns_message import MalformedError

HEAD = struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0)


def packed(name: str) -> bytes:
    return b"".join(bytes([len(x)]) + x.encode() for x in name.split(".")) + b"\0"


def question(name: str, kind: int = 1) -> bytes:
    return HEAD + packed(name) + struct.pack("!HH", kind, 1)


def reply(name: str, *records: bytes, number: int = 7, flags: int = 0x8180) -> bytes:
    head = struct.pack("!HHHHHH", number, flags, 1, len(records), 0, 0)
    return head + packed(name) + struct.pack("!HH", 1, 1) + b"".join(records)


def record(owner: bytes, kind: int, data: bytes, ttl_s: int = 60) -> bytes:
    return owner + struct.pack("!HHIH", kind, 1, ttl_s, len(data)) + data


def test_a_query_and_its_answer() -> None:
    query = dns_message.parse_query(question("API.Kalshi.com"))
    assert (query.number, query.name, query.kind) == (7, "api.kalshi.com", 1)
    answer = dns_message.answer(query, dns_message.NO_ERROR, ["1.2.3.4", "5.6.7.8"], 90)
    assert packed("API.Kalshi.com") in answer, "the spelling comes back"
    again = dns_message.parse_reply(answer, 7, "api.kalshi.com")
    assert (again.code, again.addresses, again.ttl_s) == (0, ("1.2.3.4", "5.6.7.8"), 90)


def test_our_own_question_is_one() -> None:
    query = dns_message.parse_query(dns_message.ask(99, "a.b.example"))
    assert (query.number, query.name, query.kind) == (99, "a.b.example", 1)


@pytest.mark.parametrize("name", ["a..b", "", "a" * 64 + ".com", ".".join(["abcdefg"] * 40)])
def test_no_question_for_what_is_no_name(name: str) -> None:
    with pytest.raises(MalformedError):
        dns_message.ask(1, name)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        HEAD[:11],
        HEAD,
        HEAD + b"\3ww",
        HEAD + b"\xc0\x0c\0\1\0\1",
        HEAD + b"\x40a\0\0\1\0\1",
        HEAD + packed("a.example") + b"\0\1",
        HEAD + packed("a.example") + b"\0\1\0\3",
        HEAD + b"\1.\0\0\1\0\1",
        HEAD + b"\2\xff\xfe\0\0\1\0\1",
        HEAD + b"\x3f" + b"a" * 63 + (b"\x3f" + b"a" * 63) * 4 + b"\0\0\1\0\1",
        struct.pack("!HHHHHH", 7, 0x8180, 1, 0, 0, 0) + packed("a.b") + b"\0\1\0\1",
        struct.pack("!HHHHHH", 7, 0x2800, 1, 0, 0, 0) + packed("a.b") + b"\0\1\0\1",
        struct.pack("!HHHHHH", 7, 0x0100, 2, 0, 0, 0) + packed("a.b") + b"\0\1\0\1",
    ],
)
def test_malformed_queries(data: bytes) -> None:
    with pytest.raises(MalformedError):
        dns_message.parse_query(data)


def test_an_alias_is_followed_inside_a_reply() -> None:
    found = dns_message.parse_reply(
        reply(
            "a.example",
            record(b"\xc0\x0c", 5, packed("b.example"), 300),
            record(packed("b.example"), 5, packed("c.example"), 20),
            record(packed("c.example"), 1, bytes([1, 2, 3, 4])),
            record(packed("unasked.example"), 1, bytes([6, 6, 6, 6])),
        ),
        7,
        "a.example",
    )
    assert found.addresses == ("1.2.3.4",)
    assert found.ttl_s == 20
    assert found.alias is None


def test_an_alias_without_its_address() -> None:
    data = reply("a.example", record(b"\xc0\x0c", 5, packed("b.example")))
    assert dns_message.parse_reply(data, 7, "a.example").alias == "b.example"


def test_aliases_in_a_circle_end() -> None:
    data = reply(
        "a.example",
        record(packed("a.example"), 5, packed("b.example")),
        record(packed("b.example"), 5, packed("a.example")),
    )
    assert dns_message.parse_reply(data, 7, "a.example").addresses == ()


def test_pointers_that_lead_forward_or_to_themselves() -> None:
    at = len(reply("a.example"))
    for owner in (bytes([0xC0, at]), bytes([0xC0, at + 2]), b"\xff\xff", b"\xc0"):
        with pytest.raises(MalformedError):
            dns_message.parse_reply(reply("a.example", record(owner, 1, bytes(4))), 7, "a.example")


@pytest.mark.parametrize(
    "data",
    [
        reply("a.example", number=8),
        reply("b.example"),
        reply("a.example", flags=0x0100),
        reply("a.example", record(b"\xc0\x0c", 1, bytes(4))[:-1]),
        reply("a.example")[:-4],
    ],
)
def test_what_does_not_answer_the_question(data: bytes) -> None:
    with pytest.raises(MalformedError):
        dns_message.parse_reply(data + b"", 7, "a.example")


@given(st.binary(max_size=600))
def test_any_bytes_for_a_query(data: bytes) -> None:
    try:
        query = dns_message.parse_query(data)
    except MalformedError:
        complaint = dns_message.complaint(data)
        assert complaint is None or len(complaint) == 12
    else:
        assert len(query.name) <= 255
        dns_message.answer(query, dns_message.NO_SUCH_NAME)


@given(st.binary(max_size=300), st.integers(0, 65535))
def test_any_bytes_after_a_good_beginning(tail: bytes, answers: int) -> None:
    head = struct.pack("!HHHHHH", 7, 0x8180, 1, answers, 0, 0) + question("a.example")[12:]
    try:
        found = dns_message.parse_reply(head + tail, 7, "a.example")
    except MalformedError:
        return
    assert all(address.count(".") == 3 for address in found.addresses)


def test_names_of_more_labels_than_anybody_has() -> None:
    """One process answers for all programs: 250 records of 127 labels each took it 20 ms."""
    many = ".".join("a" * 50)
    with pytest.raises(MalformedError, match="too long"):
        dns_message.parse_query(question(many))
    with pytest.raises(MalformedError, match="too long"):
        dns_message.parse_reply(
            reply("a.example", record(packed(many), 1, bytes(4))), 7, "a.example"
        )
    usual = ".".join("a" * 40)
    assert dns_message.parse_query(question(usual)).name == usual


def test_the_first_records_of_very_many_are_enough() -> None:
    records = [record(b"\xc0\x0c", 1, bytes([8, 8, 0, n])) for n in range(200)]
    found = dns_message.parse_reply(reply("a.example", *records), 7, "a.example")
    assert found.addresses == tuple(f"8.8.0.{n}" for n in range(64))
