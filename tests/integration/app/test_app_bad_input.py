"""Every bad input is answered in the contract's envelope, with words that help."""

from __future__ import annotations

import json
import uuid
from contextlib import ExitStack
from typing import Any

import pytest
from sqlalchemy import update
from support.api import Caller, Web, body, error, web
from support.archives import base64_of, tar_of, zip_of

from app.api.uploads import LARGE_BYTES
from app.artifacts.uploads import MOST_AT_ONCE
from app.database import database_now
from app.models import ApiKey

# What is refused before a row is looked for is refused alike on both databases.
on_one_database = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
MISSING = str(uuid.UUID(int=0))
DEEP = "[" * 100_000


@on_one_database
@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"name": None}, "name", "Missing data"),
        ({"runtime": None}, "runtime", "Missing data"),
        ({"entrypoint": None}, "entrypoint", "Missing data"),
        ({"artifact_base64": None}, "artifact_base64", "Missing data"),
        ({"name": ""}, "name", "1 to 100 printable characters"),
        ({"name": " a"}, "name", "without blanks at its ends"),
        ({"name": "a" * 101}, "name", "1 to 100"),
        ({"name": "a\nb"}, "name", "printable"),
        ({"name": 7}, "name", "Not a valid string"),
        ({"runtime": "node"}, "runtime", "runtime must be 'python', not 'node'"),
        ({"entrypoint": ""}, "entrypoint", "between 1 and 255"),
        ({"entrypoint": "mian.py"}, "entrypoint", "did you mean 'main.py'?"),
        ({"artifact_base64": "§§§"}, "artifact_base64", "is not valid base64"),
        ({"artifact_base64": ""}, "artifact_base64", "the artifact is empty"),
        ({"artifact_base64": base64_of(b"text")}, "artifact_base64", "is not an archive"),
        ({"artifact_base64": base64_of(tar_of({}))}, "artifact_base64", "empty"),
        (
            {"artifact_base64": base64_of(zip_of({"../x": b""}))},
            "artifact_base64",
            "climbs out of the archive",
        ),
        ({"start_immediately": "yes"}, "start_immediately", "Not a valid boolean"),
        ({"env": {"SEQUENCE_API_URL": "x"}}, "env", "SEQUENCE_API_URL is reserved"),
        ({"secrets": {"SEQUENCE_X": "x"}}, "secrets", "SEQUENCE_X is reserved"),
        ({"env": {"1A": "x"}}, "env", "'1A' is not a name for an environment variable"),
        ({"env": {"A": 1}}, "env.A.value", "Not a valid string"),
        ({"env": {"A": "a\0b"}}, "env.A.value", "must not hold a NUL character"),
        ({"env": {"A": "\ud800"}}, "env.A.value", "is not valid Unicode"),
        ({"env": {"A": "x" * 65_536}}, "env", "at most 65536 are allowed"),
        ({"env": ["A"]}, "env", "Not a valid mapping"),
        ({"manifest": {"a": ["b", {"c": "\0"}]}}, "manifest", "NUL"),
        ({"manifest": []}, "manifest", "Not a valid mapping"),
        ({"risk": {"\0": 1}}, "risk", "NUL"),
        ({"network": {"mode": "open"}}, "network.mode", "Must be one of: internet, none, allow"),
        ({"network": {"allow": ["a.com"]}}, "network.allow", "needs mode = 'allow'"),
        (
            {"network": {"mode": "allow", "allow": ["a.com", "https://b.com/x"]}},
            "network.allow.1",
            "leave scheme and path away; an entry is a host name, *.name, an IPv4 address",
        ),
        (
            {"network": {"mode": "allow", "allow": ["169.254.169.254"]}},
            "network.allow.0",
            "link-local, where clouds keep their metadata services",
        ),
        (
            {"placement": {"latency_target": ["coinbose"]}},
            "placement.latency_target",
            "unknown latency target 'coinbose'; did you mean 'coinbase'? known are coinbase, "
            "default, kalshi, polymarket",
        ),
        ({"placement": {"zone": "eu"}}, "placement.zone", "unknown key 'zone'"),
        ({"placement": {"latency_target": ["default"] * 17}}, "placement.latency_target", "16"),
        ({"resources": {"memory_mb": 31}}, "resources.memory_mb", "32 and less than or equal"),
        ({"resources": {"memory_mb": 10**30}}, "resources.memory_mb", "262144"),
        ({"resources": {"memory_mb": "512"}}, "resources.memory_mb", "Not a valid integer"),
        ({"resources": {"cpu_millis": 9}}, "resources.cpu_millis", "10"),
        ({"resources": {"cpu_millis": 0.5}}, "resources.cpu_millis", "Not a valid integer"),
        ({"resources": {"timeout_secs": -1}}, "resources.timeout_secs", "0"),
        ({"resources": {"memory": 64}}, "resources.memory", "did you mean 'memory_mb'?"),
        ({"resource": {}}, "resource", "unknown key 'resource'; did you mean 'resources'?"),
        ({"sequence_api_key": "seq_live_x"}, "sequence_api_key", "64 hexadecimal digits"),
        ({"sequence_api_key": ""}, "sequence_api_key", "64 hexadecimal digits"),
        ({"sequence_api_key": "seq_live_" + "0" * 64}, "sequence_api_key", "not known here"),
    ],
    ids=lambda value: str(value)[:40].encode("ascii", "replace").decode(),
)
def test_a_bad_field_is_named(
    caller: Caller, fields: dict[str, Any], field: str, words: str
) -> None:
    found = error(caller.create(**{"name": "alpha", **fields}), 422, "VALIDATION_ERROR")
    assert [detail["field"] for detail in found["details"]] == [field]
    assert words in found["details"][0]["message"]
    assert words in found["message"]
    assert caller.get().json == {"strategies": []}


