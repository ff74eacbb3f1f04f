"""``sequence runners``."""

import json
import time
from typing import Any

import click

from sequence_cli.api.client import ApiClient
from sequence_cli.api.runners import runner_rows
from sequence_cli.connection import Connection
from sequence_cli.connection_options import with_connection
from sequence_cli.output.table import aligned_table

_HEADER = ("NAME", "HOST", "STATE", "QUEUES", "RUNNING", "CPU", "MEMORY", "VERSION", "HEARTBEAT")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the API's answer as JSON.")
@with_connection
def runners(connection: Connection, as_json: bool) -> int:
    """Show the platform's runners: where they are, what they serve, how full they are."""
    rows = runner_rows(ApiClient(connection))
    if as_json:
        click.echo(json.dumps({"runners": rows}))
    elif not rows:
        click.echo("no runner is known: strategies wait until one is started")
    else:
        for line in aligned_table(_HEADER, [_cells(row, time.time()) for row in rows]):
            click.echo(line)
    return 0


def _cells(row: dict[str, Any], now_s: float) -> tuple[str, ...]:
    return (
        row["name"],
        row["host"],
        _state(row),
        ",".join(row["queues"]),
        f"{row['running']}/{row['max_strategies']}",
        _share(row["used_cpu_millis"], row["cpu_millis"], "m"),
        _share(row["used_memory_mb"], row["memory_mb"], " MB"),
        row["version"],
        f"{max(0, round(now_s - row['last_heartbeat_at']))} s ago",
    )


def _state(row: dict[str, Any]) -> str:
    if not row["is_live"]:
        return "silent"
    return "stopping" if row["is_stopping"] else "live"


def _share(used: int, limit: int | None, unit: str) -> str:
    return f"{used}{unit}" if limit is None else f"{used}/{limit}{unit}"
