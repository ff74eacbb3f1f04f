"""The operator's commands, as processes of their own."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.api import Caller, Web
from support.environments import environment

from app.admin import create_client, generate_keys, main

ROOT = Path(__file__).parents[3]


def admin(*arguments: str, **overrides: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.admin", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]} | {k: str(v) for k, v in overrides.items()},
        capture_output=True,
        text=True,
        check=False,
    )


def test_generated_keys_are_usable_and_never_the_same() -> None:
    printed = [admin("generate-keys").stdout, generate_keys()]
    assert printed[0] != printed[1]
    lines = dict(line.split("=", 1) for line in printed[0].splitlines())
    assert set(lines) == {"CREDENTIAL_ENCRYPTION_KEY", "CREDENTIAL_PUBLIC_KEY", "API_KEY_HASH_KEY"}
    assert all(len(base64.b64decode(key)) == 32 for key in lines.values())


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_client_is_made_once_and_its_keys_each_time(web_process: Web) -> None:
    made = [json.loads(create_client(web_process.settings, "acme", "test")) for _ in range(2)]
    assert made[0] != made[1]
    assert Caller(web_process.flask, made[0]["api_key"]).created()
    row = Caller(web_process.flask, made[1]["api_key"]).get().json["strategies"]
    assert len(row) == 1
    assert Caller(web_process.flask, made[0]["test_api_key"]).get().json == {"strategies": []}


def test_migrate_makes_a_schema(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/fresh.db"
    assert admin("migrate", DATABASE_URL=url).returncode == 0
    assert admin("create-client", "acme", **environment(DATABASE_URL=url)).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "overrides", "words"),
    [
        (["create-client", "Acme!"], {}, "1-32 of small letters"),
        (["create-client", "acme"], {"API_KEY_HASH_KEY": ""}, "API_KEY_HASH_KEY is not set"),
        (["migrate"], {"DATABASE_URL": "mysql://x/y"}, "must start with postgresql://"),
        (["migrate"], {"DATABASE_URL": "sqlite:////proc/none.db"}, "the database refused"),
    ],
)
def test_what_goes_wrong_is_a_line_and_no_traceback(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    overrides: dict[str, str],
    words: str,
) -> None:
    for name, value in (environment(DATABASE_URL=f"sqlite:///{tmp_path}/x.db") | overrides).items():
        monkeypatch.setenv(name, value)
    assert main(arguments) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("error: ")
    assert words in told.err
