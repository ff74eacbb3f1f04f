"""``sequence orders`` and ``sequence fills``."""

import json
from collections.abc import Callable

import click

from sequence_cli.api.client import ApiClient
from sequence_cli.api.market import MarketApi, Row
from sequence_cli.connection import Connection
from sequence_cli.connection_options import with_connection
from sequence_cli.output.status_words import local_time
from sequence_cli.output.table import aligned_table
from sequence_cli.trading.amounts import PRICE_DIGITS, QTY_DIGITS, from_wire

_ORDERS = ("ORDER", "SYMBOL", "VENUE", "SIDE", "QTY", "FILLED", "PRICE", "STATUS", "AT")
_FILLS = ("ORDER", "SYMBOL", "VENUE", "SIDE", "QTY", "PRICE", "FEE", "AT")
_NS = 1_000_000_000
_SYMBOL_CHARS = 40


def _options(command: Callable[..., int]) -> Callable[..., int]:
    for decorate in (
        click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON."),
        click.option(
            "--sandbox",
            is_flag=True,
            expose_value=False,
            help="Those on paper; of this platform's orders all are.",
        ),
        click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True),
        click.option("--symbol", help="Only those of this symbol, written as in the order."),
    ):
        command = decorate(command)
    return command


@click.command()
@_options
@with_connection
def orders(connection: Connection, symbol: str | None, limit: int, as_json: bool) -> int:
    """Show your orders, newest first."""
    rows = MarketApi(ApiClient(connection)).orders(_query(symbol, limit))
    if as_json:
        click.echo(json.dumps({"orders": rows}))
    elif not rows:
        click.echo("no orders yet: `sequence buy SYMBOL QTY` places one")
    else:
        _print(_ORDERS, [_order(row) for row in rows])
    return 0


@click.command()
@_options
@with_connection
def fills(connection: Connection, symbol: str | None, limit: int, as_json: bool) -> int:
    """Show what was traded for you, newest first."""
    rows = MarketApi(ApiClient(connection)).fills(_query(symbol, limit))
    if as_json:
        click.echo(json.dumps({"fills": rows}))
    elif not rows:
        click.echo("no fills yet: `sequence orders` shows what waits for one")
    else:
        _print(_FILLS, [_fill(row) for row in rows])
    return 0


def _query(symbol: str | None, limit: int) -> dict[str, str]:
    return {"limit": str(limit)} | ({"symbol": symbol} if symbol else {})


def _print(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    for line in aligned_table(header, rows):
        click.echo(line)


def _order(row: Row) -> tuple[str, ...]:
    reason = row.get("reason")
    return (
        *_place(row),
        from_wire(row.get("qty_1e8"), QTY_DIGITS),
        from_wire(row.get("filled_qty_1e8"), QTY_DIGITS),
        from_wire(row.get("price_1e9"), PRICE_DIGITS),
        f"{row.get('status')} ({reason})" if reason else str(row.get("status")),
        _time(row.get("created_at_ns")),
    )


def _fill(row: Row) -> tuple[str, ...]:
    return (
        *_place(row),
        from_wire(row.get("qty_1e8"), QTY_DIGITS),
        from_wire(row.get("price_1e9"), PRICE_DIGITS),
        from_wire(row.get("fee_usd_1e9"), PRICE_DIGITS),
        _time(row.get("ts_ns")),
    )


def _place(row: Row) -> tuple[str, ...]:
    symbol = str(row.get("symbol"))
    if len(symbol) > _SYMBOL_CHARS:
        symbol = symbol[: _SYMBOL_CHARS - 3] + "..."
    return (str(row.get("node_order_id")), symbol, str(row.get("venue")), str(row.get("side")))


def _time(ns: object) -> str:
    return local_time(ns // _NS) if isinstance(ns, int) else "-"
