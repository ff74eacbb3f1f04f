"""Every block of docs/api-examples.md, run from top to bottom against a real server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from support.api import Web, web
from support.gunicorn_server import ROOT, GunicornServer

EXAMPLES = (ROOT / "docs/api-examples.md").read_text()
SECTIONS = re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", EXAMPLES, re.MULTILINE | re.DOTALL)


def blocks(language: str, text: str) -> str:
    return "\n".join(re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL))


def programs() -> list[tuple[str, list[str]]]:
    """By section, the program that its blocks make together."""
    shell = [("sh", "-eu", "-c"), (sys.executable, "-c")]
    return [
        (name, [*command, code])
        for name, text in SECTIONS
        for command, language in zip(shell, ("sh", "python"), strict=True)
        if (code := blocks(language, text))
    ]


@pytest.fixture
def served(sqlite_url: str, redis_url: str, tmp_path: Path) -> Iterator[tuple[Web, GunicornServer]]:
    environ = {"DATABASE_URL": sqlite_url, "REDIS_URL": redis_url}
    with web(sqlite_url, redis_url) as one, GunicornServer(tmp_path, **environ) as server:
        yield one, server


def test_no_block_is_left_out() -> None:
    assert [name for name, _ in programs()] == [name for name, _ in SECTIONS]
    found = len(re.findall(r"^```(?:sh|python)$", EXAMPLES, re.MULTILINE))
    assert found * 2 == EXAMPLES.count("```")
    assert found >= 10


def test_every_block_works(
    served: tuple[Web, GunicornServer], redis: Redis, tmp_path: Path
) -> None:
    one, server = served
    said = {}
    for number, (name, command) in enumerate(programs()):
        folder = tmp_path / str(number)
        folder.mkdir()
        done = subprocess.run(
            command,
            cwd=folder,
            env={
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "HOME": str(folder),
                "SEQUENCE_API_URL": server.url,
                "SEQUENCE_API_KEY": one.caller().key,
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{name}: {done.stdout[-2000:]} {done.stderr[-2000:]}"
        said[name] = done.stdout
    assert '"request_id":"my-call-17"' in said["curl"]
    assert "from-python stopped created" in said["Python, nothing but the standard library"]
    assert said["Python, with urllib3"].startswith("200 acme")
    assert "queued" in said["The published client"]
    assert redis.llen("default") == 2
    assert one.caller().get().json == {"strategies": []}
