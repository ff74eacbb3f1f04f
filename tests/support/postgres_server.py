"""A PostgreSQL server of our own: nobody's data folder, loopback only, thrown away."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import psycopg

from support.tools import free_port, postgres_binaries, required
from support.waiting import wait_until

_USER = "sequence"
# It is thrown away: nothing has to survive a power cut.
_FORGETFUL = ("-c", "synchronous_commit=off")
_OPTIONS = (
    *("-c", "fsync=off", "-c", "full_page_writes=off"),
    *("-c", "max_connections=200", "-c", "shared_buffers=32MB", "-c", "jit=off"),
)


class PostgresServer:
    """One server; databases are made from templates, which takes milliseconds."""

    def __init__(self, *, durable: bool = False) -> None:
        """`durable`: what was committed survives its own death, though not the machine's."""
        self._durable = durable
        self.port = free_port()
        self._binaries = postgres_binaries()
        self._folder = Path(tempfile.mkdtemp(prefix="sequence-postgres-"))
        self._numbers = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> PostgresServer:
        """Make the cluster, start it, and wait until it answers."""
        data = self._folder / "data"
        if os.geteuid() == 0:
            shutil.chown(self._folder, "nobody", "nogroup")
        subprocess.run(
            [
                *self._as_nobody(),
                str(self._binaries / "initdb"),
                *("-D", str(data), "-U", _USER, "-A", "trust", "-E", "UTF8"),
                *("--no-sync", "--locale", "C.UTF-8"),
            ],
            check=True,
            capture_output=True,
            cwd="/",
        )
        self._run()
        return self

    def restart(self) -> None:
        """Cut everybody off at once and start again from the log, on the same port."""
        self.halt()
        self.resume()

    def halt(self) -> None:
        """Cut everybody off at once; nobody answers until `resume`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait()

    def resume(self) -> None:
        """Start again from the log, on the same port."""
        self._run()

    def _run(self) -> None:
        data = self._folder / "data"
        with (self._folder / "postgres.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *self._as_nobody(),
                    str(self._binaries / "postgres"),
                    *("-D", str(data), "-h", "127.0.0.1", "-p", str(self.port)),
                    *("-k", str(self._folder), *_OPTIONS),
                    *(() if self._durable else _FORGETFUL),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
            )
        wait_until(self._answers, f"PostgreSQL answers; see {self._folder}/postgres.log", 30)

    def url(self, name: str) -> str:
        """URL of a database of this server, as an operator would write it."""
        return f"postgresql://{_USER}@127.0.0.1:{self.port}/{name}"

    def create_database(self, template: str = "template1") -> str:
        """Make a database from a template nobody is connected to; its name."""
        name = f"test_{next(self._numbers)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def cut_connections(self) -> None:
        """Cut every client's connection."""
        self._execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )

    def drop_database(self, name: str) -> None:
        """Remove a database, whoever is still connected."""
        self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    def freeze(self) -> None:
        """All of its processes keep their connections and say nothing any more."""
        for pid in self._pids():
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """They go on where they were frozen."""
        for pid in self._pids():
            os.kill(pid, signal.SIGCONT)

    def stop(self) -> None:
        """End it and remove its folder."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError((self._folder / "postgres.log").read_text())
        try:
            self._execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _pids(self) -> list[int]:
        assert self._process is not None
        main = self._process.pid
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        return [main, *map(int, children)]

    @staticmethod
    def _as_nobody() -> list[str]:
        if os.geteuid() != 0:
            return []
        return [
            required("setpriv"),
            *("--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "--pdeathsig", "INT"),
        ]
