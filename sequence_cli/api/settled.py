"""Wait until a stop has been carried out."""

import time
from collections.abc import Callable

from sequence_cli.api.strategies import Row, StrategiesApi
from sequence_cli.errors import CliError

POLL_INTERVAL_S = 0.2
BEYOND_GRACE_S = 60.0
DEFAULT_GRACE_S = 10.0


def wait_until_settled(
    api: StrategiesApi,
    row: Row,
    *,
    timeout_s: float | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> Row:
    """The row once its strategy neither runs nor waits to run.

    Raises CliError when that takes longer than ``timeout_s`` (default: a minute beyond its own
    grace), or when someone wants it to run again in the meantime.
    """
    if timeout_s is None:
        timeout_s = (row.get("stop") or {}).get("grace_secs", DEFAULT_GRACE_S) + BEYOND_GRACE_S
    deadline_s = time.monotonic() + timeout_s
    while row["status"] in ("queued", "running"):
        if row["desired_state"] == "running":
            raise CliError(f"{row['name']} was started again by somebody else while it stopped")
        if time.monotonic() > deadline_s:
            raise CliError(
                f"{row['name']} has not stopped within {timeout_s:.0f} s: "
                f"look at `sequence strategy logs {row['name']}` and ask the operator"
            )
        pause(POLL_INTERVAL_S)
        row = api.get(row["strategy_id"])
    return row
