"""What has to hold of all routes, queues, tables and documents at once."""

import base64
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from flask import Flask

from app.api.auth import REQUIRES_KEY
from app.factory import create_app
from app.settings import Role, example_file, load, variables
from app.strategies.states import TRANSITIONS, Event, Reason, Status, diagram

ROOT = Path(__file__).resolve().parents[2]
KEY = base64.b64encode(bytes(32)).decode()
ENVIRON = {
    "CREDENTIAL_PUBLIC_KEY": KEY,
    "CREDENTIAL_ENCRYPTION_KEY": KEY,
    "API_KEY_HASH_KEY": KEY,
}
OPEN_ROUTES = {
    *("health.live", "health.ready", "openapi.read_specification", "openapi.read_page"),
    "metrics.read_metrics",  # it has a token of its own
}


@pytest.fixture(scope="module")
def app() -> Flask:
    return create_app(load(Role.WEB, ENVIRON))


def test_every_route_but_health_requires_a_key(app: Flask) -> None:
    endpoints = {rule.endpoint for rule in app.url_map.iter_rules()} - {"static"}
    open_ones = {name for name in endpoints if not hasattr(app.view_functions[name], REQUIRES_KEY)}
    assert {name for name in open_ones if not name.startswith("api-docs.")} == OPEN_ROUTES


def test_a_route_without_a_key_is_refused_in_fact(app: Flask) -> None:
    client = app.test_client()
    for rule in app.url_map.iter_rules():
        if rule.endpoint in OPEN_ROUTES | {"static"} or rule.endpoint.startswith("api-docs."):
            continue
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            path = re.sub("<[^>]+>", "x", rule.rule)
            assert client.open(path, method=method).status_code == 401, f"{method} {path}"


def procfile() -> dict[str, str]:
    lines = (ROOT / "Procfile").read_text().splitlines()
    return dict(line.split(": ", 1) for line in lines)


def test_the_procfile_has_every_process() -> None:
    assert set(procfile()) == {"release", "web", "runner", "scheduler", "flower"}


def test_only_the_runner_sees_the_private_key() -> None:
    for name, command in procfile().items():
        is_kept_out = "env -u CREDENTIAL_ENCRYPTION_KEY" in command
        assert is_kept_out == (name in ("web", "scheduler", "flower")), name


def test_the_runner_of_the_procfile_consumes_every_queue() -> None:
    settings = load(Role.RUNNER, ENVIRON)
    program = (
        "import json; from tasks.worker import app;"
        "print(json.dumps(sorted(queue.name for queue in app.conf.task_queues)))"
    )
    assert "celery -A tasks.worker worker" in procfile()["runner"]
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=ENVIRON,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == sorted(settings.latency_targets)


def test_the_example_environment_is_the_codes_own() -> None:
    assert (ROOT / ".env.example").read_text() == example_file()


def test_every_variable_is_read_by_the_code_or_by_its_tool() -> None:
    sources = [path for part in ("app", "tasks", "deploy") for path in (ROOT / part).rglob("*.py")]
    text = "\n".join(path.read_text() for path in sources if path.name != "settings.py")
    text += (ROOT / "app/settings.py").read_text().partition("def broker")[2]
    read_by_flower = {"flower_basic_auth", "flower_port"}
    unused = {name for name, _ in variables() if f".{name}" not in text}
    assert unused == read_by_flower


def test_the_diagram_in_the_documentation_is_the_table() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    match = re.search(r"```mermaid\n(.*?)```", text, re.DOTALL)
    assert match is not None
    assert match[1].strip() == diagram().strip()


def test_no_state_is_a_dead_end_and_every_event_leads_somewhere() -> None:
    assert {start for start, _ in TRANSITIONS} == set(Status)
    assert set(TRANSITIONS.values()) == set(Status)
    assert {event for _, event in TRANSITIONS} == set(Event)


def test_every_reason_is_given_somewhere() -> None:
    sources = [path for part in ("app", "tasks") for path in (ROOT / part).rglob("*.py")]
    text = "\n".join(path.read_text() for path in sources)
    assert [reason for reason in Reason if f"Reason.{reason.name}" not in text] == []


def test_only_one_place_writes_a_status() -> None:
    writers = [
        str(path.relative_to(ROOT))
        for part in ("app", "tasks")
        for path in (ROOT / part).rglob("*.py")
        if re.search(r"row\.status = |\"status\": after", path.read_text())
    ]
    assert writers == ["app/strategies/lifecycle.py"]


def test_nothing_names_a_package_registry_or_this_machine() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    hosts = re.compile(r"pypi[.]org|python[h]osted|npm[j]s[.]|deb[.]debian")
    for name in listed.stdout.splitlines():
        text = (ROOT / name).read_bytes().decode(errors="replace")
        assert not hosts.search(text), name
        assert str(ROOT) + "/" not in text, name
