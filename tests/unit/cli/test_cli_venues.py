"""``sequence connect`` and ``sequence venues``: keys come in unseen and never come back."""

import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from cli_api_server import Answer, LocalApi, error_answer

ROOT = Path(__file__).resolve().parents[3]
SECRET = "canary-secret-0123"
ROW = {
    "venue": "kraken",
    "is_sandbox": True,
    "key_tail": "81Jd",
    "fingerprint": "9a1f27c05be4d318",
    "created_at": 1777414125,
    "updated_at": 1777414125,
}
KEY = {"api_key": "kraken-key-81Jd", "api_secret": SECRET}


@pytest.fixture
def store(api: LocalApi, monkeypatch: pytest.MonkeyPatch) -> LocalApi:
    for name in ("VENUE_API_KEY", "VENUE_API_SECRET", "VENUE_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)
    listed = {"credentials": [ROW], "venues": ["kalshi", "kraken", "polymarket"]}
    api.answer("GET", "/v1/credentials", Answer(listed))
    for venue in ("kraken", "polymarket"):
        api.answer("PUT", f"/v1/credentials/{venue}", Answer({"credential": ROW}))
    api.answer("DELETE", "/v1/credentials/kraken", Answer({"venue": "kraken", "removed": True}))
    return api


def sent(store: LocalApi) -> dict:
    (request,) = store.calls("PUT")
    return request.json()


def test_venues_shows_which_are_connected(store: LocalApi, run) -> None:
    lines = run("venues").out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["kalshi", "kraken", "polymarket"]
    assert lines[1].split()[1:3] == ["not", "connected"]
    assert lines[2].split()[1:5] == ["connected", "sandbox", "...81Jd", "9a1f27c05be4d318"]
    assert json.loads(run("venues", "--json").out)["credentials"] == [ROW]
    assert store.calls("PUT") == []


def test_a_key_comes_from_standard_input(
    store: LocalApi, run, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {**KEY, "passphrase": "p", "extra_json": {"funder": "0x1"}}
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(given)))
    result = run("connect", "Kraken")
    assert result.status == 0, result.err
    assert "connected to kraken in sandbox mode; fingerprint 9a1f27c05be4d318" in result.out
    assert sent(store) == given
    assert SECRET not in result.out + result.err


def test_a_key_comes_from_the_environment(
    store: LocalApi, run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VENUE_API_KEY", KEY["api_key"])
    monkeypatch.setenv("VENUE_API_SECRET", SECRET)
    assert json.loads(run("connect", "kraken", "--json").out) == {"credential": ROW}
    assert sent(store) == KEY


def test_a_private_key_comes_from_a_file(
    store: LocalApi, run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pem = "-----BEGIN PRIVATE KEY-----\nAB==\n-----END PRIVATE KEY-----\n"
    (tmp_path / "key.pem").write_text(pem)
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({"api_key": "k"})))
    run("connect", "kraken", "--secret-file", tmp_path / "key.pem")
    assert sent(store) == {"api_key": "k", "api_secret": pem}
    assert run("connect", "kraken", "--secret-file", tmp_path / "none").status == 1


def test_a_person_is_asked_without_echo(store: LocalApi) -> None:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "sequence_cli.main", "connect", "polymarket"],
        cwd=ROOT,
        stdin=slave,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stderr is not None
    said = b""
    # An answer is typed when its question is there: turning the echo off drops what came before.
    for question, answer in ((b"Key of", KEY["api_key"]), (b"secret", SECRET), (b"phrase", "p-p")):
        while not said.rpartition(question)[2].rstrip().endswith(b":") or question not in said:
            piece = os.read(process.stderr.fileno(), 4096)
            assert piece, said
            said += piece
        os.write(master, f"{answer}\n".encode())
    out, err = process.communicate(timeout=20)
    echoed = os.read(master, 4096)
    os.close(slave)
    os.close(master)
    assert process.returncode == 0, err
    assert sent(store) == {**KEY, "passphrase": "p-p"}
    assert KEY["api_key"].encode() in echoed
    assert SECRET.encode() not in said + out + err + echoed


@pytest.mark.parametrize("given", ["", "not json", "[]", '{"key": "x"}', '"api_key"'])
def test_without_a_terminal_the_form_is_told(
    store: LocalApi, run, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(given))
    result = run("connect", "kraken")
    assert result.status == 1
    assert "VENUE_API_KEY and VENUE_API_SECRET" in result.err
    assert store.calls("PUT") == []


def test_a_mistyped_venue_is_corrected_before_a_key_is_asked(store: LocalApi, run) -> None:
    result = run("connect", "karken")
    assert result.status == 1
    assert "did you mean kraken?" in result.err
    assert "known are kalshi" in run("connect", "mars").err
    assert store.calls("PUT") == []


def test_a_refusal_says_which_field_and_not_what_was_in_it(
    store: LocalApi, run, monkeypatch: pytest.MonkeyPatch
) -> None:
    details = [{"field": "api_secret", "message": "has to be base64"}]
    refused = error_answer(422, "VALIDATION_ERROR", "api_secret: has to be base64", details=details)
    store.answer("PUT", "/v1/credentials/kraken", refused)
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(KEY)))
    result = run("connect", "kraken")
    assert result.status == 1
    assert "api_secret" in result.err
    assert SECRET not in result.out + result.err


def test_a_key_is_forgotten_on_demand(store: LocalApi, run) -> None:
    assert run("connect", "kraken", "--remove").out == "kraken: gone\n"
    assert len(store.calls("DELETE")) == 1
