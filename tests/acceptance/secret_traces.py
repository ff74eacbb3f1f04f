"""Looking for a secret where it must not be, in the forms that it may have there."""

import base64
import json
import re
import socket
import threading
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from redis import Redis
from sqlalchemy import create_engine, inspect, text

from .processes import all_processes
from .support import wait_for


def forms(secret: str) -> set[bytes]:
    """The secret as it stands, escaped, in hexadecimal, and in base64 at any place of a text."""
    raw = secret.encode()
    found = {raw, raw.hex().encode(), raw.hex().upper().encode(), raw[::-1]}
    found |= {quote(secret, safe="").encode(), json.dumps(secret)[1:-1].encode()}
    for shift in range(3):
        whole = base64.b64encode(b"\0" * shift + raw + b"\0" * 3)
        # Without the characters at both ends that depend on what stands beside it.
        inner = whole[(shift * 8 + 5) // 6 :][: len(raw) * 8 // 6 - 2]
        found |= {inner, inner.replace(b"+", b"-").replace(b"/", b"_")}
    return found


def traces(secret: str, places: dict[str, bytes]) -> list[str]:
    """The places that hold it, in whatever form."""
    wanted = forms(secret)
    return [name for name, content in places.items() if any(form in content for form in wanted)]


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder: databases, dumps, logs."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def stored(database_url: str) -> dict[str, bytes]:
    """Every row of a database, table by table, and every chunk of its log archive, unpacked."""
    engine = create_engine(database_url.replace("postgresql://", "postgresql+psycopg://"))
    found: dict[str, bytes] = {}
    with engine.connect() as connection:
        for table in inspect(connection).get_table_names():
            rows = connection.execute(text(f'SELECT * FROM "{table}"')).all()
            values = (_as_bytes(value) for row in rows for value in row)
            found[f"table {table}"] = b"\n".join(values)
        query = text("SELECT run_id, after_number, data FROM log_chunks WHERE data IS NOT NULL")
        for run, number, data in connection.execute(query):
            found[f"archive {run} {number}"] = zlib.decompress(data)
    engine.dispose()
    return found


def _as_bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def dump(port: int) -> None:
    """Make Redis write both of its dumps into its folder, uncompressed: a search sees no LZF."""
    with Redis(port=port) as redis:
        for name, value in (("rdbcompression", "no"), ("aof-use-rdb-preamble", "no")):
            redis.config_set(name, value)
        redis.save()
        redis.config_set("appendonly", "yes")
        wait_for(
            "the rewritten append-only file",
            lambda: (
                not (
                    redis.info("persistence")["aof_rewrite_in_progress"]
                    or redis.info("persistence")["aof_rewrite_scheduled"]
                )
            ),
        )
        redis.config_set("appendonly", "no")


def processes(run_id: str) -> dict[str, bytes]:
    """Command line and environment of every process but the strategy's own."""
    own = f"SEQUENCE_RUN_ID={run_id}".encode()
    return {
        f"{process.pid} {process.command[:60]}": process.command.encode() + process.environ
        for process in all_processes()
        if own not in process.environ
    }


class Wire:
    """Everything that anybody says to a Redis server, Celery's messages among it."""

    def __init__(self, port: int) -> None:
        self._heard = bytearray()
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.sendall(b"MONITOR\r\n")
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()
        wait_for("the monitor", lambda: b"+OK" in self._heard)

    def close(self) -> bytes:
        """Stop listening: what was heard, and the bodies of messages in it, decoded."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()
        heard = bytes(self._heard)
        return heard + b"".join(_bodies(heard))

    def _listen(self) -> None:
        # Redis, which goes on writing to the one that leaves, may be told so by a reset.
        with suppress(ConnectionResetError):
            while part := self._socket.recv(1 << 16):
                self._heard += part


def _bodies(heard: bytes) -> Iterator[bytes]:
    for match in re.finditer(rb'\\"body\\": \\"([A-Za-z0-9+/=]+)\\"', heard):
        yield base64.b64decode(match[1])
