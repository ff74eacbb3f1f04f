"""``sequence strategy delete``."""

import sys

import click

from sequence_cli.api.client import ApiClient
from sequence_cli.api.strategies import StrategiesApi
from sequence_cli.connection import Connection
from sequence_cli.connection_options import with_connection
from sequence_cli.errors import CliError


@click.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_connection
def delete(connection: Connection, name: str, yes: bool) -> int:
    """Stop a strategy if it runs and remove it with its artifact, runs and logs."""
    api = StrategiesApi(ApiClient(connection))
    row = api.get(api.resolve_id(name))
    if not yes:
        _confirm(row["name"])
    api.delete(row["strategy_id"])
    click.echo(f"{row['name']} is deleted")
    return 0


def _confirm(name: str) -> None:
    if not sys.stdin.isatty():
        raise CliError("there is no terminal to ask on: pass --yes to delete without asking")
    if not click.confirm(f"Delete {name} with its artifact, runs and logs?", err=True):
        raise CliError(f"{name} was not deleted")