@on_one_database
def test_all_bad_fields_are_named_at_once(caller: Caller) -> None:
    found = error(caller.post(json={"name": "", "runtime": "go"}), 422, "VALIDATION_ERROR")
    assert {detail["field"] for detail in found["details"]} == {
        "name",
        "runtime",
        "entrypoint",
        "artifact_base64",
    }
    assert found["message"].endswith("(and 3 more)")


@on_one_database
def test_numbers_that_are_not_json_are_refused(caller: Caller) -> None:
    text = '{"manifest": {"limit": NaN}}'
    answer = caller.post(data=text, content_type="application/json")
    fields = [detail["field"] for detail in error(answer, 422, "VALIDATION_ERROR")["details"]]
    assert "manifest" in fields


@on_one_database
@pytest.mark.parametrize("text", ["{", "", "nonsense", b"\xff\xfe"])
def test_a_body_that_is_not_json(caller: Caller, text: str | bytes) -> None:
    answer = caller.post(data=text, content_type="application/json")
    assert answer.status_code in (400, 422)
    found = error(answer, answer.status_code, answer.json["error"]["code"])
    assert found["code"] in ("BAD_REQUEST", "VALIDATION_ERROR")


@on_one_database
@pytest.mark.parametrize("text", ["[]", '"text"', "7", "null"])
def test_a_body_that_is_no_object(caller: Caller, text: str) -> None:
    answer = caller.post(data=text, content_type="application/json")
    assert answer.status_code in (400, 422)
    error(answer, answer.status_code, answer.json["error"]["code"])


@on_one_database
def test_a_number_of_too_many_digits(caller: Caller) -> None:
    text = '{"label": ' + "9" * 5000 + "}"
    for path in ("/strategies", "/api_keys"):
        answer = caller.post(path, data=text, content_type="application/json")
        assert "digits" in error(answer, 400, "BAD_REQUEST")["message"]


def test_another_content_type(caller: Caller) -> None:
    answer = caller.post(data="name=alpha", content_type="application/x-www-form-urlencoded")
    assert "Content-Type: application/json" in error(answer, 400, "BAD_REQUEST")["message"]


@on_one_database
@pytest.mark.parametrize("text", [DEEP, '{"manifest": ' + '{"a":' * 5000 + "1" + "}" * 5001])
def test_a_body_that_is_nested_too_deeply(caller: Caller, text: str) -> None:
    answer = caller.post(data=text, content_type="application/json")
    assert "nested too deeply" in error(answer, 400, "BAD_REQUEST")["message"]


