"""``sequence markets``."""

import json

import click

from sequence_cli.api.client import ApiClient
from sequence_cli.api.market import MarketApi, Row
from sequence_cli.connection import Connection
from sequence_cli.connection_options import with_connection
from sequence_cli.output.table import aligned_table
from sequence_cli.trading.amounts import shown

_HEADER = ("SLUG", "YES BID", "YES ASK", "VOLUME 24H", "LIQUIDITY", "ENDS", "QUESTION")
_QUESTION_CHARS = 60


@click.command()
@click.argument("words", metavar="[WORDS]...", nargs=-1)
@click.option(
    "--venue",
    type=click.Choice(["kalshi", "polymarket"]),
    default="polymarket",
    show_default=True,
    help="Where the markets are.",
)
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True)
@click.option("--order", default="volume", show_default=True, help="What the list is sorted by.")
@click.option("--tag", help="Only markets with this tag.")
@click.option("--outcomes", is_flag=True, help="One line for each outcome of an event.")
@click.option("--closed", is_flag=True, help="Resolved markets as well.")
@click.option("--cursor", help="The page after the one that gave this.")
@click.option("--json", "as_json", is_flag=True, help="Print the API's answer as JSON.")
@with_connection
def markets(
    connection: Connection,
    /,
    words: tuple[str, ...],
    *,
    outcomes: bool,
    closed: bool,
    as_json: bool,
    **given: str | int | None,
) -> int:
    """List prediction markets, those with these words in their question first of all."""
    query = {name: str(value) for name, value in given.items() if value is not None}
    query |= {"q": " ".join(words)} if words else {}
    query |= {"expand": "outcomes"} if outcomes else {}
    query |= {"closed": "true"} if closed else {}
    answer = MarketApi(ApiClient(connection)).markets(query)
    if as_json:
        click.echo(json.dumps(answer))
        return 0
    if not answer["markets"]:
        click.echo("no market matches: try fewer words, the other --venue, or --closed")
        return 0
    for line in aligned_table(_HEADER, [_cells(row) for row in answer["markets"]]):
        click.echo(line)
    if answer.get("has_more"):
        click.echo(f"more: --cursor {answer.get('next_cursor')}", err=True)
    return 0


def _cells(row: Row) -> tuple[str, ...]:
    question = str(row.get("question") or "-")
    if len(question) > _QUESTION_CHARS:
        question = question[: _QUESTION_CHARS - 3] + "..."
    return (
        str(row.get("slug")),
        shown(row.get("best_yes_bid")),
        shown(row.get("best_yes_ask")),
        f"{row.get('volume_24h') or 0:,.0f}",
        f"{row.get('liquidity') or 0:,.0f}",
        str(row.get("end_date") or "-")[:10],
        question,
    )
