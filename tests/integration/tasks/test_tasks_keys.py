"""Keys that do not fit are found when a process starts, and a rotation survives being killed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from sqlalchemy import insert, select
from support.api import web
from support.environments import environment
from support.tools import free_port
from support.worker import ROOT

from app import admin
from app.database import Database
from app.models import Strategy
from app.secrets.envelope import Opener, generate_key_pair
from app.secrets.keys import CredentialKeyError
from app.secrets.rotation import Plan
from app.settings import Role, load

NEW = generate_key_pair()
SECRETS = {"TOKEN": "canary-7"}


@pytest.fixture
def environ(sqlite_url: str, redis_url: str) -> dict[str, str]:
    """The environment of a platform that holds a strategy with secrets."""
    made = environment(
        DATABASE_URL=sqlite_url, REDIS_URL=redis_url, PORT=free_port(), RUNNER_NAME="tests-keys"
    )
    public_key = made["CREDENTIAL_PUBLIC_KEY"]
    with web(sqlite_url, redis_url, CREDENTIAL_PUBLIC_KEY=public_key) as one:
        one.caller().created(secrets=SECRETS)
    return made


def started(line: str, environ: Mapping[str, str]) -> subprocess.Popen[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.Popen(
        ["sh", "-c", f"exec {line}"],
        cwd=ROOT,
        env={**environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(line: str, environ: Mapping[str, str]) -> tuple[int, str, str]:
    with started(line, environ) as process:
        out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.mark.parametrize(
    ("name", "variable", "key"),
    [
        ("runner", "CREDENTIAL_ENCRYPTION_KEY", NEW[0]),
        ("web", "CREDENTIAL_PUBLIC_KEY", NEW[1]),
    ],
    ids=["runner", "web"],
)
def test_a_process_with_a_wrong_key_does_not_start(
    environ: dict[str, str], name: str, variable: str, key: str
) -> None:
    line = re.search(rf"^{name}: (.*)$", (ROOT / "Procfile").read_text(), re.MULTILINE)
    assert line is not None
    right = Opener([environ["CREDENTIAL_ENCRYPTION_KEY"]]).key_ids[0]
    status, out, err = ended(line[1], environ | {variable: key})
    assert status == 1, out + err
    assert f"cannot start: {variable}" in err
    assert right in err
    assert key not in err
    assert "Traceback" not in err


def test_a_rotation_that_is_killed_loses_nothing(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    database = Database(environ["DATABASE_URL"])
    with database.transaction() as session:
        columns = list(Strategy.__table__.columns)
        first = session.execute(select(*columns)).mappings().one()
        copies = [dict(first) | {"strategy_id": f"c{n}", "name": f"c{n}"} for n in range(200)]
        session.execute(insert(Strategy), copies)
    old = environ["CREDENTIAL_ENCRYPTION_KEY"]
    both = environ | {"CREDENTIAL_ENCRYPTION_KEY": f"{NEW[0]},{old}"}
    with started(f"{sys.executable} -m app.admin rotate-keys", both) as process:
        assert process.stderr is not None
        assert "rows to look at" in process.stderr.readline()
        process.kill()
    opener = Opener([NEW[0], old])
    assert all_open(database, opener, first["strategy_id"]) == 201
    done = json.loads(admin.rotate_keys(load(Role.ROTATION, both), Plan()))
    assert done["unreadable"] == done["may_be_removed"] == []
    with pytest.raises(CredentialKeyError, match="web processes"):
        admin.rotate_keys(load(Role.ROTATION, both), Plan(retire=True))
    after = load(Role.ROTATION, both | {"CREDENTIAL_PUBLIC_KEY": NEW[1]})
    done = json.loads(admin.rotate_keys(after, Plan(retire=True)))
    assert done["may_be_removed"] == list(opener.key_ids[1:])
    said = capsys.readouterr().err
    assert f"CREDENTIAL_PUBLIC_KEY={NEW[1]}" in said
    assert f"Nothing needs {opener.key_ids[1]} any more" in said
    assert all_open(database, Opener([NEW[0]]), first["strategy_id"]) == 201
    database.close()


def all_open(database: Database, opener: Opener, strategy_id: str) -> int:
    """How many rows there are, each of which must open."""
    with database.reading() as session:
        sealed = [row.sealed("secrets") for row in session.scalars(select(Strategy))]
    for one in sealed:
        assert one is not None
        assert opener.open(one, strategy_id=strategy_id, column="secrets") == SECRETS
    return len(sealed)
