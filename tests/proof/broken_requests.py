"""Create requests of every broken kind, from a seed."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from dataclasses import dataclass

from proof import broken_archives, nasty

_TEXTS = ("", "x", "é".encode().decode("latin-1"), "a" * 5_000, "\t", "%00", "'\"<>", "\x7f")
_TYPES = (
    *("application/json; charset=utf-16", "application/json; charset=nonsense", "text/plain", ""),
    *("application/x-www-form-urlencoded", "multipart/form-data", "application/vnd.api+json", "/"),
)


@dataclass(frozen=True)
class BrokenRequest:
    """`is_chunked`: without a length, in pieces."""

    kind: str
    content: bytes
    headers: dict[str, str]
    is_chunked: bool = False


def request(chance: random.Random, key: str) -> BrokenRequest:
    """The next one."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    kind = chance.choice(list(_BODIES))
    if kind == "headers":
        return _with_headers(chance, headers)
    if kind == "multipart":
        content, headers["Content-Type"] = _multipart(chance)
        return BrokenRequest(kind, content, headers)
    return BrokenRequest(kind, _BODIES[kind](chance), headers)


def _usable(chance: random.Random) -> bytes:
    return json.dumps(nasty.usable_body(chance)).encode()


_BODIES: dict[str, Callable[[random.Random], bytes]] = {
    "values": nasty.replaced,
    "nesting": nasty.nested,
    "bytes": nasty.damaged,
    "archive": broken_archives.body,
    "headers": _usable,
    "multipart": _usable,
}


def _with_headers(chance: random.Random, headers: dict[str, str]) -> BrokenRequest:
    content = _usable(chance)
    text = chance.choice(_TEXTS)
    change = chance.randrange(7)
    if change == 0:
        headers["Content-Type"] = chance.choice(_TYPES)
    elif change == 1:
        headers["Idempotency-Key"] = text
    elif change == 2:
        headers["X-Request-Id"] = text
    elif change == 3:
        headers["Authorization"] = chance.choice(["", "Bearer", "Bearer " + text, f"Basic {text}"])
    elif change == 4:
        headers["Content-Encoding"] = chance.choice(["gzip", "identity", "br", text])
        content = chance.choice([content, gzip.compress(content)])
    elif change == 5:
        headers["Accept"] = headers["Accept-Encoding"] = headers["Cookie"] = text
    else:
        headers["Range"], headers["X-Forwarded-For"] = "bytes=0-", text
    return BrokenRequest("headers", content, headers, is_chunked=chance.random() < 0.2)


def _multipart(chance: random.Random) -> tuple[bytes, str]:
    """The fields as a form's parts, whole and broken."""
    boundary = chance.choice(["b", "b" * 70, "b" * 300, "é".encode().decode("latin-1"), ""])
    line = f"--{boundary}\r\n".encode("latin-1")
    parts = []
    for name, value in nasty.usable_body(chance).items():
        disposition = f'Content-Disposition: form-data; name="{name}"'
        if chance.random() < 0.2:
            disposition += chance.choice(
                ['; filename="\0"', "; filename=", '; name="', "\r\nX: " * 9]
            )
        parts.append(line + f"{disposition}\r\n\r\n{json.dumps(value)}\r\n".encode())
    if chance.random() < 0.3:
        parts = parts * 20
    content = b"".join(parts) + line[:-2] + chance.choice([b"--\r\n", b"--", b"", b"\0"])
    if chance.random() < 0.3:
        content = content[: chance.randrange(len(content))]
    kind = chance.choice(["form-data", "mixed", "form-data; charset=utf-7"])
    return content, f"multipart/{kind}; boundary={boundary}"
