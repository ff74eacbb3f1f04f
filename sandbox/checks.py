"""Can this host run sandboxes? Everything that is in the way, each with its remedy."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from sandbox.chain import Tools
from sandbox.errors import Problem, SandboxUnavailableError
from sandbox.rootfs import find_rootfs_runtime
from sandbox.runtime import Runtime, find_system_runtime

_BWRAP_AT_LEAST = (0, 8)
_OPEN_FILES_AT_LEAST = 4096
_SEARCH_PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"
_PACKAGES = {"bwrap": "bubblewrap", "nsenter": "util-linux"}


def examine(rootfs: Path | None = None) -> tuple[Tools, Runtime]:
    """The tools of this host and the interpreter: that of `rootfs`, else the host's.

    Raises `SandboxUnavailableError`.
    """
    problems = [*_tools(), *_user_namespaces(), *_open_files()]
    found: Runtime | None = None
    try:
        found = find_system_runtime() if rootfs is None else find_rootfs_runtime(rootfs)
    except SandboxUnavailableError as error:
        problems += error.problems
    if problems or found is None:
        raise SandboxUnavailableError(problems)
    return Tools(**{name: str(_which(name)) for name in _PACKAGES}), found


def _which(tool: str) -> str | None:
    return shutil.which(tool, path=_SEARCH_PATH)


def _tools() -> Iterator[Problem]:
    missing = [tool for tool in _PACKAGES if _which(tool) is None]
    if missing:
        packages = " ".join(sorted({_PACKAGES[tool] for tool in missing}))
        yield Problem(f"missing: {', '.join(missing)}", f"apt-get install {packages}")
    if (bwrap := _which("bwrap")) is not None:
        yield from _bwrap_version(bwrap)


def _bwrap_version(bwrap: str) -> Iterator[Problem]:
    run = subprocess.run([bwrap, "--version"], env={}, capture_output=True, text=True, check=False)
    numbers = re.search(r"(\d+)\.(\d+)", run.stdout)
    if numbers is None or tuple(map(int, numbers.groups())) < _BWRAP_AT_LEAST:
        wanted = ".".join(map(str, _BWRAP_AT_LEAST))
        yield Problem(
            f"bubblewrap {wanted} is needed, {bwrap} says {(run.stdout or run.stderr).strip()}",
            "use Debian 12, Ubuntu 24.04 or later, or install a newer bubblewrap",
        )


def _user_namespaces() -> Iterator[Problem]:
    if _setting("user/max_user_namespaces") == 0:
        yield Problem(
            "user namespaces are switched off (user.max_user_namespaces = 0)",
            "sysctl -w user.max_user_namespaces=15000 (to keep it: a file in /etc/sysctl.d)",
        )
    if _setting("kernel/unprivileged_userns_clone") == 0:
        yield Problem(
            "user namespaces are kept from ordinary users (kernel.unprivileged_userns_clone = 0)",
            "sysctl -w kernel.unprivileged_userns_clone=1 (to keep it: a file in /etc/sysctl.d)",
        )
    if _setting("kernel/apparmor_restrict_unprivileged_userns") == 1 and not _bwrap_profile():
        yield Problem(
            "AppArmor keeps bubblewrap from making user namespaces (Ubuntu 24.04's default)",
            "write a profile for it: printf 'abi <abi/4.0>,\\ninclude <tunables/global>\\n"
            "profile bwrap /usr/bin/bwrap flags=(unconfined) {\\n  userns,\\n}\\n'"
            " > /etc/apparmor.d/bwrap && apparmor_parser -r /etc/apparmor.d/bwrap",
        )


def _bwrap_profile() -> bool:
    directory = Path("/etc/apparmor.d")
    return any((directory / name).exists() for name in ("bwrap", "bwrap-userns-restrict"))


def _open_files() -> Iterator[Problem]:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < _OPEN_FILES_AT_LEAST:
        yield Problem(
            f"the runner may open {most} files at most; it needs {_OPEN_FILES_AT_LEAST}",
            "ulimit -Hn 65536 before it starts (systemd: LimitNOFILE=65536)",
        )


def _setting(name: str) -> int | None:
    try:
        return int(Path("/proc/sys", name).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def harden_this_process() -> None:
    """Raise the soft limit of open files, and never dump core.

    The runner holds keys, and every sandbox inherits the limit: 1 byte and not 0, because 0 still
    lets a `core_pattern` that is a pipe hand a program's memory to a process of the host.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    _, core_most = resource.getrlimit(resource.RLIMIT_CORE)
    core_bytes = 0 if core_most == 0 else 1
    resource.setrlimit(resource.RLIMIT_CORE, (core_bytes, core_bytes))


def is_root() -> bool:
    """Whether this process may change to other user ids."""
    return os.geteuid() == 0
