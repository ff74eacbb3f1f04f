"""The little of DNS (RFC 1035) that a resolver for IPv4 addresses needs, for hostile input.

Every parser raises `MalformedError` and nothing else. What it costs is bounded, because one process
answers for all programs: so many records, each of a name of so many labels and pointers.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass

NO_ERROR, FORMAT_ERROR, SERVER_FAILURE, NO_SUCH_NAME, NOT_IMPLEMENTED, REFUSED = range(6)
TYPE_A, TYPE_CNAME, TYPE_AAAA = 1, 5, 28
_CLASS_IN = 1
_HEADER = struct.Struct("!HHHHHH")
_QUESTION = struct.Struct("!HH")
_RECORD = struct.Struct("!HHIH")
_RESPONSE, _OPCODE, _TRUNCATED, _RECURSION_DESIRED, _RECURSION_THERE = (
    0x8000,
    0x7800,
    0x0200,
    0x0100,
    0x0080,
)
_MAX_NAME = 255
_MAX_LABEL = 63
_MAX_STEPS = 48  # a name of 127 labels is allowed by the RFC, and nobody's
_MAX_RECORDS = 64
_POINTS_TO_QUESTION = 0xC00C
_HOST_NAME = re.compile(r"[a-z0-9_.-]+")


class MalformedError(Exception):
    """No DNS message, or none of the kind that was expected."""


@dataclass(frozen=True)
class Query:
    """What a program asks. `name` is in lower case; `question` are the bytes as they came."""

    number: int
    flags: int
    name: str
    kind: int
    question: bytes


@dataclass(frozen=True)
class Reply:
    """What a DNS server said of a name: addresses, or the name to ask for instead."""

    code: int
    is_truncated: bool
    addresses: tuple[str, ...] = ()
    ttl_s: int = 0
    alias: str | None = None


def parse_query(data: bytes) -> Query:
    """The question of a packet. Raises `MalformedError` for what is none."""
    number, flags, questions, *_ = _header(data)
    if flags & (_RESPONSE | _OPCODE) or questions != 1:
        raise MalformedError("not a query with one question")
    name, end = _name(data, _HEADER.size, may_point=False)
    if end + _QUESTION.size > len(data):
        raise MalformedError("cut off")
    kind, class_ = _QUESTION.unpack_from(data, end)
    if class_ != _CLASS_IN:
        raise MalformedError("not of the internet's class")
    question = data[_HEADER.size : end + _QUESTION.size]
    return Query(number, flags, name, kind, question)


def answer(query: Query, code: int, addresses: Sequence[str] = (), ttl_s: int = 0) -> bytes:
    """Every address as a record of the very name that was asked for."""
    flags = _RESPONSE | (query.flags & _RECURSION_DESIRED) | _RECURSION_THERE | code
    records = b"".join(
        struct.pack("!H", _POINTS_TO_QUESTION)
        + _RECORD.pack(TYPE_A, _CLASS_IN, ttl_s, 4)
        + socket.inet_aton(address)
        for address in addresses
    )
    header = _HEADER.pack(query.number, flags, 1, len(addresses), 0, 0)
    return header + query.question + records


def complaint(data: bytes) -> bytes | None:
    """What to answer to something that is no query; None: nothing."""
    if len(data) < _HEADER.size or data[2] & 0x80:
        return None
    number = int.from_bytes(data[:2], "big")
    return _HEADER.pack(number, _RESPONSE | FORMAT_ERROR, 0, 0, 0, 0)


def ask(number: int, name: str) -> bytes:
    """A query for the addresses of `name`. Raises `MalformedError` for what is no name."""
    packed = b""
    for label in name.split("."):
        encoded = label.encode("ascii", errors="replace")
        if not 1 <= len(encoded) <= _MAX_LABEL:
            raise MalformedError("a label that is empty or too long")
        packed += bytes([len(encoded)]) + encoded
    if len(packed) >= _MAX_NAME:
        raise MalformedError("a name that is too long")
    header = _HEADER.pack(number, _RECURSION_DESIRED, 1, 0, 0, 0)
    return header + packed + b"\0" + _QUESTION.pack(TYPE_A, _CLASS_IN)


def parse_reply(data: bytes, number: int, name: str) -> Reply:
    """The part of a reply that is about `name`, aliases followed. Raises `MalformedError` when it
    does not answer this question; whatever else is in it is left alone."""
    theirs, flags, questions, answers, *_ = _header(data)
    if theirs != number or not flags & _RESPONSE or questions != 1:
        raise MalformedError("no reply to this question")
    asked, position = _name(data, _HEADER.size, may_point=False)
    if asked != name:
        raise MalformedError("a reply to another question")
    if position + _QUESTION.size > len(data):
        raise MalformedError("cut off")
    records = _answers(data, position + _QUESTION.size, min(answers, _MAX_RECORDS))
    aliases = {owner: target for owner, target, _ in records if not isinstance(target, bytes)}
    ttls = [ttl_s for _, _, ttl_s in records]
    last = name
    for _ in range(len(aliases) + 1):
        last = str(aliases.get(last, last))
    found = tuple(
        dict.fromkeys(
            socket.inet_ntoa(target)
            for owner, target, _ in records
            if owner == last and isinstance(target, bytes)
        )
    )
    return Reply(
        code=flags & 0xF,
        is_truncated=bool(flags & _TRUNCATED),
        addresses=found,
        ttl_s=min(ttls, default=0),
        alias=None if found or last == name else last,
    )


def is_host_name(name: str) -> bool:
    """Letters, digits, hyphens, underscores and dots alone."""
    return _HOST_NAME.fullmatch(name) is not None


def _answers(data: bytes, position: int, count: int) -> list[tuple[str, bytes | str, int]]:
    """(owner, address or alias, seconds to live) of the A and CNAME records."""
    found: list[tuple[str, bytes | str, int]] = []
    for _ in range(count):
        owner, position = _name(data, position, may_point=True)
        if position + _RECORD.size > len(data):
            raise MalformedError("cut off")
        kind, class_, ttl_s, length = _RECORD.unpack_from(data, position)
        position += _RECORD.size
        if position + length > len(data):
            raise MalformedError("cut off")
        ttl_s = ttl_s if ttl_s < 1 << 31 else 0  # RFC 2181
        if class_ == _CLASS_IN and kind == TYPE_A and length == 4:
            found.append((owner, data[position : position + 4], ttl_s))
        elif class_ == _CLASS_IN and kind == TYPE_CNAME:
            found.append((owner, _name(data, position, may_point=True)[0], ttl_s))
        position += length
    return found


def _header(data: bytes) -> tuple[int, ...]:
    if len(data) < _HEADER.size:
        raise MalformedError("cut off")
    return _HEADER.unpack_from(data)


def _name(data: bytes, position: int, *, may_point: bool) -> tuple[str, int]:
    """The name at `position`, and where the next thing begins."""
    labels: list[bytes] = []
    end, length = -1, 0
    for _ in range(_MAX_STEPS):
        if position >= len(data):
            raise MalformedError("cut off")
        size = data[position]
        if size & 0xC0 == 0xC0 and may_point and position + 1 < len(data):
            target = int.from_bytes(data[position : position + 2], "big") & 0x3FFF
            end = position + 2 if end < 0 else end
            if target >= position:
                raise MalformedError("a pointer that does not lead back")
            position = target
        elif size > _MAX_LABEL:
            raise MalformedError("a label that is none")
        elif size == 0:
            return _text(labels), (position + 1 if end < 0 else end)
        else:
            labels.append(data[position + 1 : position + 1 + size])
            position += 1 + size
            length += 1 + size
        if length > _MAX_NAME:
            break
    raise MalformedError("a name that is too long")


def _text(labels: list[bytes]) -> str:
    """Dots and other bytes that no host name has would read as something else later on."""
    if any(b"." in label or not label.isascii() for label in labels):
        raise MalformedError("a label that is in no name of a host")
    return b".".join(labels).decode("ascii").lower()
