"""Load by wrk: requests a second, and how long the slowest hundredth takes."""

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CONNECTIONS = 8
_RATE = re.compile(r"^Requests/sec:\s+([\d.]+)$", re.MULTILINE)
_P99 = re.compile(r"^\s+99%\s+([\d.]+)(us|ms|s)\s*$", re.MULTILINE)
_TO_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0}
_REFUSED = re.compile(r"(Non-2xx or 3xx responses|Socket errors): (.+)")


@dataclass(frozen=True)
class Load:
    """What one stretch of load came to."""

    per_second: float
    p99_ms: float


@dataclass(frozen=True)
class Request:
    """What is sent again and again; `@` in the body is a number that is new each time."""

    url: str
    headers: Mapping[str, str]
    body: Any = None


def require_wrk() -> None:
    """SystemExit that says how to get it."""
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is missing, which makes the load: run `apt-get install -y wrk`")


def load(request: Request, seconds: int) -> Load:
    """Eight connections, each of which asks again as soon as it was answered."""
    with tempfile.TemporaryDirectory(prefix="sequence-bench-") as folder:
        script = Path(folder) / "request.lua"
        script.write_text(_script(request))
        line = ["wrk", "-t1", f"-c{_CONNECTIONS}", f"-d{seconds}s", "--timeout", "30s"]
        done = subprocess.run(
            [*line, "--latency", "-s", str(script), request.url],
            check=True,
            capture_output=True,
            text=True,
        )
    if refused := _REFUSED.search(done.stdout):
        raise SystemExit(f"{request.url}: {refused[0]}")
    rate, p99 = _RATE.search(done.stdout), _P99.search(done.stdout)
    if rate is None or p99 is None:
        raise SystemExit(f"wrk says something else than expected:\n{done.stdout}")
    return Load(float(rate[1]), float(p99[1]) * _TO_MS[p99[2]])


def _script(request: Request) -> str:
    """Text in Lua's long brackets, which need no escaping of what JSON and keys hold."""
    lines = [f"wrk.headers[ [==[{k}]==] ] = [==[{v}]==]" for k, v in request.headers.items()]
    if request.body is None:
        return "\n".join(lines)
    before, after = json.dumps(request.body).split("@")
    lines += [
        'wrk.method = "POST"',
        f"local before, after, number = [==[{before}]==], [==[{after}]==], os.time() * 1000000",
        "request = function()",
        "    number = number + 1",
        "    return wrk.format(nil, nil, nil, before .. number .. after)",
        "end",
    ]
    return "\n".join(lines)
