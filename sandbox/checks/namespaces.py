"""Namespaces, by making each kind in the way that a run does; settings explain a refusal."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from sandbox.checks import tools
from sandbox.config import HostConfig
from sandbox.findings import Finding, Remedy, fail, ok, warn

KINDS = ("user", "pid", "ipc", "uts", "cgroup", "net", "mnt")
_TIMEOUT_S = 120.0  # a busy host may have a dozen modules to load first
_FEW = 1024
_PACKAGE_ROOT = Path(__file__).resolve().parents[2]
_IN_A_CONTAINER = (
    "in a container: docker run --privileged --cgroupns=host; on a machine of its own look for a"
    " security module or a kernel built without them (zgrep NAMESPACES /proc/config.gz)"
)
_PROFILE = (
    "printf '%s\\n' 'abi <abi/4.0>,' 'include <tunables/global>'"
    " 'profile {name} {path} flags=(unconfined) {{' '  userns,' '}}'"
    " > /etc/apparmor.d/{name} && apparmor_parser -r /etc/apparmor.d/{name}"
)
_EARLIER_PROFILE = (
    "where there is a /etc/apparmor.d/bwrap-userns-restrict: apparmor_parser -R"
    " /etc/apparmor.d/bwrap-userns-restrict && mv /etc/apparmor.d/bwrap-userns-restrict"
    " /etc/apparmor.d/disable/"
)
_APPARMOR = "kernel.apparmor_restrict_unprivileged_userns"
_SETTINGS = (
    "kernel.unprivileged_userns_clone",
    _APPARMOR,
    *(f"user.max_{kind}_namespaces" for kind in KINDS),
)


def check(config: HostConfig) -> Iterator[Finding]:
    """What bubblewrap makes for a run."""
    settings = read_settings()
    bwrap = tools.find("bwrap")
    if bwrap is not None:
        yield from _check_bubblewrap(bwrap, config, settings)
    yield from _few(settings)


def read_settings() -> dict[str, int]:
    """Those of the kernel's settings that decide about namespaces, by their sysctl names."""
    found = {}
    for name in _SETTINGS:
        try:
            found[name] = int(Path("/proc/sys", name.replace(".", "/")).read_text(encoding="ascii"))
        except (OSError, ValueError):
            continue  # this kernel has no such setting
    return found


def causes(settings: Mapping[str, int], path: str) -> Remedy:
    """What to do about a refusal to the program at `path`: every setting that explains it."""
    steps = [
        f"sysctl -w {name}={1 if name.endswith('clone') else 15000}"
        " (to keep it: a file in /etc/sysctl.d)"
        for name, value in settings.items()
        if value == 0 and name != _APPARMOR
    ]
    if settings.get(_APPARMOR) != 1:
        return Remedy("\n".join(steps or [_IN_A_CONTAINER]))
    name = "bwrap" if path.endswith("/bwrap") else "sequence-runner"
    profile = [_PROFILE.format(name=name, path=path)]
    if name == "bwrap":
        profile.append(_EARLIER_PROFILE)
    return Remedy("\n".join([*steps, f"sysctl -w {_APPARMOR}=0"]), "\n".join([*steps, *profile]))


def _check_bubblewrap(
    bwrap: str, config: HostConfig, settings: Mapping[str, int]
) -> Iterator[Finding]:
    """All kinds at once; only when that fails each by itself, to name those that fail."""
    uid = config.first_uid if os.geteuid() == 0 else os.getuid()
    if not _refusal(bwrap, KINDS, uid):
        yield ok(f"bubblewrap makes all namespaces for uid {uid}: {', '.join(KINDS)}")
        return
    refused = {}
    for kind in KINDS:
        if said := _refusal(bwrap, (kind,), uid):
            refused[kind] = said
        if "user" in refused:
            break  # no other is made without it
    remedy = causes(settings, bwrap)
    for kind, said in (refused or {"all together": _refusal(bwrap, KINDS, uid)}).items():
        what = f"bubblewrap cannot make namespaces ({kind}) for uid {uid}: {said}"
        yield fail(what, remedy.debian, remedy.ubuntu)


def _refusal(bwrap: str, kinds: tuple[str, ...], uid: int) -> str:
    """What bubblewrap says when it cannot make these; empty when it can."""
    # The mount namespace is made always, and as an ordinary user nothing without a user namespace.
    wanted = {"user", *kinds} - {"mnt"}
    command = [bwrap, *(f"--unshare-{kind}" for kind in sorted(wanted)), "--ro-bind", "/", "/"]
    if "pid" in kinds:
        command += ["--proc", "/proc"]
    drop = {"user": uid, "group": uid, "extra_groups": []} if os.geteuid() == 0 else {}
    return said([*command, "--", "/bin/true"], **drop)


def said(command: list[str], **drop: object) -> str:
    """What a command complains of; empty when it succeeds."""
    try:
        run = subprocess.run(
            command,
            env={},
            cwd=_PACKAGE_ROOT if not drop else "/",
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            check=False,
            **drop,  # type: ignore[call-overload]
        )
    except OSError as error:
        return f"it does not start: {error.strerror}"
    except subprocess.TimeoutExpired:
        return f"it did not end within {_TIMEOUT_S:g} s; is the host busy? Try again"
    if run.returncode == 0:
        return ""
    lines = run.stderr.strip().splitlines()
    return lines[-1] if lines else f"it ended with status {run.returncode}"


def _few(settings: Mapping[str, int]) -> Iterator[Finding]:
    for name, value in settings.items():
        if name.startswith("user.max_") and 0 < value < _FEW:
            yield warn(
                f"{name} = {value}: so many namespaces may one user make; runs beyond them fail",
                f"sysctl -w {name}=15000 (to keep it: a file in /etc/sysctl.d)",
            )
