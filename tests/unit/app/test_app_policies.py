"""The tables below `[hosted]`: what is taken, what is refused, and where they are looked for."""

from typing import Any

import pytest
from marshmallow import ValidationError

from app.strategies.policy_schemas import POLICIES
from app.strategies.schemas import CreateSchema

BODY = {"name": "a", "runtime": "python", "entrypoint": "main.py", "artifact_base64": ""}


@pytest.mark.parametrize(
    ("table", "values"),
    [
        ("restart", {"policy": "always", "max_restarts": 0, "on": ["oom", "timeout"]}),
        ("restart", {"backoff_initial_secs": 0.5, "backoff_max_secs": 0.5, "reset_after_secs": 1}),
        ("stop", {"grace_secs": 0}),
        ("stop", {"grace_secs": 300}),
        ("hooks", {"on_stop": "ops/cleanup.py", "timeout_secs": 5}),
        ("watchdog", {"silence_secs": 0.5}),
        ("schedule", {"cron": "*/5 * * * *", "timezone": "Europe/London", "overlap": "replace"}),
        ("schedule", {"cron": "0 9 * * MON-FRI"}),
        ("network", {"mode": "allow", "allow": ["api.kalshi.com:443"]}),
    ],
)
def test_takes(table: str, values: dict[str, Any]) -> None:
    assert POLICIES[table]().load(values) == values


@pytest.mark.parametrize(
    ("table", "values", "field", "hint"),
    [
        ("restart", {"policy": "sometimes"}, "policy", "on-failure"),
        ("restart", {"max_restart": 3}, "max_restart", "did you mean 'max_restarts'?"),
        ("restart", {"max_restarts": -1}, "max_restarts", "greater"),
        ("restart", {"max_restarts": True}, "max_restarts", "integer"),
        ("restart", {"backoff_initial_secs": 90}, "backoff_initial_secs", "backoff_max_secs (60)"),
        ("restart", {"backoff_max_secs": float("nan")}, "backoff_max_secs", "nan"),
        ("restart", {"on": ["exit", "boredom"]}, "on", "oom"),
        ("stop", {"grace_secs": 301}, "grace_secs", "300"),
        ("stop", {"grace_secs": "soon"}, "grace_secs", "number"),
        ("hooks", {"on_stop": "../../etc/passwd"}, "on_stop", ".py file inside the artifact"),
        ("hooks", {"on_crash": "/cleanup.py"}, "on_crash", ".py file inside the artifact"),
        ("watchdog", {"silence_secs": -1}, "silence_secs", "greater"),
        ("schedule", {}, "cron", "required"),
        ("schedule", {"cron": "61 * * * *"}, "cron", "'*/5 * * * *'"),
        ("schedule", {"cron": "* * * *"}, "cron", "five fields"),
        ("schedule", {"cron": "0 0 */31 2 MON#5"}, "cron", "never comes"),
        ("schedule", {"cron": "0 0 1 1 *", "timezone": "Mars/Base"}, "timezone", "Europe/London"),
        ("network", {"mode": "internet", "allow": ["a.example"]}, "allow", "mode = 'allow'"),
    ],
)
def test_refuses(table: str, values: dict[str, Any], field: str, hint: str) -> None:
    with pytest.raises(ValidationError) as caught:
        POLICIES[table]().load(values)
    assert hint in str(caught.value.normalized_messages()[field])


def test_the_manifest_has_what_the_body_lacks() -> None:
    manifest = {"hosted": {"stop": {"grace_secs": 5}, "watchdog": {"silence_secs": 9}}}
    loaded = CreateSchema().load(
        {**BODY, "manifest": manifest, "stop": {"grace_secs": 7}, "watchdog": None}
    )
    assert (loaded["stop"], loaded["watchdog"]) == ({"grace_secs": 7}, {"silence_secs": 9})
    assert loaded["manifest"] == manifest


def test_what_the_manifest_has_is_checked_as_well() -> None:
    manifest = {"hosted": {"schedule": {"cron": "nonsense"}}}
    with pytest.raises(ValidationError) as caught:
        CreateSchema().load({**BODY, "manifest": manifest})
    assert set(caught.value.normalized_messages()) == {"schedule"}


@pytest.mark.parametrize("manifest", [{"hosted": None}, {"hosted": [1]}, {"hosted": {}}, {}])
def test_a_manifest_without_tables_has_none(manifest: dict[str, Any]) -> None:
    assert CreateSchema().load({**BODY, "manifest": manifest})["restart"] == {}
