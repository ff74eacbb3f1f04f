"""What ``deploy`` sends, what it prints, and how it repeats a request."""

import base64
import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

import pytest
from cli_api_server import STRATEGY_ID, Answer, Received, error_answer, strategy_row
from cli_samples import KEY

FULL_TOML = """\
[strategy]
name = "heartbeat"
runtime = "python"

[hosted]
entrypoint = "main.py"

[hosted.placement]
latency_target = "coinbase"
mode = "auto"

[hosted.resources]
cpu_millis = 300
memory_mb = 256

[hosted.env]
LEVEL = "info"
KEPT = "yes"

[hosted.secrets]
TOKEN = "from-toml"
HOOK = "hook-value"

[risk]
max_notional = 10
since = 2026-01-02T03:04:05Z
"""


@pytest.fixture
def server(api):
    """Stores what is created and answers with its row."""

    def create(request: Received) -> Answer:
        body = request.json()
        artifact = base64.b64decode(body["artifact_base64"])
        status = "queued" if body["start_immediately"] else "stopped"
        row = strategy_row(
            name=body["name"],
            status=status,
            artifact_sha256=hashlib.sha256(artifact).hexdigest(),
            size_bytes=len(artifact),
        )
        return Answer({"strategy": row}, 201)

    api.answer("POST", "/v1/strategies", create)
    return api


def sent(server) -> dict:
    (request,) = server.calls("POST")
    return request.json()


def members(body: dict) -> dict[str, bytes]:
    data = io.BytesIO(base64.b64decode(body["artifact_base64"]))
    with tarfile.open(fileobj=data) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive}


def test_minimal_request(server, project: Path, run) -> None:
    result = run("strategy", "deploy", project)
    assert result.status == 0, result.err
    body = sent(server)
    files = members(body)
    assert body.pop("artifact_base64")
    assert body == {
        "name": "heartbeat",
        "runtime": "python",
        "entrypoint": "main.py",
        "manifest": {
            "strategy": {"name": "heartbeat", "runtime": "python"},
            "hosted": {"entrypoint": "main.py"},
        },
        "start_immediately": False,
        "sequence_api_key": KEY,
    }
    assert set(files) > {"main.py", "Sequence.toml", "sequence_markets/__init__.py"}
    assert len(server.calls("POST")[0].headers["idempotency-key"]) == 36


def test_everything_from_the_file(server, project: Path, run) -> None:
    (project / "Sequence.toml").write_text(FULL_TOML)
    result = run("strategy", "deploy", project, "--start")
    assert result.status == 0, result.err
    body = sent(server)
    assert body["start_immediately"] is True
    assert body["env"] == {"LEVEL": "info", "KEPT": "yes"}
    assert body["secrets"] == {"TOKEN": "from-toml", "HOOK": "hook-value"}
    assert body["placement"] == {"latency_target": ["coinbase"], "mode": "auto"}
    assert body["resources"] == {"cpu_millis": 300, "memory_mb": 256}
    assert body["risk"] == {"max_notional": 10, "since": "2026-01-02T03:04:05+00:00"}
    assert "secrets" not in body["manifest"]["hosted"]
    assert body["manifest"]["risk"]["since"] == "2026-01-02T03:04:05+00:00"


def test_secrets_are_nowhere_but_in_secrets(server, project: Path, run) -> None:
    (project / "Sequence.toml").write_text(FULL_TOML)
    (project / "alias.toml").symlink_to("Sequence.toml")
    (project / "keys.json").write_text('{"TOKEN": "from-json"}')
    result = run("strategy", "deploy", project, "--secrets-file", project / "keys.json")
    assert result.status == 0, result.err
    body = sent(server)
    assert body["secrets"] == {"TOKEN": "from-json", "HOOK": "hook-value"}
    for name in ("Sequence.toml", "alias.toml", "keys.json"):
        assert name not in members(body)
        assert f"note: {name} holds secrets and stays out of the artifact" in result.err
    everything = json.dumps({**body, "secrets": None}).encode() + b"".join(members(body).values())
    for value in (b"from-json", b"from-toml", b"hook-value"):
        assert value not in everything
        assert value.decode() not in result.out + result.err


@pytest.mark.usefixtures("server")
def test_a_secret_that_is_too_short_to_be_masked_is_named(project: Path, run) -> None:
    (project / "keys.json").write_text(json.dumps({"PIN": "1234"}))
    result = run("strategy", "deploy", project, "--secrets-file", project / "keys.json")
    assert "note: secret PIN has fewer than 6 characters: it is not masked" in result.err
    assert "1234" not in result.err


