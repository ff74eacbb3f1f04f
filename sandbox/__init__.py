"""Run a program sealed off: bubblewrap, control groups, a network of its own.

Standard library only. It knows nothing of strategies: a `Program` goes in, an `Outcome` comes out,
and a `SandboxError` means that we failed and not the program.
"""

from sandbox.config import API_ADDRESS, ApiRelay, HostConfig
from sandbox.errors import (
    NoFreeSlotError,
    NoUplinkError,
    Problem,
    ProgramInvalidError,
    RunOverdueError,
    SandboxError,
    SandboxStuckError,
    SandboxUnavailableError,
    UplinkDownError,
)
from sandbox.host import Host
from sandbox.locks import MOST as MOST_LOCKS
from sandbox.network.events import NetworkEvent
from sandbox.network.refusals import Refusal
from sandbox.outcome import Outcome, Usage
from sandbox.policy import NetworkPolicy
from sandbox.program import MAX_FILES, Limits, Program, WorkspaceFile
from sandbox.running import Sandbox
from sandbox.selector import selector
from sandbox.stacks import prepared as with_stacks

__all__ = [
    "API_ADDRESS",
    "MAX_FILES",
    "MOST_LOCKS",
    "ApiRelay",
    "Host",
    "HostConfig",
    "Limits",
    "NetworkEvent",
    "NetworkPolicy",
    "NoFreeSlotError",
    "NoUplinkError",
    "Outcome",
    "Problem",
    "Program",
    "ProgramInvalidError",
    "Refusal",
    "RunOverdueError",
    "Sandbox",
    "SandboxError",
    "SandboxStuckError",
    "SandboxUnavailableError",
    "UplinkDownError",
    "Usage",
    "WorkspaceFile",
    "selector",
    "with_stacks",
]
