"""Every method of the published client, once each, against the running platform.

What they answer is the table of docs/market.md: a method that is served answers in the shape that
stands there, another one with 501, and no method is missing. `UPDATE_DOCS=1` writes the table anew.
"""

import base64
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .dev_platform import DevPlatform
from .support import ROOT, artifact, clean_environ
from .test_published_client import client

__all__ = ["client"]

CALLS = Path(__file__).with_name("client_calls.py")
DOCUMENT = ROOT / "docs/market.md"
TABLE = re.compile(r"(<!-- client methods -->\n).*?(<!-- end -->)", re.DOTALL)
HEAD = "| method | request | status | answers |\n|---|---|---|---|\n"
ONLY_055 = {"new_markets"}
NAMES = {
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}|/deployment\b": "/{id}",
    r"graph%3A[^/]*": "{node_order_id}",
    r"graph_[0-9a-f]{32}": "{graph_id}",
    "BTC-USD": "{symbol}",
    r"/kalshi$": "/{venue}",
    r"(/settlement|/markets)/[^/]+": r"\1/{slug}",
}


def calls(client: Path, platform: DevPlatform, home: Path) -> dict[str, Any]:
    """What each method of this client answered; the sandbox key's own paper account is used."""
    api = platform.test
    content = base64.b64encode(artifact({"main.py": "print('ran')\n"})).decode()
    done = subprocess.run(
        [sys.executable, str(CALLS)],
        env=clean_environ(home, PYTHONPATH=str(client)),
        cwd=home,
        input=json.dumps([api.url, api.key, content]),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers: dict[str, Any] = json.loads(done.stdout)
    assert answers["file"].startswith(str(client))
    return answers


def told(shape: Any) -> str:
    """A shape as the table has it."""
    if isinstance(shape, list) and shape and isinstance(shape[0], list):
        return f"rows of {told(shape[0])}"
    if isinstance(shape, list):
        return ", ".join(f"`{name}`" for name in shape)
    return "nothing" if shape == "NoneType" else f"`{shape}`"


def row(name: str, seen: dict[str, Any]) -> str:
    """One line of the table."""
    request = seen["request"] or "none"
    for pattern, word in NAMES.items():
        request = re.sub(pattern, word, request)
    request = request.replace("//", "/")
    answers = told(seen["shape"]) if seen["status"] == 200 else "the error envelope"
    return f"| `{name}` | `{request}` | {seen['status']} | {answers} |"


def documented() -> dict[str, str]:
    """The rows of the table by their method."""
    found = TABLE.search(DOCUMENT.read_text())
    assert found is not None
    lines = [line for line in found[0].splitlines() if line.startswith("| `")]
    return {line.split("`")[1]: line for line in lines}


def test_every_method_answers_as_documented(
    client: Path, platform: DevPlatform, tmp_path: Path
) -> None:
    answers = calls(client, platform, tmp_path)
    seen = answers["seen"]
    assert set(seen) == set(answers["public"]), "a method was not called, or is none"
    rows = {name: row(name, seen[name]) for name in sorted(seen)}
    if os.environ.get("UPDATE_DOCS") and client.name == "0.5.5":
        table = HEAD + "\n".join(rows.values()) + "\n"
        text = TABLE.sub(lambda found: found[1] + table + found[2], DOCUMENT.read_text())
        DOCUMENT.write_text(text)
    expected = documented()
    if client.name != "0.5.5":
        expected = {name: line for name, line in expected.items() if name not in ONLY_055}
    assert rows == expected
    assert {one["status"] for one in seen.values()} == {200, 501}
    refusals = [one["message"] for one in seen.values() if one["status"] == 501]
    assert all("not served: " in text or "HTTP 501" in text for text in refusals), refusals


@pytest.mark.parametrize("name", ["markets", "quote", "graph", "fills", "stream", "algos"])
def test_the_table_has_the_methods_that_the_documentation_calls(name: str) -> None:
    assert name in documented()
