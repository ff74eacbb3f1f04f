"""``sequence strategy start``."""

import click

from sequence_cli.api.client import ApiClient
from sequence_cli.api.strategies import StrategiesApi
from sequence_cli.connection import Connection
from sequence_cli.connection_options import with_connection


@click.command()
@click.argument("name")
@with_connection
def start(connection: Connection, name: str) -> int:
    """Queue a stopped or failed strategy to run."""
    api = StrategiesApi(ApiClient(connection))
    row = api.start(api.resolve_id(name))
    click.echo(f"{row['name']} is {row['status']}")
    click.echo(f"next: sequence strategy logs {row['name']} --follow")
    return 0
