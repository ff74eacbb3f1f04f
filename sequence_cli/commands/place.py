"""``sequence buy`` and ``sequence sell``."""

import json
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import click

from sequence_cli.api.client import ApiClient
from sequence_cli.api.market import MarketApi, Row
from sequence_cli.connection import Connection
from sequence_cli.connection_options import with_connection
from sequence_cli.errors import CliError
from sequence_cli.trading.amounts import PRICE, QTY, QTY_DIGITS, from_wire
from sequence_cli.trading.estimate import estimate
from sequence_cli.trading.order import Wanted, order_body

LIVE_KEY = "seq_live_"
_BOOK_DEPTH = 100


def _options(command: Callable[..., int]) -> Callable[..., int]:
    for decorate in (
        click.option("--json", "as_json", is_flag=True, help="Print the graph as JSON."),
        click.option("--yes", is_flag=True, help="Do not ask before a live order is sent."),
        click.option("--sandbox", is_flag=True, help="On paper, also with a live key."),
        click.option("--urgency", type=click.Choice(["low", "medium", "high"])),
        click.option("--tif", type=click.Choice(["gtc", "ioc", "fok"]), help="Time in force."),
        click.option("--venue", help="Only there; without it the best price decides."),
        click.option("--limit", type=PRICE, metavar="PRICE", help="No worse than this price."),
        click.argument("qty", type=QTY),
        click.argument("symbol"),
    ):
        command = decorate(command)
    return command


@click.command()
@_options
@with_connection
def buy(connection: Connection, /, **given: Any) -> int:
    """Buy QTY of SYMBOL, at the market unless --limit is given."""
    return _place(connection, "buy", **given)


@click.command()
@_options
@with_connection
def sell(connection: Connection, /, **given: Any) -> int:
    """Sell QTY of SYMBOL, at the market unless --limit is given."""
    return _place(connection, "sell", **given)


def _place(
    connection: Connection, side: str, *, sandbox: bool, yes: bool, as_json: bool, **order: Any
) -> int:
    """Say what it would cost, ask where money is at stake, send, and tell what came of it."""
    wanted = Wanted(side=side, **order)
    wanted.check()
    api = MarketApi(ApiClient(connection))
    is_live = connection.api_key.startswith(LIVE_KEY) and not sandbox
    for line in _preview(api, wanted, is_live=is_live):
        click.echo(line, err=True)
    if is_live and not yes:
        _ask()
    graph_id = api.submit(order_body(wanted, sandbox=sandbox))
    graph = api.graph(graph_id)
    if as_json:
        click.echo(json.dumps(graph))
        return int(_refusal(graph) is not None)
    return _tell(graph, wanted.qty)


def _preview(api: MarketApi, wanted: Wanted, *, is_live: bool) -> list[str]:
    found = estimate(wanted, api.quote(wanted.symbol, _BOOK_DEPTH))
    return [f"{'LIVE' if is_live else 'paper'}: {wanted.words()}", *found.lines()]


def _ask() -> None:
    if not sys.stdin.isatty():
        raise CliError("a live order is not sent unasked: pass --yes, or --sandbox for paper")
    if not click.confirm("Send this live order?", err=True):
        raise click.Abort


def _tell(graph: Row, qty: Decimal) -> int:
    graph_id = graph.get("graph_id")
    reason = _refusal(graph)
    if reason is not None:
        raise CliError(f"the order was refused: {reason}", [f"graph {graph_id}"])
    for node in graph.get("nodes") or ():
        filled = from_wire(node.get("filled_qty_1e8"), QTY_DIGITS)
        click.echo(f"{graph_id}  {node.get('state')}  filled {filled} of {qty}")
    click.echo(f"`sequence fills` shows its fills, `sequence cancel {graph_id}` ends it", err=True)
    return 0


def _refusal(graph: Row) -> str | None:
    """Why a node was refused, or None."""
    for node in graph.get("nodes") or ():
        if node.get("state") == "rejected":
            return str(node.get("reason") or "no reason given")
    return None
