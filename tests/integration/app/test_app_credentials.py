"""Keys of venues over the API: stored, replaced, shown without themselves, removed."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, text
from support.api import Caller, Web, error

from app.credentials.models import VenueCredential
from app.credentials.service import COLUMN, bound_to
from app.credentials.venues import VENUE_KEYS
from app.database import Database
from app.secrets.envelope import EnvelopeError, Opener, Sealed, generate_key_pair
from app.secrets.rotation import Plan, rotate
from market.symbols.models import VENUES

PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEcanary\nAB==\n-----END RSA PRIVATE KEY-----\n"
KRAKEN = {"api_key": "kraken-key-id-0001", "api_secret": "Y2FuYXJ5LXNlY3JldA=="}
GOOD: dict[str, dict[str, Any]] = {
    "binance": {"api_key": "b" * 64, "api_secret": "canary-binance-secret"},
    "coinbase": {"api_key": "organizations/1/apiKeys/2", "api_secret": PEM},
    "kalshi": {"api_key": "0b8f6a0e-6f0d-4c87-a3a5-0c4b9d3c3d11", "api_secret": PEM},
    "kraken": KRAKEN,
    "polymarket": {
        "api_key": "0b8f6a0e-6f0d-4c87-a3a5-0c4b9d3c3d12",
        "api_secret": "canary-poly_secret-==",
        "passphrase": "canary-passphrase",
        "extra_json": {"funder": "0xcanary"},
    },
}


def put(caller: Caller, venue: str = "kraken", **changes: Any) -> dict[str, Any]:
    answer = caller.call("PUT", f"/credentials/{venue}", json=GOOD[venue] | changes)
    assert answer.status_code == 200, answer.text
    row: dict[str, Any] = answer.json["credential"]
    return row


def connected(caller: Caller) -> list[str]:
    return [row["venue"] for row in caller.get("/credentials").json["credentials"]]


def sealed_row(database: Database, venue: str = "kraken") -> tuple[Sealed, str]:
    with database.reading() as session:
        query = select(VenueCredential).where(VenueCredential.venue == venue)
        row = session.scalars(query).one()
    sealed = Sealed(
        row.credential_ciphertext,
        row.credential_nonce,
        row.credential_wrapped_key,
        row.credential_key_id,
    )
    return sealed, bound_to(row.client_id, row.venue, is_sandbox=row.is_sandbox)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_every_venue_takes_its_own_kind_of_key(caller: Caller, database: Database) -> None:
    assert set(GOOD) == set(VENUE_KEYS) == set(VENUES)
    for venue in GOOD:
        assert put(caller, venue)["venue"] == venue
    answer = caller.get("/credentials")
    assert [row["venue"] for row in answer.json["credentials"]] == sorted(GOOD)
    assert answer.json["venues"] == sorted(GOOD)
    assert "canary" not in answer.text
    with database.reading() as session:
        stored = repr(session.execute(text("SELECT * FROM venue_credentials")).all())
    assert "canary" not in stored


def test_what_is_stored_opens_for_a_runners_key_alone_and_in_its_row_alone(
    web_process: Web, caller: Caller, database: Database
) -> None:
    put(caller)
    sealed, place = sealed_row(database)
    opener = Opener(web_process.settings.credential_encryption_key)
    assert opener.open(sealed, strategy_id=place, column=COLUMN) == KRAKEN
    for moved in (place.replace("/live/", "/test/"), place.replace("kraken", "binance")):
        with pytest.raises(EnvelopeError):
            opener.open(sealed, strategy_id=moved, column=COLUMN)


def test_a_rotation_seals_it_anew(web_process: Web, caller: Caller, database: Database) -> None:
    put(caller)
    before, place = sealed_row(database)
    private, _ = generate_key_pair()
    both = Opener([private, *web_process.settings.credential_encryption_key])
    assert rotate(database, both, Plan(), lambda _: None).data_keys == 1
    after, _ = sealed_row(database)
    assert after.key_id != before.key_id
    assert Opener([private]).open(after, strategy_id=place, column=COLUMN) == KRAKEN


def test_a_key_is_replaced_and_shown_by_its_tail_and_fingerprint(caller: Caller) -> None:
    first = put(caller)
    assert first["key_tail"] == "0001"
    assert put(caller)["fingerprint"] == first["fingerprint"]
    second = put(caller, api_key="kraken-key-id-0002")
    assert (second["key_tail"], second["created_at"]) == ("0002", first["created_at"])
    assert second["fingerprint"] != first["fingerprint"]
    assert caller.get("/credentials/kraken").json == {"credential": second}
    assert put(caller, api_key="short-key")["key_tail"] == ""


def test_post_stores_as_put_does(caller: Caller) -> None:
    for key in ("kraken-key-id-0001", "kraken-key-id-0002"):
        answer = caller.post("/credentials/kraken", json=KRAKEN | {"api_key": key})
        assert answer.status_code == 201, answer.text
        assert answer.json["credential"]["key_tail"] == key[-4:]
    assert connected(caller) == ["kraken"]


def test_a_removed_key_is_gone(caller: Caller, database: Database) -> None:
    put(caller)
    answer = caller.call(
        "DELETE", "/credentials/kraken", headers={"Content-Type": "application/json"}
    )
    assert answer.json == {"venue": "kraken", "removed": True}
    assert connected(caller) == []
    found = error(caller.call("DELETE", "/credentials/kraken"), 404, "NOT_FOUND")
    assert "sequence connect kraken" in found["message"]
    with database.reading() as session:
        assert session.execute(text("SELECT count(*) FROM venue_credentials")).scalar() == 0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_modes_and_clients_are_apart(web_process: Web) -> None:
    live, sandbox = web_process.caller(), web_process.caller(is_sandbox=True)
    rival = web_process.caller("rival")
    put(live)
    put(sandbox, "binance")
    assert (connected(live), connected(sandbox), connected(rival)) == (["kraken"], ["binance"], [])
    error(sandbox.get("/credentials/kraken"), 404, "NOT_FOUND")
    error(rival.call("DELETE", "/credentials/kraken"), 404, "NOT_FOUND")
    assert connected(live) == ["kraken"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("venue", "changes", "field"),
    [
        ("kalshi", {"api_secret": "canary-no-pem"}, "api_secret"),
        ("kraken", {"api_secret": "canary not base64!"}, "api_secret"),
        ("binance", {"api_secret": "canary with spaces"}, "api_secret"),
        ("binance", {"api_key": "canary\nkey-of-binance"}, "api_key"),
        ("binance", {"api_key": None}, "api_key"),
        ("coinbase", {"api_secret": "-----BEGIN canary"}, "api_secret"),
        ("polymarket", {"passphrase": None}, "passphrase"),
        ("kraken", {"extra_json": {"canary": "x" * 9_000}}, "extra_json"),
        ("kraken", {"secret": "canary"}, "secret"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_what_is_no_key_of_the_venue_is_refused_without_being_quoted(
    caller: Caller, venue: str, changes: dict[str, Any], field: str
) -> None:
    answer = caller.call("PUT", f"/credentials/{venue}", json=GOOD[venue] | changes)
    found = error(answer, 422, "VALIDATION_ERROR")
    assert [detail["field"].partition(".")[0] for detail in found["details"]] == [field]
    assert "canary" not in json.dumps(found)
    assert connected(caller) == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_unknown_venue_is_told_the_known_ones(caller: Caller) -> None:
    for method in ("GET", "PUT", "POST", "DELETE"):
        options = {"json": KRAKEN} if method in ("PUT", "POST") else {}
        answer = caller.call(method, "/credentials/mars", **options)
        assert "polymarket" in error(answer, 404, "NOT_FOUND")["message"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_log_says_who_changed_what_and_no_value(
    caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        row = put(caller, api_secret="Y2FuYXJ5LWxvZw==")
        caller.call("DELETE", "/credentials/kraken")
    told = [one for one in caplog.records if one.message.startswith("credential_")]
    assert [one.message for one in told] == ["credential_stored", "credential_removed"]
    for one in told:
        shown = vars(one)
        assert (shown["client"], shown["venue"], shown["is_sandbox"]) == ("acme", "kraken", False)
        assert shown["fingerprint"] == row["fingerprint"]
        assert "Y2FuYXJ5LWxvZw==" not in repr(shown)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_key_that_may_not_manage_keys_stores_none(caller: Caller) -> None:
    made = caller.post("/api_keys", json={"scopes": ["read", "deploy"]}).json["api_key"]
    trader = replace(caller, key=made["key"])
    error(trader.call("PUT", "/credentials/kraken", json=KRAKEN), 403, "FORBIDDEN")
    assert connected(trader) == []
