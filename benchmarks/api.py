"""How many requests a second the API answers, beside an empty route of the same process."""

import base64
import io
import random
import statistics
import tarfile
import tempfile
from collections.abc import Iterator
from typing import Any

from benchmarks import api_table
from benchmarks.api_load import Load, Request, load, require_wrk
from benchmarks.api_server import ApiServer, serving
from benchmarks.report import Row
from benchmarks.services import postgresql

ROUNDS = 5
ROUND_S = 2
LISTED = 100
_ARTIFACT_BYTES = 20_000


def rows() -> list[Row]:
    """Both databases, one after the other."""
    require_wrk()
    with tempfile.TemporaryDirectory(prefix="sequence-bench-") as folder:
        found = of_database("SQLite", f"sqlite:///{folder}/sequence.db")
    with postgresql() as url:
        return [*found, *of_database("PostgreSQL", url)]


def of_database(name: str, url: str) -> list[Row]:
    """Its figures: throughput first, then what ten thousand strategies change."""
    with serving(url) as server:
        found = list(_rows(name, _measured(server)))
        return [*found, *api_table.rows(name, server)]


def _measured(server: ApiServer) -> dict[str, list[Load]]:
    """Each request in turn, round after round, so that what else the machine does meets all."""
    ids = [server.call("POST", "/v1/strategies", _body(n))["strategy"] for n in range(LISTED)]
    root = f"http://127.0.0.1:{server.port}"
    headers = server.headers()
    requests = {
        "empty": Request(f"{root}/empty/", headers),
        "get": Request(f"{root}/v1/strategies/{ids[0]['strategy_id']}", headers),
        "list of 100": Request(f"{root}/v1/strategies?limit={LISTED}", headers),
        "create, 20 KB": Request(f"{root}/v1/strategies", headers, _body("@")),
    }
    for request in requests.values():
        load(request, 1)
    found: dict[str, list[Load]] = {name: [] for name in requests}
    for _ in range(ROUNDS):
        for name, request in requests.items():
            found[name].append(load(request, ROUND_S))
    return found


def _rows(database: str, found: dict[str, list[Load]]) -> Iterator[Row]:
    for name, loads in found.items():
        p99_ms = statistics.median(one.p99_ms for one in loads)
        rates = [one.per_second for one in loads]
        yield Row(f"API, {database}: {name}", rates, "/s", note=f"p99 {p99_ms:.1f} ms")
    pairs = zip(found["empty"], found["get"], strict=True)
    times = [empty.per_second / get.per_second for empty, get in pairs]
    yield Row(f"API, {database}: empty route / get", times, "x", 2.0)


def _body(number: int | str) -> dict[str, Any]:
    return {
        "name": f"bench-{number}",
        "runtime": "python",
        "entrypoint": "main.py",
        "artifact_base64": base64.b64encode(_tar()).decode(),
        "env": {"LEVEL": "info"},
        "secrets": {"TOKEN": "0123456789abcdef"},
    }


def _tar() -> bytes:
    """20 KB that no compression makes smaller."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in (
            ("main.py", b"print('hello')\n"),
            ("data.bin", random.Random(1).randbytes(_ARTIFACT_BYTES)),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