def test_options_win_over_the_file(server, project: Path, tmp_path: Path, run) -> None:
    (project / "Sequence.toml").write_text(FULL_TOML)
    (project / "other.py").write_text("pass\n")
    manifest = tmp_path / "manifest.json"
    manifest.write_text('{"pairs": [{"a": 1.5}]}')
    result = run(
        *("strategy", "push", project, "--name", "renamed", "--entrypoint", "./other.py"),
        *("--env", "LEVEL=debug=1", "--env", "NEW=", "--manifest", manifest),
        *("--memory-mb", 1024, "--cpu-millis", 500, "--timeout-secs", 0),
        *("--latency-target", "kalshi", "--latency-target", "polymarket"),
    )
    assert result.status == 0, result.err
    body = sent(server)
    assert (body["name"], body["entrypoint"]) == ("renamed", "other.py")
    assert body["env"] == {"LEVEL": "debug=1", "KEPT": "yes", "NEW": ""}
    assert body["manifest"] == {"pairs": [{"a": 1.5}]}
    assert body["resources"] == {"cpu_millis": 500, "memory_mb": 1024, "timeout_secs": 0}
    assert body["placement"]["latency_target"] == ["kalshi", "polymarket"]


def test_summary_ends_with_the_next_command(server, project: Path, run) -> None:
    lines = run("strategy", "deploy", project).out.splitlines()
    digest = hashlib.sha256(base64.b64decode(sent(server)["artifact_base64"])).hexdigest()
    assert lines[0] == f"deployed heartbeat ({STRATEGY_ID})"
    assert digest[:12] in lines[1]
    assert f"{len(members(sent(server)))} files" in lines[1]
    assert lines[2].split() == ["status", "stopped"]
    assert lines[3] == "next: sequence strategy start heartbeat"
    started = run("strategy", "deploy", project, "--start").out.splitlines()
    assert started[3] == "next: sequence strategy logs heartbeat --follow"


@pytest.mark.usefixtures("server")
def test_json_is_the_apis_answer(project: Path, run) -> None:
    result = run("strategy", "deploy", project, "--json")
    assert json.loads(result.out)["strategy"]["strategy_id"] == STRATEGY_ID


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sequence_cli.api.client.REPEAT_PAUSES_S", (0.0, 0.0))


@pytest.mark.usefixtures("quick")
def test_repeats_with_the_same_key(server, project: Path, run) -> None:
    create = server.replies[("POST", "/v1/strategies")][0]
    unavailable = error_answer(503, "SERVICE_UNAVAILABLE", "not now")
    server.answer("POST", "/v1/strategies", Answer(drop=True), unavailable, create)
    assert run("strategy", "deploy", project).status == 0
    posts = server.calls("POST")
    assert len(posts) == 3
    assert len({post.headers["idempotency-key"] for post in posts}) == 1
    assert len({post.body for post in posts}) == 1


@pytest.mark.usefixtures("quick")
def test_gives_up_after_three(server, project: Path, run) -> None:
    server.answer("POST", "/v1/strategies", error_answer(503, "SERVICE_UNAVAILABLE", "not now"))
    result = run("strategy", "deploy", project)
    assert result.status == 1
    assert "error: not now" in result.err
    assert len(server.calls("POST")) == 3


def test_refusal_is_not_repeated_and_shows_every_field(server, project: Path, run) -> None:
    details = [
        {"field": "resources.memory_mb", "message": "must be between 64 and 8192"},
        {"field": "placement.latency_target", "message": "unknown target, known: default"},
    ]
    refused = error_answer(422, "VALIDATION_ERROR", "the request is not valid", details=details)
    server.answer("POST", "/v1/strategies", refused)
    result = run("strategy", "deploy", project)
    assert result.status == 1
    assert result.err.splitlines()[-4:] == [
        "error: the request is not valid",
        "  resources.memory_mb: must be between 64 and 8192",
        "  placement.latency_target: unknown target, known: default",
        "  request id: req-77",
    ]
    assert len(server.calls("POST")) == 1


def test_a_field_that_is_the_whole_message_is_not_said_twice(server, project: Path, run) -> None:
    details = [{"field": "name", "message": "is taken"}]
    refused = error_answer(422, "VALIDATION_ERROR", "name: is taken", details=details)
    server.answer("POST", "/v1/strategies", refused)
    assert run("strategy", "deploy", project).err.count("is taken") == 1


def test_too_large(server, project: Path, run) -> None:
    large = error_answer(413, "VALIDATION_ERROR", "the artifact may have 10 MB")
    server.answer("POST", "/v1/strategies", large)
    result = run("strategy", "deploy", project)
    assert "error: the artifact may have 10 MB" in result.err
    assert ".sequenceignore" in result.err


def test_damaged_in_transit(server, project: Path, run) -> None:
    server.answer("POST", "/v1/strategies", Answer({"strategy": strategy_row()}))
    result = run("strategy", "deploy", project)
    assert result.status == 1
    assert "deploy again" in result.err


@pytest.mark.usefixtures("quick")
def test_server_that_hangs_up_on_a_large_upload(server, project: Path, run) -> None:
    (project / "noise.bin").write_bytes(os.urandom(2_000_000))
    server.answer("POST", "/v1/strategies", Answer(drop=True))
    result = run("strategy", "deploy", project)
    assert result.status == 1
    assert "broke off" in result.err
    assert "MB: it may be above the server's limit (see .sequenceignore)" in result.err
