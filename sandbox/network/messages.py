"""What the runner and netd say to each other: JSON in one SEQPACKET message, descriptors beside it.

Runner to netd: `configure` (once, first; with the namespaces of a netd that died, as its `with`
names them), `make`, `adopt` and `open` (with a policy), `refusals`, `release`.
netd to runner: `hello` (with its namespaces, as its `with` names them), `ready` (with a network
namespace), `opened`, `refused`, `failed`, and of its own accord `uplink` (`state` and `detail`).
All but `configure`, `hello` and `uplink` name a slot.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_MAX_BYTES = 160 * 1024  # a policy of 256 long names; less than a socket buffer
_MAX_FDS = 4


@dataclass(frozen=True)
class Message:
    """One message, and the descriptors that came with it."""

    op: str
    fields: Mapping[str, Any]
    fds: tuple[int, ...] = ()


def send(channel: socket.socket, op: str, fds: Sequence[int] = (), **fields: Any) -> None:
    """Raises OSError when the other side is gone."""
    socket.send_fds(channel, [json.dumps({"op": op, **fields}).encode()], list(fds))


def receive(channel: socket.socket) -> Message | None:
    """The next message, None when the other side is gone. Its descriptors belong to the caller."""
    try:
        data, fds, _, _ = socket.recv_fds(channel, _MAX_BYTES, _MAX_FDS)
    except ConnectionResetError:
        return None
    if not data:
        return None
    for fd in fds:
        os.set_inheritable(fd, False)
    fields = json.loads(data)
    return Message(fields.pop("op"), fields, tuple(fds))
