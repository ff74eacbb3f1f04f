"""The inside of the box: bubblewrap's arguments, in the order of the set-up steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sandbox.config import API_ADDRESS, ApiRelay
from sandbox.errors import ProgramInvalidError
from sandbox.payload import Payload
from sandbox.program import Limits, Program
from sandbox.runtime import Runtime

INSIDE_ID = 1000
_MAX_ARGUMENTS = 9000  # bubblewrap's own, whatever way they come
# Readable by every uid; kmsg, slabinfo, vmallocinfo and their like are root's alone already.
_HIDDEN = (
    "keys",
    "key-users",
    "timer_list",
    "kcore",
    "config.gz",
    "cmdline",
    "kallsyms",
    "interrupts",
    "sched_debug",
)
_ETC = {
    "/etc/passwd": "sandbox:x:1000:1000::/workspace:/usr/sbin/nologin\n",
    "/etc/group": "sandbox:x:1000:\n",
}
_DEFAULT_ENV = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/workspace",
    "LANG": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",  # a workspace ends with its run
}


def arguments(
    program: Program, runtime: Runtime, api: ApiRelay | None, payload: Payload, seccomp: bytes
) -> bytes:
    """NUL-terminated arguments for `--args`. The descriptors they name are added to `payload`.

    Raises `ProgramInvalidError` when they are more than bubblewrap takes.
    """
    steps = [
        *_namespaces(),
        *_environment(program),
        *_runtime(runtime),
        *_etc(_names(api, program.network.mode), runtime, payload),
        *_proc(),
        *_devices(program.limits),
        *_scratch(program.limits),
        *_workspace(program, payload),
        *_seal(),
        *_seccomp(seccomp, payload),
    ]
    if len(steps) > _MAX_ARGUMENTS - 100:
        raise ProgramInvalidError(
            f"the workspace and environment take {len(steps)} set-up arguments and bubblewrap at"
            f" most {_MAX_ARGUMENTS}; pack fewer files, directories or variables"
        )
    return b"".join(step.encode(errors="surrogateescape") + b"\0" for step in steps)


def _namespaces() -> Iterator[str]:
    # The network namespace is the slot's, entered before bubblewrap starts.
    yield from ("--unshare-user", "--disable-userns", "--unshare-pid", "--unshare-ipc")
    yield from ("--unshare-uts", "--unshare-cgroup", "--hostname", "sandbox")
    yield from ("--uid", str(INSIDE_ID), "--gid", str(INSIDE_ID), "--cap-drop", "ALL")
    yield from ("--new-session", "--die-with-parent")


def _environment(program: Program) -> Iterator[str]:
    yield "--clearenv"
    for name, value in {**_DEFAULT_ENV, **program.env}.items():
        yield from ("--setenv", name, value)


def _runtime(runtime: Runtime) -> Iterator[str]:
    for source, inside in runtime.binds:
        yield from ("--ro-bind", source, inside)
    for target, inside in runtime.symlinks:
        yield from ("--symlink", target, inside)


def _etc(names: Mapping[str, str], runtime: Runtime, payload: Payload) -> Iterator[str]:
    # Plain files of the root tmpfs, which is read-only in the end: a bind mount each costs more.
    # Upon a whole root, which is read-only from the start, nothing else is possible.
    place = "--ro-bind-data" if runtime.whole else "--file"
    for path, text in {**_ETC, **names}.items():
        yield from ("--perms", "0444", place, str(payload.add(text.encode())), path)


def _hosts(api: ApiRelay | None) -> str:
    entries = ["127.0.0.1 localhost sandbox", "::1 localhost"]
    if api is not None:
        entries += [f"{API_ADDRESS} {name}" for name in api.names]
    return "\n".join(entries) + "\n"


def _names(api: ApiRelay | None, network_mode: str) -> dict[str, str]:
    """Where no name would be answered, none is asked: looking one up fails at once."""
    by, server = ("files", "") if network_mode == "none" else ("files dns", API_ADDRESS)
    return {
        "/etc/hosts": _hosts(api),
        "/etc/nsswitch.conf": f"passwd: files\ngroup: files\nhosts: {by}\n",
        "/etc/resolv.conf": f"nameserver {server}\n" if server else "",
    }


def _proc() -> Iterator[str]:
    yield from ("--proc", "/proc")
    for name in _HIDDEN:
        if Path("/proc", name).exists():
            yield from ("--ro-bind", "/dev/null", f"/proc/{name}")
    # Of the host's file systems; to read one of these files walks all of its inodes, locked.
    yield from ("--perms", "0555", "--size", "4096", "--tmpfs", "/proc/fs")


def _devices(limits: Limits) -> Iterator[str]:
    yield from ("--dev", "/dev")
    # No terminals: what the kernel does for them, and keeps, is charged to nobody.
    yield from ("--perms", "0555", "--size", "4096", "--tmpfs", "/dev/pts")
    yield from ("--perms", "1777", "--size", str(limits.shm_bytes), "--tmpfs", "/dev/shm")  # noqa: S108 - inside the sandbox


def _scratch(limits: Limits) -> Iterator[str]:
    yield from ("--perms", "1777", "--size", str(limits.tmp_bytes), "--tmpfs", "/tmp")  # noqa: S108 - inside the sandbox
    yield from ("--perms", "0755", "--size", str(limits.workspace_bytes), "--tmpfs", "/workspace")


def _workspace(program: Program, payload: Payload) -> Iterator[str]:
    for directory in program.all_directories():
        yield from ("--dir", f"/workspace/{directory}")
    for file in program.files:
        if file.executable:
            yield from ("--perms", "0755")
        yield from ("--file", str(payload.add(file.content)), f"/workspace/{file.path}")


def _seal() -> Iterator[str]:
    # Of /proc too: there a program says whom the kernel should rather kill than itself, and any
    # user may write alarms of its own into /proc/pressure.
    for place in ("/dev/pts", "/dev", "/proc/fs", "/proc", "/"):
        yield from ("--remount-ro", place)
    yield from ("--chdir", "/workspace")


def _seccomp(filter_program: bytes, payload: Payload) -> Iterator[str]:
    if filter_program:
        yield from ("--seccomp", str(payload.add(filter_program)))


def command(args_fd: int, status_fd: int, runtime: Runtime, argv: Sequence[str]) -> list[str]:
    """The visible arguments; everything else is in the file behind `args_fd`."""
    outside = ["--args", str(args_fd), "--json-status-fd", str(status_fd)]
    return [*outside, "--", runtime.python, "-u", *argv]
