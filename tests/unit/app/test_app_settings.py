"""Settings: everything is reported at once, and `.env.example` is what the code says."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.environments import environment

from app.settings import Role, Settings, SettingsError, example_file, load, variables

ROOT = Path(__file__).parents[3]


def problems(role: Role = Role.RUNNER, **overrides: object) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(role, environment(**overrides))
    return caught.value.problems


def test_a_complete_environment_serves_every_role() -> None:
    for role in Role:
        assert load(role, environment()).port == 8000


def test_an_empty_environment_names_what_a_role_cannot_do_without() -> None:
    with pytest.raises(SettingsError) as caught:
        load(Role.WEB, {})
    assert [problem.split()[0] for problem in caught.value.problems] == [
        "CREDENTIAL_PUBLIC_KEY",
        "API_KEY_HASH_KEY",
    ]
    assert "generate-keys" in str(caught.value)
    assert "See .env.example" in str(caught.value)


def test_the_scheduler_needs_no_key_at_all() -> None:
    settings = load(Role.SCHEDULER, {})
    assert settings.credential_public_key == ""
    assert not settings.credential_encryption_key


def test_blank_values_count_as_absent() -> None:
    assert load(Role.SCHEDULER, {"PORT": "  "}).port == 8000


def test_all_problems_are_reported_together() -> None:
    found = problems(
        PORT="none",
        LEASE_SECS="6",
        HEARTBEAT_SECS="5",
        DATABASE_URL="mysql://host/db",
        CREDENTIAL_ENCRYPTION_KEY="",
        RUNNER_QUEUES="mars",
    )
    assert [problem.split()[0] for problem in found] == [
        "DATABASE_URL",
        "PORT",
        "CREDENTIAL_ENCRYPTION_KEY",
        "HEARTBEAT_SECS",
        "RUNNER_QUEUES",
    ]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PORT", "0", "between 1 and 65535"),
        ("PORT", "http", "whole number"),
        ("LEASE_SECS", "nan", "between 2 and 300"),
        ("LEASE_SECS", "soon", "must be a number"),
        ("HEARTBEAT_SECS", "6", "at most a third of LEASE_SECS (15)"),
        ("LOG_LEVEL", "loud", "debug, info, warning, error"),
        ("DATABASE_URL", "mysql://host/db", "postgresql:// or be sqlite:///"),
        ("DATABASE_URL", "sqlite://", "sqlite:///FILE"),
        ("DATABASE_URL", "sqlite:///:memory:", "sqlite:///FILE"),
        ("DATABASE_URL", "postgresql://host:port/db", "[:PORT]"),
        ("REDIS_URL", "http://host", "redis://"),
        ("REDIS_URL", "redis://[half", "redis://"),
        ("REDIS_URL", "redis://host:port/0", "redis://"),
        ("BROKER_URL", "rabbit", "amqp://"),
        ("SEQUENCE_API_URL", "host:80", "http(s)://HOST"),
        ("SEQUENCE_API_URL", "http://host/v1", "http(s)://HOST"),
        ("SEQUENCE_API_URL", "http://host:port", "http(s)://HOST"),
        ("SEQUENCE_API_URL", "http://host/?a=b", "http(s)://HOST"),
        ("SEQUENCE_API_URL", "http://[half", "http(s)://HOST"),
        ("RUNTIME_ROOTFS", "runtime", "absolute path"),
        ("API_KEY_HASH_KEY", "kurz", "32 bytes"),
        ("API_KEY_HASH_KEY", "not base64!", "base64"),
        ("CREDENTIAL_ENCRYPTION_KEY", ",", "32 bytes"),
        ("LATENCY_TARGETS", "default", "target=region"),
        ("LATENCY_TARGETS", "coinbase=us", "target `default`"),
        ("RUNNER_NAME", "Über", "small letters"),
        ("MARKET_EXCHANGES", "kraken:BTC", "kraken:BTC-USD"),
        ("MARKET_EXCHANGES", "mars:BTC-USD", "'mars:BTC-USD'"),
        ("RUNNER_QUEUES", "mars", "known are default, coinbase, kalshi, polymarket"),
        ("FLOWER_BASIC_AUTH", "operator", "user:password"),
    ],
)
def test_a_bad_value_is_named_with_what_to_do(name: str, value: str, words: str) -> None:
    found = problems(**{name: value})
    assert len(found) == 1
    assert words in found[0]
    assert name in found[0]


def test_a_problem_never_repeats_a_key() -> None:
    secret = "c2VjcmV0LXNlY3JldC1zZWNyZXQ="
    assert secret not in " ".join(problems(CREDENTIAL_ENCRYPTION_KEY=secret))


def test_two_keys_may_be_active() -> None:
    first, second = (
        environment()["CREDENTIAL_ENCRYPTION_KEY"],
        environment()["CREDENTIAL_ENCRYPTION_KEY"],
    )
    made = load(Role.RUNNER, environment(CREDENTIAL_ENCRYPTION_KEY=f"{first}, {second}"))
    assert made.credential_encryption_key == (first, second)


def test_herokus_database_url_is_understood() -> None:
    made = load(Role.SCHEDULER, {"DATABASE_URL": "postgres://user:pass@host/db"})
    assert made.database_url == "postgresql+psycopg://user:pass@host/db"


def test_the_broker_is_redis_unless_another_is_named() -> None:
    assert load(Role.SCHEDULER, {"REDIS_URL": "redis://host:1/0"}).broker == "redis://host:1/0"
    assert load(Role.SCHEDULER, {"BROKER_URL": "amqp://host"}).broker == "amqp://host"


def test_a_runner_serves_every_target_unless_told_otherwise() -> None:
    assert load(Role.SCHEDULER, {}).queues == ("default", "coinbase", "kalshi", "polymarket")
    assert load(Role.SCHEDULER, {"RUNNER_QUEUES": "kalshi"}).queues == ("kalshi",)


def test_the_example_file_is_what_the_code_says() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "app.settings"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert printed == example_file()
    assert (ROOT / ".env.example").read_text() == printed


def test_the_example_file_lists_every_variable_with_its_unit() -> None:
    text = example_file()
    for _, variable in variables():
        assert re.search(
            rf"# {re.escape(variable.help)}.*\n# Unit: {re.escape(variable.unit)}\n"
            rf"(# )?{variable.name}={re.escape(variable.default or '')}\n",
            text,
        ), variable.name


def test_every_variable_is_used() -> None:
    sources = [
        path.read_text()
        for folder in ("app", "market", "tasks", "deploy")
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "settings.py"
    ]
    text = "\n".join(sources) + (ROOT / "app/settings.py").read_text().partition("@property")[2]
    for attribute, variable in variables():
        by_flower = "Flower reads it itself" in variable.help
        assert by_flower or re.search(rf"(settings|self)\.{attribute}\b", text), variable.name


def test_no_other_module_reads_the_environment() -> None:
    readers = {
        str(path.relative_to(ROOT))
        for folder in ("app", "tasks")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"os\.(getenv|environ)", path.read_text())
    }
    # Entry points, which hand all of it to `load` and look at nothing themselves.
    assert readers == {
        "app/admin.py",
        "app/wsgi.py",
        "tasks/flower_app.py",
        "tasks/scheduler.py",
        "tasks/worker.py",
    }


def test_settings_are_one_field_for_each_variable() -> None:
    assert len(variables()) == len(dataclasses.fields(Settings))
    assert len({variable.name for _, variable in variables()}) == len(variables())
