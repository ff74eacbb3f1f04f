"""Calls every public method of the published client once, and prints what each of them answered.

Run by `test_client_methods.py` with the client under test first on the path; standard input has
`[url, key, artifact_base64]`. What a method answers is told by its keys, or by its type.
"""

import asyncio
import inspect
import json
import sys
import tempfile
import warnings

import sequence_markets
from sequence_markets import Sequence, SequenceError

warnings.simplefilter("ignore", DeprecationWarning)
URL, KEY, ARTIFACT = json.load(sys.stdin)
SEQ = Sequence(KEY, URL, max_retries=0)
PEM = "-----BEGIN PRIVATE KEY-----\nAB==\n-----END PRIVATE KEY-----"
SEEN = {}
REQUESTS = []
SEND = SEQ._request


def noted(method, path, body=None):
    """Send it, and remember that it was sent."""
    REQUESTS.append(f"{method} {path.partition('?')[0]}")
    return SEND(method, path, body)


SEQ._request = noted


def shape(value):
    """Keys of an object, the shape of a list's first row, else the type's name."""
    if isinstance(value, dict):
        return sorted(value)
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def call(name, *args, **options):
    """Call it once; what it answered, or None where it was refused."""
    return note(name, lambda: getattr(SEQ, name)(*args, **options))


def note(name, ask):
    """The same for what takes more than a call."""
    REQUESTS.clear()
    try:
        value = ask()
    except SequenceError as error:
        SEEN[name] = {"status": error.status, "message": error.message}
        value = None
    else:
        SEEN[name] = {"status": 200, "shape": shape(value)}
    SEEN[name]["request"] = REQUESTS[0] if REQUESTS else None
    return value


def stream(name, path, *args):
    """The first message of a stream, or the status that refused it."""

    async def first():
        messages = getattr(SEQ, name)(*args)
        try:
            return await anext(messages)
        finally:
            await messages.aclose()

    try:
        SEEN[name] = {"status": 200, "shape": shape(asyncio.run(first())[1])}
    except Exception as error:
        status = getattr(getattr(error, "response", None), "status_code", 0)
        SEEN[name] = {"status": status, "message": repr(error)}
    SEEN[name]["request"] = "GET " + path


def see():
    """Quotes, markets, the account."""
    call("health")
    call("connect_venue", "kalshi", "key-of-kalshi", PEM)
    call("venues")
    call("disconnect_venue", "kalshi")
    call("quote", "BTC-USD")
    call("quotes", ["BTC-USD", "ETH-USD"])
    call("quotes_batch", ["BTC-USD"])
    for name in ("symbols", "edges", "account", "portfolio", "risk_limits"):
        call(name)
    # Else there is no position to show.
    SEQ.buy("BTC-USD", 0.002, sandbox=True)
    for name in ("balances", "positions", "positions_unified", "perp_positions"):
        call(name)
    call("price_history", "BTC-USD")
    call("funding_history", "BTC-USD", "binance")
    call("funding_rates")
    call("funding_rate", "binance", "BTC-USD")
    page = call("markets", venue="kalshi", limit=100)
    note("iter_markets", lambda: next(SEQ.iter_markets(venue="kalshi")))
    call("search_markets", "bitcoin", venue="kalshi")
    if hasattr(SEQ, "new_markets"):
        call("new_markets")
    rows = [row for row in page["markets"] if row["best_yes_bid"] and row["best_yes_ask"]]
    call("market", rows[0]["slug"], venue="kalshi")
    call("settlement", rows[0]["slug"])
    call("redeem", rows[0]["slug"], "kalshi")
    call("fees", "BTC-USD")
    call("preview", "BTC-USD", "buy", 0.001)
    return rows[0]["yes_token_id"]


def trade(symbol):
    """Orders, graphs and switches."""
    call("buy", "BTC-USD", 0.001, sandbox=True)
    call("sell", "BTC-USD", 0.001, sandbox=True)
    resting = call("node", "leg", symbol, "buy", 9, "kalshi", limit_price=0.01)
    other = call("node", "next", symbol, "buy", 1, "kalshi", limit_price=0.01)
    edge = call("edge", "leg", "next")
    graph_id = call("graph", [resting, other], [edge], sandbox=True)["graph_id"]
    name = f"graph:{graph_id}:leg:1"
    call("graph_status", graph_id)
    call("graph_resume", graph_id)
    call("order", name)
    call("orders")
    call("fills")
    call("amend", name, new_qty=8)
    call("decrease", name, 1)
    call("graph_cancel", graph_id)
    call("cancel", call("graph", [resting], sandbox=True)["graph_id"])
    note("batch", lambda: SEQ.batch("kalshi").buy_limit(symbol, 2, 0.01).end())
    call("cancel_all_on_venue", "kalshi")
    call("kill_switch_engage", "test")
    call("kill_switch_clear")


def automate():
    """Strategies, and the algos that are not there."""
    created = call("create_strategy", "every-method", "python", "main.py", ARTIFACT)
    strategy_id = created["strategy"]["strategy_id"]
    call("strategies")
    for name in ("strategy", "strategy_start", "strategy_stop", "strategy_logs", "strategy_delete"):
        call(name, strategy_id)
    with tempfile.NamedTemporaryFile() as wasm:
        call("deploy_algo", "x", wasm.name, ["BTC-USD"])
    for name in ("status", "start", "stop", "undeploy", "logs", "mesh"):
        call(f"algo_{name}", "deployment")
    for name in ("algo", "algo_start_by_symbol", "algo_stop_by_symbol", "algo_logs_by_symbol"):
        call(name, "BTC-USD")
    call("algo_stats", "BTC-USD")
    call("algos")


def monitor():
    """What the paper market does not measure, and the streams."""
    for name in ("tca", "polymarket_rewards", "execution_summary"):
        call(name)
    for name in ("intel", "slippage", "routing", "depth"):
        call(name, "BTC-USD")
    call("forecast", "BTC-USD", "buy", 1.0)
    for name in ("execution_live", "execution_review", "trace"):
        call(name, "graph:x:order:1")
    stream("stream", "/v1/stream", ["prices:BTC-USD"])
    stream("stream_new_markets", "/v1/ws/new_markets")
    stream("stream_resolved_markets", "/v1/ws/market_resolved")


trade(see())
automate()
monitor()
public = {name for name, _ in inspect.getmembers(Sequence, callable) if not name.startswith("_")}
json.dump(
    {
        "version": sequence_markets.__version__,
        "file": sequence_markets.__file__,
        "public": sorted(public),
        "seen": SEEN,
    },
    sys.stdout,
)
