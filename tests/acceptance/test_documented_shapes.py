"""The answers that the documentation shows, field by field, and its example of a request."""

import base64
import hashlib
import time
import uuid
from typing import Any

from .conftest import on_both_databases
from .support import Api, artifact

DOCUMENTED_ROW = {
    "strategy_id": "5dfbea6f-3698-4cf4-b493-3a48a69797d4",
    "name": "btc-dip-buyer",
    "runtime": "python",
    "entrypoint": "main.py",
    "artifact_sha256": "8d4c06fd9322df3e280847c8a34dc884e31a6c900f86ec94189d7758bc8233fb",
    "size_bytes": 20334,
    "desired_state": "running",
    "status": "queued",
    "is_sandbox": False,
    "created_at": 1777414125,
    "updated_at": 1777414125,
}
PLATFORM_FIELDS = {"status_reason", "run_id", "restart_count", "exit_code", "next_restart_at"}

PROGRAM = """
import json, os
manifest = json.load(open(os.environ["SEQUENCE_STRATEGY_MANIFEST"]))
pairs = manifest["PRED_ARB_PAIRS_JSON"]
print(os.environ["LOG_LEVEL"], os.environ["GCP_CALLBACK_URL"], len(pairs), pairs[1]["kalshi"])
print(len(os.environ["GCP_CALLBACK_TOKEN"]), os.environ["SLACK_WEBHOOK"])
"""

DOCUMENTED_REQUEST: dict[str, Any] = {
    "name": "pred-arb-walker",
    "runtime": "python",
    "entrypoint": "main.py",
    "env": {
        "LOG_LEVEL": "info",
        "GCP_CALLBACK_URL": "https://your-cf-function.cloudfunctions.net/...",
    },
    "secrets": {
        "GCP_CALLBACK_TOKEN": "bearer-...",
        "SLACK_WEBHOOK": "https://hooks.slack.com/services/...",
    },
    "manifest": {
        "PRED_ARB_PAIRS_JSON": [
            {"kalshi": "KX...", "polymarket": "0x...", "max_notional": 10},
            {"kalshi": "KY...", "polymarket": "0x...", "max_notional": 5},
        ]
    },
    "placement": {"latency_target": ["polymarket"]},
    "resources": {"cpu_millis": 500, "memory_mb": 1024, "timeout_secs": 0},
    "start_immediately": True,
}


@on_both_databases
def test_the_documented_request_gets_the_documented_answer(api: Api) -> None:
    content = artifact({"main.py": PROGRAM})
    body = {**DOCUMENTED_REQUEST, "artifact_base64": base64.b64encode(content).decode()}
    answer = api.call("POST", "/v1/strategies", {**body, "sequence_api_key": api.key})
    assert answer.status == 201
    assert list(answer.json) == ["strategy"]
    row = answer.json["strategy"]
    strategy_id = row["strategy_id"]
    try:
        assert {name: type(row[name]) for name in DOCUMENTED_ROW} == {
            name: type(value) for name, value in DOCUMENTED_ROW.items()
        }
        assert row.keys() >= PLATFORM_FIELDS
        assert str(uuid.UUID(strategy_id)) == strategy_id
        assert (row["name"], row["runtime"]) == ("pred-arb-walker", "python")
        assert row["artifact_sha256"] == hashlib.sha256(content).hexdigest()
        assert row["size_bytes"] == len(content)
        assert (row["desired_state"], row["status"]) == ("running", "queued")
        assert row["is_sandbox"] is False
        assert abs(row["created_at"] - time.time()) < 30
        api.wait(strategy_id, status="stopped", status_reason="completed", exit_code=0)
        api.wait_line(strategy_id, "info https://your-cf-function.cloudfunctions.net/... 2 KY...")
        api.wait_line(strategy_id, "10 [secret SLACK_WEBHOOK]")
        _what_is_stored(api, strategy_id)
    finally:
        api.delete(strategy_id)


