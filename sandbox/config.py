"""How one runner uses its host."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}", re.IGNORECASE)
API_ADDRESS = "198.18.0.1"


@dataclass(frozen=True)
class ApiRelay:
    """The platform's API as the runner reaches it, and how a sandbox does.

    Inside, each of `listen_ports` of `API_ADDRESS` is relayed to `host:port`, and every one of
    `names` resolves to that address, so that a certificate's host name stays valid.
    """

    host: str
    port: int
    listen_ports: tuple[int, ...] = (8000,)
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class HostConfig:
    """One runner's share of a host.

    `name`: unique among the live runners of a host, the same after a restart (left-overs are found
    by it). `slots`: most runs at once; a root runner gives each its own uid,
    `first_uid .. first_uid + slots - 1`, so two runners of one host want ranges that do not
    overlap. `ready_slots`: network namespaces kept ready. `start_timeout_s`: from the call of
    `spawn` to the program's first instruction. `kill_timeout_s`: until a killed tree must be gone.
    `rootfs`: the root file system that programs see; None: the host's interpreter and standard
    library.
    """

    name: str
    api: ApiRelay | None = None
    slots: int = 64
    ready_slots: int = 4
    first_uid: int = 200_000
    start_timeout_s: float = 10.0
    kill_timeout_s: float = 10.0
    rootfs: Path | None = None

    def __post_init__(self) -> None:
        check_name("runner", self.name)
        if self.slots < 1 or self.ready_slots < 1:
            raise ValueError("slots and ready_slots must be at least 1")


def check_name(kind: str, name: str) -> None:
    """Raise ValueError unless `name` can be a directory of the control group file system."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{kind} name {name!r}: use 1 to 63 letters, digits, '_', '.' or '-'")
