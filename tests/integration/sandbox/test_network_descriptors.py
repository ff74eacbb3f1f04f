"""A network helper with more than a thousand open descriptors makes slots as before."""

from __future__ import annotations

import subprocess
import sys

# libnftables aborts the process, so it is one of its own.
PROGRAM = """
import os, resource
from sandbox.network import namespaces, ruleset
from sandbox.network.descriptors import LowDescriptors
from sandbox.network.nft import Nft

resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
namespaces.unshare(namespaces.CLONE_NEWNET)
low = LowDescriptors()
while (last := os.dup(0)) < 2000:
    pass
for _ in range(40):
    with low.free():
        nft = Nft()
    nft.run("add table inet trial")
    assert nft.has_table("inet trial")
    nft.close()
os.close(700)  # one that ended: the lowest number is another's from now on
with low.free():
    nft = Nft()
nft.run("delete table inet trial")

low.close()
while (last := os.dup(0)) < 1100:
    pass
try:
    with low.free():
        Nft().close()
except OSError as error:
    print(error.strerror)
"""


def test_nftables_is_used_beside_a_thousand_descriptors() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "no low file descriptor is free for nftables\n"
