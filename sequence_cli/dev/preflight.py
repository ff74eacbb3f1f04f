"""What has to be right before anything is started: tools, port, data folder."""

import fcntl
import os
import random
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sequence_cli.errors import CliError

_PACKAGES = {
    "bwrap": "bubblewrap",
    "nsenter": "util-linux",
    "redis-server": "redis-server",
    "setpriv": "util-linux",
}


def check_tools() -> None:
    """Raise CliError when a program is missing, with the command that installs it."""
    missing = [tool for tool in _PACKAGES if shutil.which(tool) is None]
    if missing:
        packages = " ".join(sorted({_PACKAGES[tool] for tool in missing}))
        raise CliError(
            f"not installed: {', '.join(missing)}; run: sudo apt-get install -y {packages}"
        )


def check_port(port: int) -> None:
    """Raise CliError when something listens on the port already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise CliError(
                f"port {port} cannot be used ({os.strerror(error.errno or 0)}); "
                "choose another with --port"
            ) from None


def free_port() -> int:
    """A loopback port that nothing listens on at this moment.

    Below the kernel's range for outgoing connections: one of those might take it before its user.
    """
    while True:
        port = random.randrange(20_000, 30_000)  # noqa: S311 - no secret
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """Make the data folder and keep it for this process; CliError when another one has it."""
    try:
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CliError(f"the data folder {folder} cannot be used: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise CliError(
            f"another `sequence dev` uses {folder}; end it, or choose another --data-dir"
        ) from None
    try:
        yield
    finally:
        os.close(lock)
