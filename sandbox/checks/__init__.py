"""Can this host run sandboxes? One list of checks, for every runner's start and for the doctor.

Each module here has functions that look at one thing and answer with findings; `examine` calls
them all. A feature that needs more of its host adds its function to `_CHECKS`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sandbox import cgroups
from sandbox.chain import Tools
from sandbox.checks import control_groups, kernel, limits, namespaces, network, tools, user_ids
from sandbox.checks.limits import harden_this_process
from sandbox.config import HostConfig
from sandbox.errors import SandboxUnavailableError
from sandbox.findings import Finding, Level, failed, ok
from sandbox.rootfs import find_rootfs_runtime
from sandbox.runtime import Runtime, find_system_runtime

__all__ = ["Examination", "examine", "harden_this_process", "is_root", "require"]

logger = logging.getLogger(__name__)
_CHECKS: tuple[Callable[[HostConfig], Iterable[Finding]], ...] = (
    tools.check,
    namespaces.check,
    kernel.check_seccomp,
    kernel.check_tcp_pages,
    network.check,
    limits.check_open_files,
    limits.check_files_of_the_host,
    limits.check_processes,
    limits.check_core_dumps,
    user_ids.check,
)


@dataclass(frozen=True)
class Examination:
    """All findings, and what a runner starts with; the latter is complete when nothing failed."""

    findings: tuple[Finding, ...]
    tools: Tools | None
    runtime: Runtime | None
    tree: cgroups.Tree | None

    @property
    def failures(self) -> tuple[Finding, ...]:
        """Those that keep a runner from starting."""
        return tuple(finding for finding in self.findings if finding.level == Level.FAIL)

    def clear(self) -> None:
        """Remove the control group that was made for a runner that will not start."""
        if self.tree is not None:
            cgroups.remove_unless_held(self.tree)


def examine(config: HostConfig) -> Examination:
    """Look at everything. Makes the runner's control group, as its start would."""
    findings = [finding for check in _CHECKS for finding in check(config)]
    runtime, tree = None, None
    try:
        runtime = _runtime(config)
        findings.append(ok(f"an interpreter serves programs: {runtime.binds[0][0]}"))
    except SandboxUnavailableError as error:
        findings += map(failed, error.problems)
    try:
        tree = control_groups.prepared(config)
        findings += control_groups.check(tree)
    except SandboxUnavailableError as error:
        findings += map(failed, error.problems)
    return Examination(tuple(findings), tools.found(), runtime, tree)


def require(config: HostConfig) -> tuple[Tools, Runtime, cgroups.Tree]:
    """What a runner starts with. Raises `SandboxUnavailableError` with all that is in the way."""
    seen = examine(config)
    for finding in seen.findings:
        if finding.level == Level.WARN:
            remedy = finding.remedy.lines() if finding.remedy else []
            logger.warning("host_warning", extra={"finding": finding.what, "remedy": remedy})
    if seen.failures:
        seen.clear()
        raise SandboxUnavailableError([finding.problem() for finding in seen.failures])
    # Each is missing only together with a failure that says so.
    assert seen.tools is not None and seen.runtime is not None and seen.tree is not None  # noqa: S101
    return seen.tools, seen.runtime, seen.tree


def _runtime(config: HostConfig) -> Runtime:
    return find_rootfs_runtime(config.rootfs) if config.rootfs else find_system_runtime()


def is_root() -> bool:
    """Whether this process may change to other user ids."""
    return os.geteuid() == 0
