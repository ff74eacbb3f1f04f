"""Sealed values that were altered or moved, before a real runner."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.archives import base64_of, program
from support.runner import Station, station

from app.models import Strategy


@pytest.fixture
def place(postgres_url: str, redis_url: str) -> Iterator[Station]:
    """A platform with a runner."""
    with station(postgres_url, redis_url) as made:
        made.open()
        yield made


def test_what_was_moved_or_altered_opens_nowhere_and_stops_nobody_else(place: Station) -> None:
    names = ("good", "flipped", "row", "column", "layer", "layers", "malformed", "foreign")
    ids = {name: sealed_strategy(place, f"sealed {name}") for name in names}
    rows = {name: place.rows.strategy(id) for name, id in ids.items()}
    good = rows["good"]
    flipped = bytearray(rows["flipped"].secrets_ciphertext or b"")
    flipped[3] ^= 4
    place.rows.change(ids["flipped"], secrets_ciphertext=bytes(flipped))
    place.rows.change(ids["row"], **moved(good, "secrets", "secrets"))
    place.rows.change(ids["column"], **moved(rows["column"], "secrets", "sequence_api_key"))
    place.rows.change(ids["layer"], secrets_changes=good.secrets_changes)
    place.rows.change(ids["layers"], secrets_changes=rows["layers"].secrets_changes[::-1])
    place.rows.change(ids["malformed"], secrets_changes=[{"key_id": good.secrets_key_id}, 7])
    place.rows.change(ids["foreign"], secrets_key_id="0" * 16)
    for id in ids.values():
        place.caller.ask(id, "start")
    for name in names[1:]:
        place.wait_for(ids[name], "failed", "secrets_unreadable")
    place.wait_for(ids["good"], "stopped", "completed")
    assert place.said(ids["good"]) == ["5"]


def sealed_strategy(place: Station, name: str) -> str:
    """One with all that can be sealed, its secrets changed twice."""
    show = base64_of(program("import os\nprint(len(os.environ['TOKEN']))"))
    id: str = place.caller.created(
        name, artifact_base64=show, secrets={"TOKEN": "t"}, sequence_api_key=place.caller.key
    )["strategy_id"]
    for token in ("four", "five5"):
        assert place.caller.patch(id, secrets={"TOKEN": token}).status_code == 200
    return id


def moved(row: Strategy, source: str, target: str) -> dict[str, object]:
    """The columns of one sealed value as those of another."""
    parts = ("ciphertext", "nonce", "wrapped_key", "key_id")
    return {f"{target}_{part}": getattr(row, f"{source}_{part}") for part in parts}
