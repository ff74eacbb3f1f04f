"""``sequence strategy status``."""

import json
import time

import click

from sequence_cli.api.client import ApiClient
from sequence_cli.api.strategies import Row, StrategiesApi
from sequence_cli.connection import Connection
from sequence_cli.connection_options import with_connection
from sequence_cli.output.run_words import isolation_in_words, usage_in_words
from sequence_cli.output.status_words import (
    local_time,
    next_run_in_words,
    reason_in_words,
    restart_in_words,
    size_in_words,
    waiting_in_words,
)
from sequence_cli.output.table import aligned_pairs

_POLICIES = ("network", "restart", "stop", "hooks", "watchdog", "schedule", "deploy")


@click.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print the API's answer as JSON.")
@with_connection
def status(connection: Connection, name: str, as_json: bool) -> int:
    """Show one strategy: its state, why it is so, and what it was given."""
    api = StrategiesApi(ApiClient(connection))
    row = api.get(api.resolve_id(name))
    if as_json:
        click.echo(json.dumps({"strategy": row}))
        return 0
    for line in aligned_pairs([pair for pair in _pairs(row, time.time()) if pair[1]]):
        click.echo(line)
    return 0


def _pairs(row: Row, now_s: float) -> list[tuple[str, str]]:
    artifact = f"{row['artifact_sha256'][:12]}, {size_in_words(row['size_bytes'])}"
    exit_code = row.get("exit_code")
    return [
        ("name", row["name"]),
        ("id", row["strategy_id"]),
        ("version", str(row.get("version") or "")),
        ("status", row["status"]),
        ("reason", reason_in_words(row)),
        ("waits for", waiting_in_words(row)),
        ("next restart", restart_in_words(row, now_s)),
        ("next run", next_run_in_words(row, now_s)),
        ("wanted", row["desired_state"]),
        ("exit code", "" if exit_code is None else str(exit_code)),
        ("restarts", str(row.get("restart_count", 0))),
        ("run", row.get("run_id") or "-"),
        ("uses", usage_in_words(row.get("run"))),
        ("sealed by", isolation_in_words(row.get("run"))),
        ("target", row.get("latency_target") or "-"),
        ("mode", "sandbox" if row["is_sandbox"] else "live"),
        ("entrypoint", row["entrypoint"]),
        ("artifact", artifact),
        ("resources", _as_words(row.get("resources"))),
        *((name, _as_words(row.get(name))) for name in _POLICIES),
        ("env", _as_words(row.get("env"))),
        ("risk", _as_words(row.get("risk"))),
        ("created", local_time(row.get("created_at"))),
        ("updated", local_time(row.get("updated_at"))),
    ]


def _as_words(table: object) -> str:
    if not isinstance(table, dict):
        return ""
    return ", ".join(
        f"{key}={value if isinstance(value, str) else json.dumps(value)}"
        for key, value in table.items()
    )
