"""The embedded platform's settings: kept in the data folder, passed on as environment."""

import hashlib
import json
import os
import secrets
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sequence_cli.dev import procfile
from sequence_cli.dev.preflight import free_port
from sequence_cli.errors import CliError

_CLIENT_CODE = "dev"
_KEYS_FILE = "keys.json"
_UIDS_PER_RUNNER = 4096


@dataclass(frozen=True)
class Embedded:
    """One data folder's platform; `environ` is that of every process of it."""

    folder: Path
    root: Path
    port: int
    redis_port: int
    redis_password: str = field(repr=False)
    api_key: str = field(repr=False)
    test_api_key: str = field(repr=False)
    environ: dict[str, str] = field(repr=False)

    @property
    def api_url(self) -> str:
        """Where the API answers."""
        return f"http://127.0.0.1:{self.port}"


def prepare(folder: Path, port: int) -> Embedded:
    """Settings, schema and keys for this folder; made at the first start, then kept.

    Raises:
        CliError: the keys file is damaged, or the database cannot be prepared.
    """
    root = procfile.project_root()
    kept = _load(folder / _KEYS_FILE)
    if not kept:
        kept = {"redis_password": secrets.token_hex(16), "settings": _new_keys(root)}
    redis_port = free_port()
    environ = _environ(folder, port, redis_port, kept)
    _run(root, environ, "sh", "-c", procfile.read(root)["release"])
    if "api_key" not in kept:
        kept |= json.loads(
            _run(root, environ, sys.executable, "-m", "app.admin", "create-client", _CLIENT_CODE)
        )
        _save(folder / _KEYS_FILE, kept)
    return Embedded(
        folder=folder,
        root=root,
        port=port,
        redis_port=redis_port,
        redis_password=kept["redis_password"],
        api_key=kept["api_key"],
        test_api_key=kept["test_api_key"],
        environ=environ,
    )


def _environ(folder: Path, port: int, redis_port: int, kept: dict[str, Any]) -> dict[str, str]:
    mark = hashlib.sha256(str(folder).encode()).digest()
    own = {
        **kept["settings"],
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '/usr/bin:/bin')}",
        "PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "WEB_CONCURRENCY": os.environ.get("WEB_CONCURRENCY", "1"),
        "DATABASE_URL": f"sqlite:///{folder}/sequence.db",
        "REDIS_URL": f"redis://:{kept['redis_password']}@127.0.0.1:{redis_port}/0",
        "BROKER_URL": "",
        # It has one owner, who may ask as much as the machine can answer.
        "RATE_LIMIT_QPS": os.environ.get("RATE_LIMIT_QPS", "0"),
        "SEQUENCE_API_URL": f"http://127.0.0.1:{port}",
        # Two platforms on one host share neither names nor user ids.
        "RUNNER_NAME": f"dev-{mark.hex()[:8]}",
        "RUNNER_FIRST_UID": str(200_000 + int.from_bytes(mark[:2]) * _UIDS_PER_RUNNER),
    }
    return {**os.environ, **own}


def _new_keys(root: Path) -> dict[str, str]:
    lines = _run(root, dict(os.environ), sys.executable, "-m", "app.admin", "generate-keys")
    return dict(line.split("=", 1) for line in lines.splitlines())


def _run(root: Path, environ: dict[str, str], *command: str) -> str:
    done = subprocess.run(
        command, cwd=root, env=environ, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        # Our own commands begin with what is wrong; a traceback ends with it.
        first = 0 if said[0].startswith("error: ") else -1
        reason = said.pop(first).removeprefix("error: ")
        raise CliError(f"preparing the platform failed: {reason}", said[-10:])
    return done.stdout


def _load(path: Path) -> dict[str, Any]:
    try:
        kept = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except ValueError:
        raise CliError(
            f"{path} is damaged; restore it, or remove the folder to begin with an empty platform"
        ) from None
    return dict(kept)


def _save(path: Path, kept: dict[str, Any]) -> None:
    fresh = path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(kept, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
