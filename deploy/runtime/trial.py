"""The last step of `make runtime`: one program in a sandbox with the tree that was built."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sandbox import Host, HostConfig, Program, SandboxError

PROGRAM = """
import asyncio, ctypes, decimal, json, multiprocessing, sqlite3, ssl, sys, uuid, zoneinfo
zoneinfo.ZoneInfo("America/New_York")
if not ssl.create_default_context().cert_store_stats()["x509_ca"]:
    sys.exit("no CA certificates")
"""


def main(rootfs: Path) -> None:
    config = HostConfig(name=f"runtime-trial-{os.getpid()}", ready_slots=1, rootfs=rootfs)
    host = Host.open(config)
    try:
        sandbox = host.spawn(Program(argv=["-c", PROGRAM]), "run")
        outcome = sandbox.finish()
        version = sandbox.isolation["python"]
    finally:
        host.close()
    if outcome.exit_code != 0:
        sys.exit(f"runtime: the standard library in {rootfs} is not whole: {outcome}")
    sys.stdout.write(f"runtime: Python {version} runs in it; RUNTIME_ROOTFS={rootfs}\n")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]).resolve())
    except SandboxError as error:
        sys.exit(f"runtime: {error}")