@pytest.mark.parametrize("depth", [1, 100])
def test_what_can_be_created_can_be_read(caller: Caller, depth: int) -> None:
    created = caller.post(data=nested(depth), content_type="application/json")
    assert created.status_code == 201, created.json
    strategy_id = created.json["strategy"]["strategy_id"]
    assert caller.get(f"/strategies/{strategy_id}").status_code == 200
    assert caller.get().status_code == 200


@on_one_database
@pytest.mark.parametrize("depth", [101, 500])
def test_a_manifest_that_is_nested_too_deeply(caller: Caller, depth: int) -> None:
    answer = caller.post(data=nested(depth), content_type="application/json")
    details = error(answer, 422, "VALIDATION_ERROR")["details"]
    assert details == [
        {"field": "manifest", "message": "is nested too deeply: at most 100 levels"},
    ]


def nested(depth: int) -> str:
    text = json.dumps(body(name=f"deep-{depth}"))[:-1]
    return text + ', "manifest": ' + '{"a":' * depth + "1" + "}" * (depth + 1)


@on_one_database
def test_an_artifact_above_the_limit(database_url: str, redis_url: str) -> None:
    with web(database_url, redis_url, ARTIFACT_MAX_BYTES=2000) as one:
        caller = one.caller()
        answer = caller.create(artifact_base64=base64_of(bytes(2001)))
        message = error(answer, 413, "PAYLOAD_TOO_LARGE")["message"]
        assert message == "the artifact has 2001 bytes; the limit is 2000 bytes"
        answer = caller.create(artifact_base64=base64_of(bytes(2 << 20)))
        message = error(answer, 413, "PAYLOAD_TOO_LARGE")["message"]
        assert "the limit of an artifact is 2000 bytes" in message


@on_one_database
@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNz",
        "seq_live_" + "0" * 64,
        "Bearer seq_live_" + "0" * 64,
        "Bearer seq_live_" + "0" * 63,
        "Bearer seq_prod_" + "0" * 64,
        "Bearer seq_live_" + "G" * 64,
        "Bearer " + "x" * 10_000,
    ],
)
def test_without_a_valid_key(web_process: Web, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    answer = web_process.flask.test_client().get("/v1/strategies", headers=headers)
    found = error(answer, 401, "UNAUTHORIZED")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert "0000" not in found["message"]


def test_a_revoked_key(web_process: Web, caller: Caller) -> None:
    with web_process.services.database.transaction() as session:
        session.execute(update(ApiKey).values(revoked_at=database_now()))
    assert "revoked" in error(caller.get(), 401, "UNAUTHORIZED")["message"]


ABSENT = [
    ("GET", f"/strategies/{MISSING}"),
    ("GET", f"/strategies/{MISSING}/logs"),
    ("GET", f"/strategies/{MISSING}/logs?follow=true"),
    ("POST", f"/strategies/{MISSING}/start"),
    ("POST", f"/strategies/{MISSING}/stop"),
    ("DELETE", f"/strategies/{MISSING}"),
    ("GET", "/strategies/no-uuid"),
    ("GET", "/strategies/%00"),
    ("DELETE", "/strategies/%00"),
    ("GET", "/strategies/%ff%fe"),
    ("GET", f"/strategies/{'x' * 5000}"),
]


def test_a_strategy_that_is_not_there(caller: Caller) -> None:
    for method, path in ABSENT:
        found = error(caller.call(method, path), 404, "NOT_FOUND")
        assert "there is no strategy" in found["message"], (method, path)


def test_a_key_with_a_nul_in_its_name_is_not_there(caller: Caller) -> None:
    error(caller.call("DELETE", "/api_keys/%00"), 404, "NOT_FOUND")
    error(caller.call("POST", "/api_keys/%00/rotate"), 404, "NOT_FOUND")


@on_one_database
def test_a_route_that_is_not_there(web_process: Web) -> None:
    for path in ("/", "/v1", "/v2/strategies", "/v1/strategies/a/b/c"):
        error(web_process.flask.test_client().get(path), 404, "NOT_FOUND")


@on_one_database
def test_a_method_that_is_not_there(caller: Caller) -> None:
    answer = caller.call("PUT", "/strategies")
    error(answer, 405, "METHOD_NOT_ALLOWED")
    assert {"GET", "POST"} <= set(answer.headers["Allow"].replace(" ", "").split(","))


@on_one_database
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=10001", "limit"),
        ("limit=ten", "limit"),
        ("after=here", "after"),
        ("follow=perhaps", "follow"),
        ("page=2", "page"),
    ],
)
def test_a_bad_query_parameter(caller: Caller, query: str, field: str) -> None:
    strategy_id = caller.created()["strategy_id"]
    found = error(caller.get(f"/strategies/{strategy_id}/logs?{query}"), 400, "INVALID_PARAMS")
    assert found["details"][0]["field"] == field
    assert field in found["message"]


