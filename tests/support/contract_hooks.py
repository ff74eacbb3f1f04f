"""What schemathesis cannot know of the API: text of our own forms, and calls that would end it.

Loaded by schemathesis itself, in its own process (tests/integration/app/test_app_contract.py).
"""

from __future__ import annotations

import base64
import io
import itertools
import os
import tarfile
from typing import Any

import schemathesis
from hypothesis import strategies as st

_OWN_KEY_ID = os.environ.get("CONTRACT_KEY_ID", "")
_OWN_KEY = os.environ.get("CONTRACT_KEY", "")
_calls = itertools.count()
_FILE = "main.py"


def _artifact(text: str) -> str:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo(_FILE)
        member.size = len(text.encode())
        archive.addfile(member, io.BytesIO(text.encode()))
    return base64.b64encode(buffer.getvalue()).decode()


_NAME = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_. äß€", min_size=1, max_size=100)
_VARIABLE = st.from_regex(r"\A[A-RT-Za-z_][A-Za-z0-9_]{0,20}\Z")
_CURSOR = base64.urlsafe_b64encode(b'[1.5, "5dfbea6f"]').decode().rstrip("=")
_CRON = st.sampled_from(["*/5 * * * *", "30 9 * * MON-FRI", "0 0 1 1 *"])

FORMATS = {
    "strategy-artifact": st.sampled_from([_artifact("print(1)\n"), _artifact("")]),
    "strategy-name": _NAME.filter(lambda name: name == name.strip()),
    "artifact-path": st.just(_FILE),
    "api-key": st.just(_OWN_KEY),
    "variable-name": _VARIABLE,
    "network-entry": st.sampled_from(["*.coinbase.com:443", "203.0.113.0/24", "8.8.8.8"]),
    "cron": _CRON,
    "time-zone": st.sampled_from(["UTC", "Europe/London", "America/New_York"]),
    "python-file": st.just(_FILE),
    "latency-target": st.just("default"),
    "list-cursor": st.just(_CURSOR),
    "log-time": st.sampled_from(["2h", "15m", "2026-11-22T10:00:00Z", "1777414125"]),
    "log-condition": st.sampled_from(["event=filled", "size>=2"]),
}
for _name, _strategy in FORMATS.items():
    schemathesis.openapi.format(_name, _strategy)


@schemathesis.hook
def filter_case(_context: Any, case: Any) -> bool:
    """Leave out what would end the test itself, and what only a rule over two fields forbids."""
    if (case.path_parameters or {}).get("key_id") == _OWN_KEY_ID:
        return False
    query = case.query if isinstance(case.query, dict) else {}
    body = case.body if isinstance(case.body, dict) else {}
    return _is_consistent_query(query) and _is_consistent_body(body)


def _is_consistent_query(query: dict[str, Any]) -> bool:
    # A followed log has no end; what it may not be combined with has tests of its own.
    if str(query.get("follow", False)).lower() not in ("false", "f", "0", "no", "off", "n"):
        return False
    if "cursor" in query and "limit" not in query:
        return False
    return not {"since", "until"} <= query.keys() and not {"after", "before"} <= query.keys()


def _is_consistent_body(body: dict[str, Any]) -> bool:
    network, restart, schedule = (
        table if isinstance(table := body.get(name), dict) else {}
        for name in ("network", "restart", "schedule")
    )
    if network.get("allow") and network.get("mode") != "allow":
        return False
    if {"backoff_initial_secs", "backoff_max_secs"} & restart.keys():
        return False
    return not schedule or schedule.get("cron") is not None


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: dict[str, Any]) -> None:
    """One key of idempotency for each request: a schema cannot say that it stands for one alone."""
    headers = case.headers or {}
    if "Idempotency-Key" in headers:
        headers["Idempotency-Key"] += f"-{next(_calls)}"
