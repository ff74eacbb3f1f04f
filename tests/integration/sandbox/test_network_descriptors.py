"""A network helper with more than a thousand open descriptors makes slots as before."""

from __future__ import annotations

import subprocess
import sys

# libnftables aborts the process, so it is one of its own.
PROGRAM = """
import os, resource
from sandbox.network import namespaces
from sandbox.network.descriptors import LowDescriptors

resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
namespaces.unshare(namespaces.CLONE_NEWNET)
low = LowDescriptors()
while (last := os.dup(0)) < 2000:
    pass
for number in range(40):
    with low.nft() as nft:
        nft.run(f"add table inet trial{number}")
        assert nft.has_table(f"inet trial{number}")
    # The sockets of the slot: whatever is free is taken.
    for _ in range(3):
        assert os.dup(0) > 1024
for fd in range(600, 700):  # connections that end
    os.close(fd)
with low.nft() as nft:
    nft.run("delete table inet trial0")

low.close()
while (last := os.dup(0)) < 2500:
    pass
try:
    with low.nft() as nft:
        nft.run("delete table inet trial1")
except OSError as error:
    print(error.strerror)
"""


def test_nftables_is_used_beside_a_thousand_descriptors() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "no low file descriptor is free for nftables\n"
