"""Start netd and agree with it on the namespaces."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.config import HostConfig
from sandbox.errors import SandboxError
from sandbox.network import messages, requirements

_PACKAGE_ROOT = Path(__file__).resolve().parents[2]
_HELLO_TIMEOUT_S = 60.0  # a busy host; one that died is noticed at once


@dataclass(frozen=True)
class Helper:
    """A netd that said hello. The descriptors of its namespaces outlive it: a next one enters
    them, and what hangs on them goes on. `user_fd` None: it needs no user namespace of its own."""

    process: subprocess.Popen[bytes]
    channel: socket.socket
    router_fd: int
    user_fd: int | None

    def close_namespaces(self) -> None:
        os.close(self.router_fd)
        if self.user_fd is not None:
            os.close(self.user_fd)


def start(config: HostConfig, lock_fd: int, before: Helper | None) -> Helper:
    """A new netd; `before`: the one that died, whose namespaces it takes over. Raises
    `SandboxError`."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-S", "-m", "sandbox.netd", str(theirs.fileno())],
            env={},
            cwd=_PACKAGE_ROOT,
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno(), lock_fd],
            start_new_session=True,
        )
    known = _known(before)
    fields = {**_settings(config), "with": list(known)}
    messages.send(ours, "configure", list(known.values()), **fields)
    ours.settimeout(_HELLO_TIMEOUT_S)
    why = "it ended without a word"
    try:
        answer = messages.receive(ours)
    except TimeoutError:
        answer, why = None, f"no answer within {_HELLO_TIMEOUT_S:g} s; is the host busy?"
    if answer is None or answer.op != "hello":
        why = answer.fields["error"] if answer else why
        process.kill()
        process.wait()
        ours.close()
        raise SandboxError(f"the network helper (sandbox.netd) did not start: {why}")
    ours.settimeout(None)
    made = dict(zip(answer.fields["with"], answer.fds, strict=True))
    if before is not None:
        os.close(made["router"])  # the same once more
        return Helper(process, ours, before.router_fd, before.user_fd)
    return Helper(process, ours, made["router"], made.get("user"))


def _known(before: Helper | None) -> dict[str, int]:
    if before is None:
        return {}
    known = {"router": before.router_fd}
    return known if before.user_fd is None else {**known, "user": before.user_fd}


def _settings(config: HostConfig) -> Mapping[str, Any]:
    api = config.api
    return {
        "name": config.name,
        "own_user_namespace": os.geteuid() != 0,
        "ports": list(api.listen_ports) if api else [],
        "api": [api.host, api.port] if api else None,
        "uplink": config.uplink,
        "slirp4netns": requirements.slirp4netns(),
        "connections": config.connections,
        "extra_allowed": list(config.extra_allowed),
        "extra_blocked": list(config.extra_blocked),
        "resolvers": list(config.resolvers),
    }
