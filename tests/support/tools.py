"""Where the programs are that the tests need; a missing one fails the run."""

from __future__ import annotations

import random
import shutil
import socket
from pathlib import Path

_PACKAGES = {"redis-server": "redis-server", "setpriv": "util-linux", "bwrap": "bubblewrap"}


def required(tool: str) -> str:
    """Path of a program, or the command that installs it as the reason to fail."""
    found = shutil.which(tool)
    if found is None:
        raise RuntimeError(f"{tool} is missing; run: apt-get install -y {_PACKAGES[tool]}")
    return found


def postgres_binaries() -> Path:
    """The folder of PostgreSQL's server programs: Debian keeps them out of PATH."""
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    if folders:
        return max(folders, key=lambda folder: float(folder.parent.name))
    on_path = shutil.which("postgres")
    if on_path is None:
        raise RuntimeError("PostgreSQL's server is missing; run: apt-get install -y postgresql")
    return Path(on_path).parent


def free_port() -> int:
    """A loopback port that nothing listens on at this moment.

    Below the kernel's range for outgoing connections: one of those might take it before its user.
    """
    while True:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