def test_a_run_that_is_not_there(caller: Caller) -> None:
    strategy_id = caller.created()["strategy_id"]
    for run_id in ("none", "%00", MISSING):
        answer = caller.get(f"/strategies/{strategy_id}/logs?run_id={run_id}")
        assert "the strategy has no run" in error(answer, 404, "NOT_FOUND")["message"]


def test_a_cursor_beyond_every_run(caller: Caller) -> None:
    strategy_id = caller.created()["strategy_id"]
    path = f"/strategies/{strategy_id}/logs"
    assert caller.logs(strategy_id, after="999999999-999999999999999")["logs"] == []
    for after in ("9999999999-1", f"1-{10**18}"):
        found = error(caller.get(path, query_string={"after": after}), 400, "INVALID_PARAMS")
        assert "is the id of a line" in found["message"]


@on_one_database
@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("my-request-7", True),
        ("x" * 128, True),
        ("x" * 129, False),
        ("", False),
        ("tab\tin", False),
        ("caf\xe9", False),
    ],
)
def test_the_request_id(caller: Caller, sent: str, kept: bool) -> None:
    for path in ("/strategies", f"/strategies/{MISSING}"):
        answer = caller.get(path, headers={"X-Request-Id": sent})
        given = answer.headers["X-Request-Id"]
        assert (given == sent) == kept
        if not kept:
            uuid.UUID(given)
        if answer.status_code != 200:
            assert answer.json["error"]["request_id"] == given


def test_an_error_of_ours_tells_nothing(
    sqlite_url: str, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    canary = "canary-in-a-message"

    def broken() -> None:
        raise KeyError(canary)

    with web(sqlite_url, redis_url) as one:
        one.flask.add_url_rule("/v1/broken", view_func=broken)
        found = error(one.caller().get("/broken"), 500, "INTERNAL_ERROR")
    assert canary not in str(found)
    assert "request id" in found["message"]
    logged = [record for record in caplog.records if record.message == "unexpected_error"]
    assert len(logged) == 1
    assert canary not in caplog.text
    assert "KeyError" in caplog.text


def test_bad_input_never_quotes_a_secret(caller: Caller, caplog: pytest.LogCaptureFixture) -> None:
    canary = "canary-7d1f0a"
    for fields in (
        {"secrets": {"TOKEN": canary, "1": "x"}},
        {"secrets": {"TOKEN": [canary]}},
        {"secrets": canary},
        {"secrets": {"TOKEN": canary + "\0"}},
        {"sequence_api_key": canary},
        {"secrets": {"TOKEN": canary}, "name": ""},
    ):
        answer = caller.create(**{"name": "alpha", **fields})
        assert answer.status_code == 422
        assert canary not in answer.text
    assert canary not in caplog.text
    assert body()


@on_one_database
def test_a_client_has_only_so_many_large_uploads_at_once(web_process: Web) -> None:
    """Their bodies lie in memory however slowly they come; others are not held up."""
    mallory, other = web_process.caller("mallory"), web_process.caller("other")
    large = "A" * (LARGE_BYTES + 4)
    with ExitStack() as under_way:
        for _ in range(MOST_AT_ONCE):
            under_way.enter_context(
                web_process.services.uploads.one(web_process.principal(mallory).client_id)
            )
        refused = mallory.create("large", artifact_base64=large)
        assert "under way" in error(refused, 503, "SERVICE_UNAVAILABLE")["message"]
        assert refused.headers["Retry-After"] == "2"
        assert mallory.create("small").status_code == 201
        error(other.create("large", artifact_base64=large), 422, "VALIDATION_ERROR")
    error(mallory.create("large", artifact_base64=large), 422, "VALIDATION_ERROR")
