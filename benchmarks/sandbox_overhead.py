"""What the sandbox costs: first user byte inside it, minus that of a bare `python3 -u`.

The two kinds of run take turns, so that a busy moment of the machine meets both.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.report import Row
from sandbox import Host, HostConfig, Program, WorkspaceFile

TARGET_MS = 25.0
RUNS = 30
SOURCE = b"print('first')\n"


def first_byte(fd: int) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        selector.select(timeout=30)
    if not os.read(fd, 1):
        raise SystemExit("the program ended without a byte")


def bare_ms(script: Path) -> float:
    begun_s = time.perf_counter()
    with subprocess.Popen(
        ["/usr/bin/python3", "-u", str(script)], stdout=subprocess.PIPE, env={}
    ) as process:
        assert process.stdout is not None
        first_byte(process.stdout.fileno())
        taken_ms = (time.perf_counter() - begun_s) * 1000
        process.stdout.read()
        return taken_ms


def sandbox_ms(host: Host, number: int) -> float:
    program = Program(argv=["main.py"], files=[WorkspaceFile("main.py", SOURCE)])
    begun_s = time.perf_counter()
    sandbox = host.spawn(program, f"bench-{number}")
    first_byte(sandbox.stdout_fd)
    taken_ms = (time.perf_counter() - begun_s) * 1000
    sandbox.finish()
    return taken_ms


def rows(runs: int = RUNS) -> list[Row]:
    """Both medians and their difference, of runs that take turns."""
    host = Host.open(HostConfig(name=f"bench-{os.getpid()}"))
    try:
        with tempfile.TemporaryDirectory() as folder:
            script = Path(folder, "main.py")
            script.write_bytes(SOURCE)
            pairs = [(bare_ms(script), sandbox_ms(host, number)) for number in range(runs)]
    finally:
        host.close()
    return [
        Row("first byte, bare python3 -u", [bare for bare, _ in pairs], "ms"),
        Row("first byte, in the sandbox", [boxed for _, boxed in pairs], "ms"),
        Row("sandbox overhead", [boxed - bare for bare, boxed in pairs], "ms", TARGET_MS),
    ]
