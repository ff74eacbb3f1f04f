"""Values that have broken other services, and bodies with one of them in some place."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

from support.archives import base64_of, program

NAMES = ("fuzz-1", "fuzz-2", "fuzz-3")
_DEPTHS = (50, 99, 101, 900, 1_100, 20_000)
_ARTIFACT = base64_of(program("print('fuzz')\n"))
_HOSTED: dict[str, Any] = {
    "entrypoint": "main.py",
    "network": {"mode": "allow", "allow": ["example.com", "*.example.com:443"]},
    "restart": {"policy": "always", "max_restarts": 3, "on": ["exit"], "crash_loop_count": 3},
    "stop": {"grace_secs": 1.5},
    "hooks": {"on_stop": "main.py", "timeout_secs": 5},
    "watchdog": {"silence_secs": 60},
    "schedule": {"cron": "*/5 * * * *", "timezone": "Europe/London", "overlap": "skip"},
    "deploy": {"auto_rollback_secs": 60},
}


def usable_body(chance: random.Random) -> dict[str, Any]:
    """A create body that works, with many of the fields that there are."""
    body: dict[str, Any] = {
        "name": chance.choice(NAMES),
        "runtime": "python",
        "entrypoint": "main.py",
        "artifact_base64": _ARTIFACT,
        "start_immediately": chance.random() < 0.2,
        "env": {"A": "1"},
        "secrets": {"B": "2"},
        "risk": {"limit": 1},
        "resources": {"cpu_millis": 100, "memory_mb": 64, "timeout_secs": 0},
        "placement": {"latency_target": ["default"], "mode": "auto"},
        "manifest": {"strategy": {"name": "fuzz"}, "hosted": copy.deepcopy(_HOSTED)},
    }
    for name in chance.sample(list(_HOSTED)[1:], 2):
        body[name] = copy.deepcopy(_HOSTED[name])
    return body


def value(chance: random.Random) -> Any:
    """One of them."""
    text = chance.choice(
        ["", " ", "\0", "\ud800", "\u202e", "é" * 300, "a" * 70_000, "../x", "/", "-1", "%00"]
    )
    number = chance.choice(
        [0, -1, 2**31, 2**63, -(2**63) - 1, 10**30, 10**400, 1e308, -0.0, 1e-320, 0.1]
    )
    odd = chance.choice([None, True, False, [], {}, [[]], {"": ""}, ["x"] * 300, {"\0": "\0"}])
    special = chance.choice([float("nan"), float("inf"), float("-inf")])
    return chance.choice([text, text, number, number, odd, special])


def replaced(chance: random.Random) -> bytes:
    """A body with some of its values, wherever they lie, replaced, removed, added or renamed."""
    body = usable_body(chance)
    for _ in range(chance.choice([1, 1, 1, 2, 5])):
        where = _somewhere(chance, body)
        key = chance.choice(list(where) or ["x"])
        change = chance.randrange(4)
        if change == 0:
            where.pop(key, None)
        elif change == 1:
            where[str(value(chance))[:100]] = where.get(key)
        else:
            where[key] = value(chance)
    return json.dumps(body).encode("utf-8", "surrogatepass")


def nested(chance: random.Random) -> bytes:
    """A body with brackets in brackets, where any JSON may be and where it may not."""
    depth = chance.choice(_DEPTHS)
    opening, closing = chance.choice([("[", "]"), ('{"a":', "}")])
    inner = opening * depth + "1" + closing * depth
    name = chance.choice(["manifest", "risk", "env", "resources", "name", "placement"])
    body = usable_body(chance)
    body[name] = "@" if chance.random() < 0.3 else {"x": "@"}
    return json.dumps(body).replace('"@"', inner).encode()


def damaged(chance: random.Random) -> bytes:
    """A body with bytes flipped, cut off, doubled, or put in."""
    data = bytearray(json.dumps(usable_body(chance)).encode())
    for _ in range(chance.choice([1, 2, 8])):
        at = chance.randrange(len(data))
        change = chance.randrange(4)
        if change == 0:
            data[at] ^= 1 << chance.randrange(8)
        elif change == 1:
            del data[at : at + chance.randrange(40)]
        elif change == 2:
            data[at:at] = data[at : at + 30]
        else:
            data[at:at] = chance.choice([b"\0", b"\xff\xfe", b'"', b"\\ud800", b"\xed\xa0\x80"])
    return bytes(data)


def _somewhere(chance: random.Random, body: dict[str, Any]) -> dict[str, Any]:
    """The body or any table in it."""
    found, waiting = [body], [body]
    while waiting:
        inner = [one for one in waiting.pop().values() if isinstance(one, dict)]
        found += inner
        waiting += inner
    return chance.choice(found)
