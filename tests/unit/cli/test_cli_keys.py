"""``sequence keys`` and ``sequence account``."""

import json
from typing import Any

import pytest
from cli_api_server import Answer, LocalApi

RAW = "seq_live_" + "a" * 64
KEY = {
    "key_id": "k-1",
    "label": "bot",
    "prefix": "seq_live_aaaaaaaa",
    "is_sandbox": False,
    "scopes": ["read", "deploy"],
    "created_at": 1777414125,
    "last_used_at": None,
    "expires_at": 1777500525,
}
NEW = Answer({"api_key": {**KEY, "key_id": "k-2", "key": RAW}}, 201)
ACCOUNT = {
    "client": "acme",
    "is_sandbox": True,
    "scopes": ["deploy", "read"],
    "quotas": {"running": {"limit": 5, "used": 2}, "strategies": {"limit": None, "used": 7}},
    "limits": {"versions_kept": 20, "requests_per_second": None, "log_kept_days": 7.0},
}


@pytest.fixture
def kept(api: LocalApi) -> LocalApi:
    """An API with two keys."""
    other = {**KEY, "key_id": "k-3", "label": "", "prefix": "seq_test_bbbbbbbb", "is_sandbox": True}
    api.answer("GET", "/v1/api_keys", Answer({"api_keys": [KEY, other]}))
    return api


def test_each_key_has_a_line(kept: LocalApi, run: Any) -> None:
    lines = run("keys", "list").out.splitlines()
    assert lines[0].split()[:4] == ["LABEL", "BEGINS", "MODE", "SCOPES"]
    assert lines[1].split()[:4] == ["bot", "seq_live_aaaaaaaa", "live", "read,deploy"]
    assert lines[2].split()[:3] == ["-", "seq_test_bbbbbbbb", "sandbox"]
    assert len(json.loads(run("keys", "list", "--json").out)["api_keys"]) == 2
    assert len(kept.received) == 2


@pytest.mark.parametrize(
    ("options", "body"),
    [
        ([], {"label": ""}),
        (["--label", "bot", "--sandbox"], {"label": "bot", "sandbox": True}),
        (["--scope", "read", "--live"], {"label": "", "scopes": ["read"], "sandbox": False}),
    ],
    ids=str,
)
def test_a_new_key_is_alone_on_stdout(
    api: LocalApi, run: Any, options: list[str], body: Any
) -> None:
    api.answer("POST", "/v1/api_keys", NEW)
    result = run("keys", "create", *options)
    assert (result.out, api.received[0].json()) == (f"{RAW}\n", body)
    assert "not shown again" in result.err


def test_a_new_key_as_json(api: LocalApi, run: Any) -> None:
    api.answer("POST", "/v1/api_keys", NEW)
    assert json.loads(run("keys", "create", "--json").out)["api_key"]["key"] == RAW


@pytest.mark.parametrize("name", ["k-1", "bot", "seq_live_aaaaaaaa"])
@pytest.mark.parametrize(
    ("options", "body"), [([], {}), (["--grace-secs", "5"], {"grace_secs": 5})]
)
def test_rotate(kept: LocalApi, run: Any, name: str, options: list[str], body: Any) -> None:
    kept.answer("POST", "/v1/api_keys/k-1/rotate", NEW)
    assert run("keys", "rotate", name, *options).out == f"{RAW}\n"
    assert [call.json() for call in kept.calls("POST")] == [body]


def test_revoke(kept: LocalApi, run: Any) -> None:
    kept.answer("DELETE", "/v1/api_keys/k-1", Answer({"key_id": "k-1", "revoked": True}))
    assert run("keys", "revoke", "bot", "--yes").out == "key k-1 is revoked\n"


def test_revoke_asks(kept: LocalApi, run: Any) -> None:
    result = run("keys", "revoke", "bot")
    assert (result.status, kept.calls("DELETE")) == (1, [])
    assert "pass --yes" in result.err


def test_a_name_that_no_key_has(kept: LocalApi, run: Any) -> None:
    result = run("keys", "revoke", "nobody", "--yes")
    assert (result.status, kept.calls("DELETE")) == (1, [])
    assert "`sequence keys list` shows those you have" in result.err


def test_a_name_that_two_keys_have(kept: LocalApi, run: Any) -> None:
    kept.answer("GET", "/v1/api_keys", Answer({"api_keys": [KEY, {**KEY, "key_id": "k-9"}]}))
    result = run("keys", "rotate", "bot")
    assert (result.status, kept.calls("POST")) == (1, [])
    assert "name one by its id: k-1, k-9" in result.err


def test_account(api: LocalApi, run: Any) -> None:
    api.answer("GET", "/v1/account", Answer({"account": ACCOUNT}))
    lines = [line.split() for line in run("account").out.splitlines()]
    assert ["client", "acme"] in lines
    assert ["mode", "sandbox"] in lines
    assert ["requests_per_second", "no", "limit"] in lines
    assert ["running", "2", "5"] in lines
    assert ["strategies", "7", "no", "limit"] in lines
    assert json.loads(run("account", "--json").out) == {"account": ACCOUNT}