def _what_is_stored(api: Api, strategy_id: str) -> None:
    answer = api.call("GET", f"/v1/strategies/{strategy_id}")
    row = answer.json["strategy"]
    for name in ("env", "manifest", "placement", "resources"):
        assert row[name] == DOCUMENTED_REQUEST[name]
    listed = api.call("GET", "/v1/strategies")
    for name in ("run", "waiting"):  # only who asks for one strategy sees these
        row.pop(name)
    assert [r for r in listed.json["strategies"] if r["strategy_id"] == strategy_id] == [row]
    for text in (answer.content.decode(), listed.content.decode()):
        assert "bearer-..." not in text
        assert "hooks.slack.com" not in text
        assert "secret" not in text
        assert "sequence_api_key" not in text
        assert api.key not in text


@on_both_databases
def test_the_log_names_run_time_and_stream_of_each_line(api: Api) -> None:
    program = "import sys\nprint('out')\nprint('err', file=sys.stderr)\n"
    strategy_id = api.create("streams", program)["strategy_id"]
    row = api.wait(strategy_id, status="stopped")
    answer = api.call("GET", f"/v1/strategies/{strategy_id}/logs").json
    assert answer["strategy_id"] == strategy_id
    assert answer["run_id"] == row["run_id"]
    assert {record["run_id"] for record in answer["logs"]} == {row["run_id"]}
    assert all(abs(record["ts_ms"] / 1000 - time.time()) < 60 for record in answer["logs"])
    lines = [(record["stream"], record["line"]) for record in answer["logs"]]
    assert sorted(lines[1:-1]) == [("stderr", "err"), ("stdout", "out")]
    assert [lines[0][0], lines[-1][0]] == ["system", "system"]
    assert (
        answer["logs"]
        == api.call("GET", f"/v1/strategies/{strategy_id}/logs?run_id={row['run_id']}").json["logs"]
    )
    api.delete(strategy_id)


@on_both_databases
def test_deleting_answers_with_json_and_leaves_nothing_to_find(api: Api) -> None:
    strategy_id = api.create("short-lived", "", start=False)["strategy_id"]
    answer = api.call("DELETE", f"/v1/strategies/{strategy_id}")
    assert (answer.status, answer.json["strategy_id"]) == (200, strategy_id)
    for method, path in (("GET", ""), ("POST", "/start"), ("GET", "/logs"), ("DELETE", "")):
        gone = api.call(method, f"/v1/strategies/{strategy_id}{path}")
        assert (gone.status, gone.json["error"]["code"]) == (404, "NOT_FOUND")


@on_both_databases
def test_every_refusal_has_the_envelope_and_the_request_id(api: Api) -> None:
    cases = (
        ("GET", "/v1/nothing", None, 404, "NOT_FOUND"),
        ("PATCH", "/v1/strategies", None, 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/v1/strategies", {"name": "x"}, 422, "VALIDATION_ERROR"),
        ("GET", "/v1/strategies/no-uuid", None, 404, "NOT_FOUND"),
    )
    for method, path, body, status, code in cases:
        answer = api.call(method, path, body, {"X-Request-Id": f"mine-{status}"})
        error = answer.json["error"]
        assert (answer.status, error["code"]) == (status, code)
        assert error["request_id"] == answer.headers["X-Request-Id"] == f"mine-{status}"
        assert error["message"]
    answer = Api(api.url, "seq_live_" + "0" * 64).call("GET", "/v1/strategies")
    assert (answer.status, answer.json["error"]["code"]) == (401, "UNAUTHORIZED")


@on_both_databases
def test_a_test_key_sees_a_world_of_its_own(api: Api, platform: Any) -> None:
    program = "import os\nprint('sandbox', os.environ['SEQUENCE_IS_SANDBOX'])\n"
    strategy_id = platform.test.create("test-world", program)["strategy_id"]
    row = platform.test.wait(strategy_id, status="stopped")
    assert row["is_sandbox"] is True
    assert platform.test.wait_line(strategy_id, "sandbox") == "sandbox true"
    assert api.call("GET", f"/v1/strategies/{strategy_id}").status == 404
    assert strategy_id not in [row["strategy_id"] for row in api.rows()]
    platform.test.delete(strategy_id)
