"""From a claim to a program: files, environment, limits, and the way to the API."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from support.archives import tar_of

from app.artifacts.archive import MAX_FILES
from app.secrets.envelope import EnvelopeError, Opener, Sealer, generate_key_pair
from sandbox import MAX_FILES as SANDBOX_MAX_FILES
from sandbox import ApiRelay, Program
from tasks.claims import Claim
from tasks.program import CorruptArtifactError, Terms, api_relay, build_program, open_secrets

URL = "http://198.18.0.1:8000"
MAX_BYTES = 1 << 20
PRIVATE, PUBLIC = generate_key_pair()


def claim(artifact: bytes | None = None, **fields: Any) -> Claim:
    content = tar_of({"main.py": b"pass"}) if artifact is None else artifact
    made = Claim(
        strategy_id="sid",
        run_id="rid",
        epoch=7,
        name="alpha",
        client_code="acme",
        is_sandbox=True,
        entrypoint="main.py",
        artifact_sha256=hashlib.sha256(content).hexdigest(),
        artifact=content,
        env={},
        manifest={},
        resources={"cpu_millis": 250, "memory_mb": 64, "timeout_secs": 0},
        network={},
        stop={},
        hooks={},
        watchdog={},
        secrets=None,
        sequence_api_key=None,
    )
    return replace(made, **fields)


def build(made: Claim, secrets: dict[str, str] | None = None) -> Program:
    program = build_program(made, secrets or {}, Terms(URL, MAX_BYTES, 0))
    program.validate()
    return program


def test_the_environment_is_that_of_the_contract() -> None:
    assert build(claim(), {"SEQUENCE_API_KEY": "seq_test_x"}).env == {
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": "/workspace",
        "SEQUENCE_API_KEY": "seq_test_x",
        "SEQUENCE_API_URL": URL,
        "SEQUENCE_STRATEGY_ID": "sid",
        "SEQUENCE_RUN_ID": "rid",
        "SEQUENCE_RUN_EPOCH": "7",
        "SEQUENCE_CLIENT_ID": "acme",
        "SEQUENCE_IS_SANDBOX": "true",
        "SEQUENCE_STRATEGY_MANIFEST": "/workspace/.sequence/manifest.json",
    }
    assert build(claim(is_sandbox=False)).env["SEQUENCE_IS_SANDBOX"] == "false"


def test_secrets_win_over_env_and_the_platform_over_both() -> None:
    env = {"TOKEN": "from env", "MODE": "paper", "PYTHONUNBUFFERED": "0", "SEQUENCE_RUN_ID": "x"}
    made = build(claim(env=env), {"TOKEN": "from secrets", "SEQUENCE_API_URL": "x"}).env
    assert (made["TOKEN"], made["MODE"]) == ("from secrets", "paper")
    assert (made["SEQUENCE_RUN_ID"], made["SEQUENCE_API_URL"]) == ("rid", URL)


def test_the_manifest_is_a_file_whatever_the_artifact_holds() -> None:
    artifact = tar_of({"main.py": b"pass", ".sequence/manifest.json": b"theirs"})
    files = {file.path: file.content for file in build(claim(artifact, manifest={"a": "ü"})).files}
    assert json.loads(files[".sequence/manifest.json"]) == {"a": "ü"}
    assert files["main.py"] == b"pass"


def test_limits_follow_the_resources() -> None:
    limits = build(claim()).limits
    assert limits.cpu_millis == 250
    assert limits.memory_bytes == 64 << 20
    assert limits.workspace_bytes == limits.memory_bytes // 2


def test_the_largest_artifact_that_is_accepted_can_be_run() -> None:
    files = {f"d{number}/{number}.py": b"x" for number in range(MAX_FILES // 2)}
    artifact = tar_of({"main.py": b"pass"} | files)
    resources = {"cpu_millis": 10, "memory_mb": 32, "timeout_secs": 0}
    program = build(claim(artifact, resources=resources))
    assert len(program.files) + len(program.directories) <= SANDBOX_MAX_FILES


def test_another_sum_is_a_corrupt_artifact() -> None:
    with pytest.raises(CorruptArtifactError, match="another SHA-256"):
        build(claim(artifact_sha256="0" * 64))


def test_what_does_not_unpack_is_a_corrupt_artifact() -> None:
    with pytest.raises(CorruptArtifactError, match="not an archive"):
        build(claim(b"no archive"))


def test_secrets_and_the_key_are_opened_together() -> None:
    seal = Sealer(PUBLIC).seal
    made = claim(
        secrets=seal({"TOKEN": "t"}, strategy_id="sid", column="secrets"),
        sequence_api_key=seal("seq_live_k", strategy_id="sid", column="sequence_api_key"),
    )
    opener = Opener([PRIVATE])
    assert open_secrets(made, opener) == {"TOKEN": "t", "SEQUENCE_API_KEY": "seq_live_k"}
    assert open_secrets(claim(), opener) == {}
    moved = replace(made, secrets=made.sequence_api_key)
    with pytest.raises(EnvelopeError):
        open_secrets(moved, opener)


@pytest.mark.parametrize(
    ("url", "relay", "inside"),
    [
        ("http://127.0.0.1:8155", ApiRelay("127.0.0.1", 8155, (8000,)), URL),
        ("http://localhost", ApiRelay("localhost", 80, (8000,)), URL),
        ("http://[::1]:9000", ApiRelay("::1", 9000, (8000,)), URL),
        (
            "https://api.example.test",
            ApiRelay("api.example.test", 443, (443,), ("api.example.test",)),
            "https://api.example.test",
        ),
        (
            "http://api.example.test:8080",
            ApiRelay("api.example.test", 8080, (8080,), ("api.example.test",)),
            "http://api.example.test:8080",
        ),
    ],
)
def test_the_way_to_the_api(url: str, relay: ApiRelay, inside: str) -> None:
    assert api_relay(url) == (relay, inside)
