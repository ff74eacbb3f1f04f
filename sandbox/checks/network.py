"""What the strategies' networks are made with: nftables always, the rest as the uplink needs it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from sandbox.checks import namespaces, tools
from sandbox.config import HostConfig
from sandbox.findings import Finding, Level, fail, ok
from sandbox.network import nft, requirements

_SLIRP4NETNS = tools.Need("slirp4netns", "slirp4netns", at_least=(1, 0))
# What netd makes: a router's namespace, the pair of interfaces of a slot, the rules.
_STEPS = """
import os, sys
from sandbox.network import namespaces, ranges, ruleset
from sandbox.network.nft import Nft
from sandbox.network.rtnetlink import Rtnetlink
if os.geteuid() != 0:
    namespaces.make_user_namespace()
namespaces.unshare(namespaces.CLONE_NEWNET)
try:
    with Rtnetlink() as links:
        links.add_veth("here", "there", namespaces.open_own("net"), 1500)
    Nft().run(ruleset.table(ranges.closed([]), ranges.DOCUMENTATION, 1))
except OSError as error:
    sys.exit(f"KERNEL {error}")
"""
_MODULES = "modprobe -a nf_tables nft_ct nft_nat nft_limit nft_connlimit veth"


def check(config: HostConfig) -> Iterator[Finding]:
    """Whether the configured uplink can be had; with `auto` a lack is a warning."""
    yield from _check_router()
    if config.uplink in ("auto", "user"):
        yield from _check_user(is_wanted=config.uplink == "user")
    elif config.uplink == "veth":
        problems = list(requirements.veth_problems())
        yield from (fail(problem.what, problem.remedy) for problem in problems)
        if not problems:
            yield ok("uplink veth: strategies reach the internet by this host's routing")
    else:
        yield ok("uplink none: strategies reach the platform's API alone, as configured")


def _check_router() -> Iterator[Finding]:
    if not nft.is_available():
        yield fail("nftables' library (libnftables.so.1) is missing", "apt-get install nftables")
        return
    refusal = namespaces.said([sys.executable, "-S", "-c", _STEPS])
    if refusal.startswith("KERNEL "):
        kernel = f"{_MODULES}; on a kernel without them: apt-get install {{}} and boot it"
        why = refusal.removeprefix("KERNEL ")
        yield fail(
            f"this kernel does not take the strategies' networks: {why}",
            kernel.format("linux-image-amd64 (or -arm64)"),
            kernel.format("linux-image-generic"),
        )
    elif refusal:
        python = str(Path(sys.executable).resolve())
        remedy = namespaces.causes(namespaces.read_settings(), python)
        what = f"the network helper cannot make network namespaces: {refusal}"
        yield fail(what, remedy.debian, remedy.ubuntu)
    else:
        path = tools.find("nft")
        version = tools.version(path) if path else "nftables"
        yield ok(f"{version}: this kernel takes the rules of the strategies' networks")


def _check_user(*, is_wanted: bool) -> Iterator[Finding]:
    lacking = [fail(problem.what, problem.remedy) for problem in requirements.user_problems()]
    if not lacking:
        found = tools.check_one(_SLIRP4NETNS)
        if found.level == Level.OK:
            yield ok(f"uplink user: {found.what}; /dev/net/tun can be opened")
            return
        lacking.append(found)
    for finding in lacking:
        if is_wanted:
            yield finding
        else:
            what = f"no internet for strategies: {finding.what}"
            yield replace(finding, level=Level.WARN, what=what)
