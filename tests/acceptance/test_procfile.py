"""Production by hand: the Procfile's processes, Flower's own API, and where secrets are not."""

import json
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.postgres_server import PostgresServer

from app.secrets.envelope import generate_key_pair

from .procfile_platform import ProcfilePlatform, procfile
from .secret_traces import Wire, dump, files, processes, stored, traces
from .support import ROOT, SEQUENCE, CommandLine, clean_environ, wait_for

QUEUES = ["coinbase", "default", "kalshi", "polymarket"]
FLOWER_PAGES = (
    "/api/workers?refresh=1",
    "/api/queues/length",
    "/api/tasks",
    "/workers",
    "/tasks",
    "/broker",
    "/metrics",
)
TALKATIVE = """
import os, sys, time
said = os.environ["CANARY"] + " " + os.environ["SEQUENCE_API_KEY"]
print("out", said)
print("err", said, file=sys.stderr)
if os.environ["SEQUENCE_RUN_EPOCH"] == "1":
    raise ValueError(said)
print("alive")
time.sleep(600)
"""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def byhand(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    postgres: PostgresServer,
) -> Iterator[ProcfilePlatform]:
    """All of the Procfile's processes; at the end each leaves with status 0 and without a trace."""
    folder = tmp_path_factory.mktemp("byhand")
    url = f"sqlite:///{folder}/sequence.db"
    if request.param == "postgresql":
        url = postgres.url(postgres.create_database())
    with ProcfilePlatform.alive(folder, url) as platform:
        yield platform


