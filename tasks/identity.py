"""Who a runner is: unique per process, and tied to its predecessor on the same host."""

import hashlib
import socket
import uuid
from dataclasses import dataclass
from pathlib import Path

_NAMESPACES = ("cgroup", "mnt", "net", "pid")


@dataclass(frozen=True)
class Identity:
    """A runner's names.

    Attributes:
        runner_id: of this process, never used again.
        host_key: equal for two processes only if the later one can see and kill everything that
            the earlier one started: same boot, same namespaces, same name.
    """

    runner_id: str
    name: str
    host: str
    host_key: str


def identify(name: str) -> Identity:
    """The identity of this process as the runner called `name`."""
    host = socket.gethostname()
    place = [Path("/proc/sys/kernel/random/boot_id").read_text().strip(), name]
    place += [str(Path(f"/proc/self/ns/{kind}").readlink()) for kind in _NAMESPACES]
    host_key = hashlib.sha256("\0".join(place).encode()).hexdigest()
    return Identity(f"{name}-{uuid.uuid4().hex[:12]}", name, host, host_key)
