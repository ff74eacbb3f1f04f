"""A Redis and a PostgreSQL of a measurement's own: loopback, thrown away."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg

from benchmarks.embedded import free_port

_READY_WITHIN_S = 30.0
_POSTGRES_FOLDER = Path("/usr/lib/postgresql/15/bin")


@contextmanager
def redis() -> Iterator[str]:
    """The URL of a Redis that keeps nothing."""
    port = free_port()
    line = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with _running(line, lambda: _listens(port)):
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def postgresql() -> Iterator[str]:
    """The URL of an empty database, with the server's own defaults: a commit is on disk."""
    port, folder = free_port(), Path(tempfile.mkdtemp(prefix="sequence-bench-postgres-"))
    nobody: tuple[str, ...] = ()
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody", "nogroup")
        nobody = ("setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups")
    data, user = str(folder / "data"), "sequence"
    make = [*nobody, str(_POSTGRES_FOLDER / "initdb"), "-D", data, "-U", user, "-A", "trust"]
    serve = [*nobody, str(_POSTGRES_FOLDER / "postgres"), "-D", data, "-h", "127.0.0.1"]
    url = f"postgresql://{user}@127.0.0.1:{port}/postgres"
    try:
        subprocess.run([*make, "-E", "UTF8"], check=True, capture_output=True, cwd="/")
        with _running([*serve, "-p", str(port), "-k", str(folder)], lambda: _answers(url)):
            yield url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _running(line: Sequence[str], is_ready: Callable[[], bool]) -> Iterator[None]:
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(line, stdin=quiet, stdout=quiet, stderr=quiet, cwd="/")
    try:
        wait_ready(process, is_ready)
        yield
    finally:
        process.terminate()
        process.wait(30)


def wait_ready(process: subprocess.Popen[bytes], is_ready: Callable[[], bool]) -> None:
    """Return once it answers; SystemExit when it ends before, or takes too long."""
    until = time.monotonic() + _READY_WITHIN_S
    while not is_ready():
        if process.poll() is not None or time.monotonic() > until:
            raise SystemExit(f"{process.args} does not answer")
        time.sleep(0.02)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True
