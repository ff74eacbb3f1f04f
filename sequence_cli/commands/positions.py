"""``sequence positions``."""

import json
from decimal import Decimal

import click

from sequence_cli.api.client import ApiClient
from sequence_cli.api.market import MarketApi, Row
from sequence_cli.connection import Connection
from sequence_cli.connection_options import with_connection
from sequence_cli.output.table import aligned_table
from sequence_cli.trading.amounts import PRICE_DIGITS, QTY_DIGITS, dollars, from_wire

_HEADER = ("SYMBOL", "VENUE", "KIND", "QTY", "AVERAGE", "MARK", "VALUE USD", "OPEN P&L USD")


@click.command()
@click.option("--venue", "venues", multiple=True, help="Only there; may be repeated.")
@click.option(
    "--sandbox", is_flag=True, expose_value=False, help="Those on paper; here all of them are."
)
@click.option("--json", "as_json", is_flag=True, help="Print the API's answer as JSON.")
@with_connection
def positions(connection: Connection, venues: tuple[str, ...], as_json: bool) -> int:
    """Show what you hold: cash, coins and event contracts, in dollars."""
    query = {"venues": ",".join(venues)} if venues else {}
    answer = MarketApi(ApiClient(connection)).positions(query)
    if as_json:
        click.echo(json.dumps(answer))
        return 0
    for line in aligned_table(_HEADER, [_cells(row) for row in answer["positions"]]):
        click.echo(line)
    total = (answer.get("totals") or {}).get("nav_usd_1e9")
    click.echo(f"in all {_usd(total)} USD", err=True)
    return 0


def _cells(row: Row) -> tuple[str, ...]:
    outcome = row.get("outcome")
    symbol = f"{row.get('symbol')}:{outcome}" if outcome else str(row.get("symbol"))
    return (
        symbol,
        str(row.get("venue") or "-"),
        str(row.get("kind")),
        from_wire(row.get("qty_1e8"), QTY_DIGITS),
        from_wire(row.get("avg_price_1e9"), PRICE_DIGITS),
        from_wire(row.get("mark_price_1e9"), PRICE_DIGITS),
        _usd(row.get("value_usd_1e9")),
        _usd(row.get("unrealized_pnl_usd_1e9")),
    )


def _usd(value: object) -> str:
    return dollars(Decimal(value).scaleb(-PRICE_DIGITS)) if isinstance(value, int) else "-"
