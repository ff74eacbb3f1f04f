"""``sequence account``."""

import json
from typing import Any

import click

from sequence_cli.api.client import ApiClient
from sequence_cli.api.keys import account as account_of
from sequence_cli.connection import Connection
from sequence_cli.connection_options import with_connection
from sequence_cli.output.table import aligned_pairs, aligned_table


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the API's answer as JSON.")
@with_connection
def account(connection: Connection, as_json: bool) -> int:
    """Show whose key you use, its quotas with what is used of them, and other limits."""
    found = account_of(ApiClient(connection))
    if as_json:
        click.echo(json.dumps({"account": found}))
        return 0
    for line in [*aligned_pairs(_pairs(found)), "", *_quotas(found)]:
        click.echo(line)
    return 0


def _pairs(account: dict[str, Any]) -> list[tuple[str, str]]:
    limits = [(name, _limit(value)) for name, value in account["limits"].items()]
    return [
        ("client", account["client"]),
        ("mode", "sandbox" if account["is_sandbox"] else "live"),
        ("scopes", ", ".join(account["scopes"])),
        *limits,
    ]


def _quotas(account: dict[str, Any]) -> list[str]:
    rows = [
        (name, str(quota["used"]), _limit(quota["limit"]))
        for name, quota in account["quotas"].items()
    ]
    return aligned_table(("QUOTA", "USED", "LIMIT"), rows)


def _limit(value: float | None) -> str:
    return "no limit" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
