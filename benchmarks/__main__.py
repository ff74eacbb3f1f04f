"""`make bench`: every figure, as a table. Exit status 1 when a target is missed."""

import os
import sys

from benchmarks import (
    api,
    failover,
    latency,
    leaks,
    log_crowd,
    logs,
    memory,
    network,
    sandbox_overhead,
    scale,
    seeing,
    unpacking,
)
from benchmarks.embedded import running
from benchmarks.report import Row, table


def main() -> int:
    """Measure one thing after the other."""
    rows: list[Row] = [*sandbox_overhead.rows(), *unpacking.rows(), *logs.rows()]
    if os.geteuid() == 0:
        rows += [*network.rows(), *leaks.rows()]
    else:
        print("not as root: without the figures of the networks, and of what is left behind")
    with running() as platform:
        rows.append(latency.start_to_first_line(platform))
        rows.append(latency.start_with_client(platform))
        rows.append(latency.crash_to_running_again(platform))
        rows.append(latency.write_to_follower(platform))
        rows += logs.platform_rows(platform)
        rows += log_crowd.rows(platform)
        rows.append(memory.per_strategy(platform))
        rows.append(failover.stop_to_sigterm(platform))
    rows += [*failover.rows(), *scale.rows(), *api.rows(), *seeing.rows()]
    print(table(rows))
    return 0 if all(row.is_met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
