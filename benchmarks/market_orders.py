"""Trading: the engine alone, orders through one web process, and how soon a fill is told."""

import http.client
import json
import statistics
import threading
import time
from random import Random

from redis import Redis

from benchmarks.embedded import Platform
from benchmarks.report import Row
from market.engine import Order, OrderBook, SelfTrade, Side, rules_for

_ENGINE_ORDERS = 100_000
_ENGINE_TARGET_US = 10.0
_CALLERS = 8
_LOAD_S = 5.0
_FILLS = 100
_FILL_TARGET_MS = 20.0
_READY_WITHIN_S = 20.0
_BODY = {"symbol": "BTC-USD", "side": "buy", "qty": 0.0001, "venue": "kraken", "is_sandbox": True}


def engine_row() -> Row:
    """Microseconds of CPU for one order in one book: about half of them rest, the others trade."""
    samples = []
    for seed in range(5):
        chance = Random(seed)
        orders = [_order(chance, number) for number in range(_ENGINE_ORDERS)]
        book = OrderBook(rules_for("kraken", "BTC-USD"))
        began_s = time.process_time()
        for one in orders:
            book.submit(one)
        samples.append((time.process_time() - began_s) / _ENGINE_ORDERS * 1e6)
    note = f"{1e6 / statistics.median(samples):,.0f} orders a second"
    return Row("matching engine alone, an order", samples, "us", _ENGINE_TARGET_US, note)


def rows(platform: Platform) -> list[Row]:
    """What the platform's one web process and its market process do together."""
    _wait_for_prices(platform)
    return [_order_to_fill(platform), *_order_load(platform)]


def _order(chance: Random, number: int) -> Order:
    side = Side.BUY if number % 2 else Side.SELL
    price = (65_000_00 + chance.randrange(-50, 51)) * 10_000_000
    qty = chance.randrange(1, 1_000) * 100_000
    return Order(str(number), "crowd", side, price, qty, self_trade=SelfTrade.ALLOW)


def _wait_for_prices(platform: Platform) -> None:
    until = time.monotonic() + _READY_WITHIN_S
    while True:
        connection = http.client.HTTPConnection(platform.host, timeout=30)
        connection.request("GET", "/v1/sandbox/settings", headers=platform.headers())
        status = connection.getresponse().status
        connection.close()
        if status == 200:
            platform.call("PUT", "/v1/sandbox/settings", {"start_cash_usd": 1_000_000_000})
            platform.call("POST", "/v1/sandbox/reset")
            return
        if time.monotonic() > until:
            raise SystemExit(f"the market did not answer within {_READY_WITHIN_S:g} s: {status}")
        time.sleep(0.1)


def _order_to_fill(platform: Platform) -> Row:
    """From before an order is sent until its fill is on the channel that streams read."""
    samples = []
    connection = http.client.HTTPConnection(platform.host, timeout=30)
    with Redis.from_url(platform.redis_url) as redis, redis.pubsub() as events:
        events.psubscribe("market:events:*")
        events.get_message(timeout=1.0)
        for _ in range(_FILLS):
            began_s = time.perf_counter()
            graph_id = _send(connection, platform)["graph_id"]
            while True:
                message = events.get_message(timeout=5.0)
                told = json.loads(message["data"]) if message else {}
                if told.get("channel") == "fills" and told["data"]["graph_id"] == graph_id:
                    break
            samples.append((time.perf_counter() - began_s) * 1000)
    connection.close()
    return Row("order sent to fill told", samples, "ms", _FILL_TARGET_MS)


def _order_load(platform: Platform) -> list[Row]:
    samples: list[float] = []
    until_s = time.perf_counter() + _LOAD_S

    def call() -> None:
        connection = http.client.HTTPConnection(platform.host, timeout=30)
        while time.perf_counter() < until_s:
            began_s = time.perf_counter()
            _send(connection, platform)
            samples.append((time.perf_counter() - began_s) * 1000)
        connection.close()

    callers = [threading.Thread(target=call) for _ in range(_CALLERS)]
    for one in callers:
        one.start()
    for one in callers:
        one.join()
    p99 = statistics.quantiles(samples, n=100)[98]
    note = f"{len(samples) / _LOAD_S:,.0f} orders a second, p99 {p99:.1f} ms"
    return [Row(f"an order of {_CALLERS} callers at once", samples, "ms", None, note)]


def _send(connection: http.client.HTTPConnection, platform: Platform) -> dict[str, str]:
    connection.request("POST", "/v1/orders", json.dumps(_BODY), platform.headers())
    response = connection.getresponse()
    answer = json.loads(response.read())
    if response.status != 200:
        raise SystemExit(f"POST /v1/orders: {response.status} {answer}")
    return dict(answer)