@pytest.fixture(scope="module")
def canary(byhand: ProcfilePlatform, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A running strategy that shouts its secrets, deployed by a person; its row and the secrets."""
    home = tmp_path_factory.mktemp("trader")
    (home / "main.py").write_text(TALKATIVE)
    toml = '[strategy]\nname = "canary"\n[hosted]\nentrypoint = "main.py"\n'
    (home / "Sequence.toml").write_text(toml)
    secret = secrets.token_hex(20)
    (home / "secrets.json").write_text(json.dumps({"CANARY": secret}))
    api = byhand.api
    cli = CommandLine(home, {"SEQUENCE_API_URL": api.url, "SEQUENCE_API_KEY": api.key})
    wire = Wire(byhand.redis_port)
    options = ["--start", "--json", "--secrets-file", str(home / "secrets.json")]
    row = json.loads(cli.run("strategy", "deploy", str(home), *options))["strategy"]
    api.wait_line(row["strategy_id"], "alive")
    byhand.wire = wire.close()
    return api.row(row["strategy_id"]), (secret, api.key)


def test_the_procfile_names_every_process() -> None:
    assert set(procfile()) == {"release", "web", "runner", "scheduler", "market", "flower"}


def test_flower_shows_the_runner_and_its_queues_by_name(byhand: ProcfilePlatform) -> None:
    workers = byhand.flower_json("/api/workers?refresh=1")
    ((name, worker),) = workers.items()
    assert name.startswith(f"{byhand.runner_name}@")
    consumed = sorted(queue["name"] for queue in worker["active_queues"])
    (own,) = set(consumed) - set(QUEUES)
    assert own.startswith("pulse.")
    assert consumed == sorted([*QUEUES, own])
    lengths = byhand.flower_json("/api/queues/length")["active_queues"]
    waiting = {queue["name"]: queue["messages"] for queue in lengths if queue["name"] != own}
    assert waiting == dict.fromkeys(QUEUES, 0)
    assert byhand.flower("/api/workers", user="operator:wrong")[0] == 401


def test_flower_shows_the_running_task_with_an_id_as_its_only_argument(
    byhand: ProcfilePlatform, canary: Any
) -> None:
    strategy_id = canary[0]["strategy_id"]

    def running() -> list[Any]:
        tasks = byhand.flower_json("/api/tasks").values()
        return [task for task in tasks if task["state"] == "STARTED"]

    (task,) = wait_for("the running task", running)
    names = {task["name"] for task in byhand.flower_json("/api/tasks").values()}
    assert names == {"tasks.run_strategy"}
    assert task["name"] == "tasks.run_strategy"
    assert (task["args"], task["kwargs"]) == (f"['{strategy_id}']", "{}")
    assert task["worker"].startswith(f"{byhand.runner_name}@")
    assert task["routing_key"] == "default"


def test_only_the_runner_holds_the_private_key(byhand: ProcfilePlatform, canary: Any) -> None:
    assert canary[0]["status"] == "running"
    key = byhand.private_key.encode()
    for name in ("web", "scheduler", "market", "flower", "redis"):
        for process in byhand.tree(name):
            assert process.environ, process.command
            assert key not in process.environ, process.command
    runner, *below = byhand.tree("runner")
    assert key in runner.environ
    assert len(below) >= 3, "network helper, bubblewrap and the program"
    assert [process.command for process in below if key in process.environ] == []


def test_secrets_are_masked_in_the_log(byhand: ProcfilePlatform, canary: Any) -> None:
    row, values = canary
    strategy_id = row["strategy_id"]
    masked = "[secret CANARY] [secret SEQUENCE_API_KEY]"
    # What comes through two pipes has no order, so each line is waited for.
    for line in (f"out {masked}", f"err {masked}", "alive"):
        assert byhand.api.wait_line(strategy_id, line) == line
    first = byhand.api.call("GET", f"/v1/strategies/{strategy_id}/logs?after=1-0").json["logs"]
    lines = [record["line"] for record in first]
    assert {f"out {masked}", f"err {masked}", f"ValueError: {masked}"} <= set(lines)
    lines += [record["line"] for record in byhand.api.lines(strategy_id)]
    assert not any(value in line for value in values for line in lines)


def test_secrets_are_in_no_answer_to_a_bad_request(byhand: ProcfilePlatform, canary: Any) -> None:
    row, (secret, _) = canary
    strategy, strategies = f"/v1/strategies/{row['strategy_id']}", "/v1/strategies"
    good = {"name": "bad", "runtime": "python", "entrypoint": "main.py", "artifact_base64": "eA=="}
    bad: list[tuple[str, str, Any]] = [
        ("POST", strategies, good | {"secrets": {"A": secret}}),
        ("POST", strategies, good | {"secrets": {"A": [secret]}}),
        ("POST", strategies, good | {"secrets": secret}),
        ("POST", strategies, good | {"secrets": {"1 A": secret}}),
        ("POST", strategies, good | {"secrets": {"A": secret * 2000}}),
        ("POST", strategies, good | {"secrets": {"A": secret + "\0\ud800"}}),
        ("POST", strategies, good | {"sequence_api_key": f"seq_live_{secret}"}),
        ("PATCH", strategy, {"secrets": {"A": {"B": secret}}}),
        ("PATCH", strategy, {"secrets": {"A B": secret}}),
        ("PUT", strategy, {"secrets": {"A": secret}}),
        ("POST", f"{strategy}/rollback", {"version": secret}),
    ]
    answers = {
        f"{number} {method} {path}": byhand.api.call(method, path, body)
        for number, (method, path, body) in enumerate(bad)
    }
    assert {answer.status for answer in answers.values()} <= {400, 405, 422}
    told = {name: answer.content for name, answer in answers.items() if "rollback" not in name}
    assert traces(secret, told) == []


def test_secrets_are_nowhere(byhand: ProcfilePlatform, canary: Any) -> None:
    row, values = canary
    dump(byhand.redis_port)
    places = {
        **files(byhand.folder),
        **stored(byhand.database_url),
        **processes(row["run_id"]),
        **flower_pages(byhand),
        "the API": byhand.api.call("GET", f"/v1/strategies/{row['strategy_id']}").content,
        "the wire of Redis": byhand.wire,
    }
    for value in values:
        assert traces(value, places) == []
    # That there is something to be found, and that it would be.
    in_files = {"dump.rdb", "runner.log", "web.log", "flower.log", "table strategies"}
    if byhand.database_url.startswith("sqlite"):
        in_files |= {"sequence.db", "sequence.db-wal"}
    assert in_files <= places.keys()
    assert any(name.startswith("appendonlydir/") for name in places)
    id, run_id = row["strategy_id"], row["run_id"]
    in_wal = {"sequence.db-wal"} & in_files
    assert {"table strategies", *in_wal, "the API", "/api/tasks"} <= set(traces(id, places))
    assert {"dump.rdb", "the wire of Redis"} <= set(traces(run_id, places))
    assert id.encode() in places["the wire of Redis"], "the message to the runner"


def test_a_rotation_waits_until_every_runner_can_follow(
    byhand: ProcfilePlatform, canary: Any, tmp_path: Path
) -> None:
    assert canary[0]["status"] == "running"
    new, public = generate_key_pair()
    done = subprocess.run(
        [SEQUENCE, "admin", "rotate-keys"],
        env={**byhand.environ, "CREDENTIAL_ENCRYPTION_KEY": f"{new},{byhand.private_key}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "do not hold the newest key" in done.stderr
    assert byhand.runner_name in done.stderr
    assert not {new, public, byhand.private_key} & set(done.stderr.replace(",", " ").split())


def flower_pages(byhand: ProcfilePlatform) -> dict[str, bytes]:
    """What Flower shows, with all that it knows of each task."""
    tasks = byhand.flower_json("/api/tasks")
    of_tasks = [f"/{kind}/{task}" for kind in ("task", "api/task/info") for task in tasks]
    found = {path: byhand.flower(path) for path in (*FLOWER_PAGES, *of_tasks)}
    assert {status for status, _ in found.values()} == {200}
    return {path: body.encode() for path, (_, body) in found.items()}


@pytest.mark.parametrize("name", ["release", "web", "runner", "scheduler", "market", "flower"])
def test_a_bad_environment_is_refused_with_all_problems(name: str, tmp_path: Path) -> None:
    bad = {"DATABASE_URL": "nowhere", "REDIS_URL": "http://x", "LEASE_SECS": "soon", "PORT": "0"}
    missing = {
        "web": {"CREDENTIAL_PUBLIC_KEY", "API_KEY_HASH_KEY"},
        "runner": {"CREDENTIAL_ENCRYPTION_KEY"},
        "flower": {"FLOWER_BASIC_AUTH"},
    }
    if name == "flower":
        del bad["DATABASE_URL"]  # it has none: the Procfile takes it away
    done = subprocess.run(
        procfile()[name],
        shell=True,
        cwd=ROOT,
        env=clean_environ(tmp_path, **bad),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    told = done.stdout + done.stderr
    assert done.returncode != 0
    assert "Traceback" not in told
    for variable in {*bad, *missing.get(name, set())}:
        assert f"- {variable} " in told, told
