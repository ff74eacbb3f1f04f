"""Which interpreter a program gets, and what of the host's file system that needs."""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path

_SYSTEM_PYTHON = Path("/usr/bin/python3")
_VERSIONED = re.compile(r"python(3\.\d+)")
_DATA = (
    "/usr/share/zoneinfo",
    "/etc/ssl/certs",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
)


@dataclass(frozen=True)
class Runtime:
    """Read-only pieces of the host and the interpreter's path inside.

    `binds` are (host path, inside path), `symlinks` (target, inside path).
    """

    python: str
    binds: tuple[tuple[str, str], ...]
    symlinks: tuple[tuple[str, str], ...]


def find_system_runtime() -> Runtime:
    """Debian's or Ubuntu's own interpreter, its standard library, shared libraries, time zones and
    CA certificates; no site-packages. Raises FileNotFoundError that names what is missing."""
    interpreter = _SYSTEM_PYTHON.resolve(strict=True)
    match = _VERSIONED.fullmatch(interpreter.name)
    if match is None:
        raise FileNotFoundError(f"{_SYSTEM_PYTHON} leads to {interpreter}, not to a python3.N")
    library = Path(f"/usr/lib/{interpreter.name}")
    shared = Path("/usr/lib") / _multiarch()
    for needed in (library, shared):
        if not needed.is_dir():
            raise FileNotFoundError(f"{needed} is missing; it belongs to {interpreter}")
    binds = [str(path) for path in (interpreter, library, shared)]
    binds += [path for path in _DATA if Path(path).is_dir() and any(Path(path).iterdir())]
    return Runtime(
        python=str(_SYSTEM_PYTHON),
        binds=tuple((path, path) for path in binds),
        symlinks=(
            (interpreter.name, str(_SYSTEM_PYTHON)),
            ("usr/lib", "/lib"),
            ("usr/lib64", "/lib64"),
            ("/etc/ssl/certs", "/usr/lib/ssl/certs"),
            *_loaders(),
        ),
    )


def system_version() -> str:
    """What `python3 --version` prints. Raises OSError or CalledProcessError."""
    run = subprocess.run(
        [_SYSTEM_PYTHON, "--version"], env={}, capture_output=True, check=True, text=True
    )
    return run.stdout.strip()


def _multiarch() -> str:
    declared = sysconfig.get_config_var("MULTIARCH")
    return str(declared) if declared else f"{os.uname().machine}-linux-gnu"


def _loaders() -> list[tuple[str, str]]:
    """The dynamic loader's well-known names, links into the directory of the shared libraries."""
    found = [*Path("/usr/lib64").glob("ld-linux*.so.*"), *Path("/usr/lib").glob("ld-linux*.so.*")]
    return [(str(link.readlink()), str(link)) for link in found if link.is_symlink()]
