"""Which interpreter a program gets, and what of the host's file system that needs.

Either way a program sees one Python. With the host's it is the bare standard library, whatever else
the host has installed. A root file system is seen whole, its site-packages too: who configures it
decides what is in it.
"""

from __future__ import annotations

import os
import re
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import Problem, SandboxUnavailableError

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

    `kind`: `host` or `rootfs`. `binds` are (host path, inside path), `symlinks` (target, inside
    path). `whole`: the binds bring a complete, read-only root, in which a file of ours can only
    lie upon one that is there.
    """

    kind: str
    python: str
    binds: tuple[tuple[str, str], ...]
    symlinks: tuple[tuple[str, str], ...] = ()
    whole: bool = False


def find_system_runtime() -> Runtime:
    """Debian's or Ubuntu's own interpreter, its standard library, shared libraries, time zones and
    CA certificates; no site-packages. Raises `SandboxUnavailableError` that names what is missing.
    """
    try:
        return _system_runtime()
    except FileNotFoundError as error:
        what = f"no usable system Python: {error}"
        raise SandboxUnavailableError([Problem(what, "apt-get install python3")]) from error


def _system_runtime() -> Runtime:
    interpreter = _SYSTEM_PYTHON.resolve(strict=True)
    match = _VERSIONED.fullmatch(interpreter.name)
    if match is None:
        raise FileNotFoundError(f"{_SYSTEM_PYTHON} leads to {interpreter}, not to a python3.N")
    library = Path(f"/usr/lib/{interpreter.name}")
    shared = Path("/usr/lib") / _multiarch()
    for needed in (library, shared):
        if not needed.is_dir():
            raise FileNotFoundError(f"{needed} is missing; it belongs to {interpreter}")
    # All shared libraries at once: a mount for each that is needed makes a start 9 ms longer.
    binds = [str(path) for path in (interpreter, library, shared)]
    binds += [path for path in _DATA if Path(path).is_dir() and any(Path(path).iterdir())]
    return Runtime(
        kind="host",
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


def _multiarch() -> str:
    declared = sysconfig.get_config_var("MULTIARCH")
    return str(declared) if declared else f"{os.uname().machine}-linux-gnu"


def _loaders() -> list[tuple[str, str]]:
    """The dynamic loader's well-known names, links into the directory of the shared libraries."""
    found = [*Path("/usr/lib64").glob("ld-linux*.so.*"), *Path("/usr/lib").glob("ld-linux*.so.*")]
    return [(str(link.readlink()), str(link)) for link in found if link.is_symlink()]
