"""schemathesis against the served specification: every check that it has, and no failure."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from support.api import web
from support.gunicorn_server import GunicornServer
from support.market_process import MarketProcess
from support.owners import Rows

SUPPORT = Path(__file__).parents[2] / "support"
SEED = 20261122
MAX_EXAMPLES = 10
WITHIN_S = 300
CONFIG = """
[generation]
deterministic = true
database = "none"
allow-x00 = false

[checks]
enabled = true

# Opened by a WebSocket, with tests of its own.
[[operations]]
include-name = "GET /v1/stream"
enabled = false

# What these take follows rules that JSON Schema has no words for: symbols, graphs, keys of a venue.
[[operations]]
include-name = [
    "GET /v1/fees",
    "GET /v1/price_history/{symbol}",
    "GET /v1/quotes/{symbol}",
    "POST /v1/orders",
    "PATCH /v1/orders/{node_order_id}",
    "POST /v1/credentials/{venue}",
    "PUT /v1/credentials/{venue}",
]
checks.positive_data_acceptance.enabled = false

# The address is that of an order named `preview` as well.
[[operations]]
include-path = "/v1/orders/preview"
checks.allow_header_conformance.enabled = false
checks.positive_data_acceptance.enabled = false
"""


def test_the_specification_is_what_the_api_does(
    sqlite_url: str, redis_url: str, tmp_path: Path
) -> None:
    with web(sqlite_url, redis_url) as one:
        caller = one.caller()
        key_id = one.principal(caller).key_id
        rows = Rows(one.services.database)
        rows.add_runner(last_heartbeat_at=rows.now() + 3600)
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG)
    served = GunicornServer(
        tmp_path,
        DATABASE_URL=sqlite_url,
        REDIS_URL=redis_url,
        # Trying wrong keys is a part of it.
        AUTH_FAILURES_PER_MINUTE=1_000_000,
    )
    with closing(MarketProcess(tmp_path, sqlite_url, redis_url)) as market, served:
        market.start()
        done = subprocess.run(
            [
                *(Path(sys.executable).parent / "st", "--config-file", config, "run"),
                *("--seed", str(SEED), "--max-examples", str(MAX_EXAMPLES)),
                *("--header", f"Authorization: Bearer {caller.key}", "--continue-on-failure"),
                *("--no-shrink", "--request-timeout", "10", f"{served.url}/v1/openapi.json"),
            ],
            cwd=tmp_path,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "PYTHONPATH": str(SUPPORT),
                "SCHEMATHESIS_HOOKS": "contract_hooks",
                "CONTRACT_KEY_ID": key_id,
                "CONTRACT_KEY": caller.key,
            },
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )
    (tmp_path / "contract.log").write_text(done.stdout)
    assert done.returncode == 0, done.stdout[-30_000:] + done.stderr[-2000:]
