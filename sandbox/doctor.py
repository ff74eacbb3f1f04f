"""`python -m sandbox.doctor`: could a runner start on this host, and what would it cost to cure?

One line a finding, `ok`, `warn` or `FAIL`, below it the remedy. Ends with 0 when a runner could
start and with 1 when not. Nothing stays of it: its control group goes, and so does its trial run.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sandbox import checks
from sandbox.checks.namespaces import KINDS
from sandbox.config import UPLINKS, HostConfig
from sandbox.errors import SandboxError, SandboxUnavailableError
from sandbox.findings import Finding, Level, Remedy, fail, failed, ok, warn
from sandbox.host import Host
from sandbox.network import requirements
from sandbox.program import Program
from sandbox.running import Sandbox
from sandbox.status import wait_readable

_TRIAL_UID = 199_990
_DEFAULT_NAME = "runner"
_ANSWER_TIMEOUT_S = 20.0
_LOOK_INSIDE = f"""
import json, os
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status"))
print(json.dumps({{
    "namespaces": {{kind: os.readlink("/proc/self/ns/" + kind) for kind in {KINDS!r}}},
    "capabilities": int(status["CapEff"], 16) | int(status["CapBnd"], 16),
    "no_new_privileges": int(status["NoNewPrivs"]),
    "seccomp": int(status["Seccomp"]),
    "processes": sum(name.isdigit() for name in os.listdir("/proc")),
    "root": sorted(os.listdir("/")),
}}))
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Print the findings; the exit status."""
    options = _parser().parse_args(argv)
    logging.getLogger("sandbox").addHandler(logging.NullHandler())  # what it warns of is printed
    name = options.name or f"doctor-{os.getpid()}"
    findings = diagnose(HostConfig(name=name, first_uid=options.first_uid, uplink=options.uplink))
    if not options.name:
        findings = [_for_the_runner(finding, name) for finding in findings]
    is_fit = all(finding.level != Level.FAIL for finding in findings)
    if options.json:
        report = {"fit": is_fit, "findings": [_as_json(finding) for finding in findings]}
        sys.stdout.write(json.dumps(report) + "\n")
        return 0 if is_fit else 1
    verdict = "a runner can start here" if is_fit else "no runner can start here; see FAIL above"
    sys.stdout.write("\n".join([*map(str, findings), "", verdict]) + "\n")
    return 0 if is_fit else 1


def _for_the_runner(finding: Finding, name: str) -> Finding:
    """A remedy for control groups names those of the doctor's passing runner; an operator wants
    those of the runner that will stay."""
    own, lasting = f"sequence-{name}", f"sequence-{_DEFAULT_NAME}"
    remedy = finding.remedy
    if remedy is None or own not in remedy.debian:
        return finding
    again = f" (for RUNNER_NAME={_DEFAULT_NAME}; look again with --name {_DEFAULT_NAME})"
    what = finding.what.replace(own, lasting)
    return replace(finding, what=what, remedy=Remedy(remedy.debian.replace(own, lasting) + again))


def diagnose(config: HostConfig) -> list[Finding]:
    """The checks that a runner of this configuration makes at its start, and one run that is looked
    at closely, with a user id that no runner gives."""
    seen = checks.examine(config)
    if not seen.failures:
        trial = replace(config, slots=1, ready_slots=1, first_uid=_TRIAL_UID)
        return [*seen.findings, *_trial(trial)]
    seen.clear()
    return list(seen.findings)


def _trial(config: HostConfig) -> Iterator[Finding]:
    try:
        host = Host.open(config)
    except SandboxUnavailableError as error:
        yield from map(failed, error.problems)
        return
    except SandboxError as error:  # such as an uplink that does not come up
        yield fail(f"a runner cannot start: {error}", "see the message; report it if unclear")
        return
    # The others were found before anything was tried.
    for problem in host.uplink_obstacles[len(requirements.choose(config).obstacles) :]:
        yield warn(f"no internet for strategies: {problem.what}", problem.remedy)
    if host.uplink != "none":
        yield ok(f"uplink {host.uplink}: it comes up and carries packets")
    try:
        sandbox = host.spawn(Program(argv=["-c", _LOOK_INSIDE]), "doctor")
        seen, said = _answer(sandbox), dict(sandbox.isolation)
    except (SandboxError, OSError, ValueError) as error:
        yield fail(
            f"a run could not be looked at: {error}", "see the message; report it if unclear"
        )
        return
    finally:
        host.close()
    yield from _isolation(seen)
    yield ok(f"the trial run was sealed off: {_listed(said)}")


def _answer(sandbox: Sandbox) -> dict[str, Any]:
    """What the program inside printed. Raises ValueError when that is no answer."""
    text = b""
    while not text.endswith(b"\n") and wait_readable(sandbox.stdout_fd, _ANSWER_TIMEOUT_S):
        chunk = os.read(sandbox.stdout_fd, 65536)
        text += chunk
        if not chunk:
            break
    sandbox.finish()
    return dict(json.loads(text))


def _isolation(seen: Mapping[str, Any]) -> Iterator[Finding]:
    """From inside, whatever the outside believes."""
    remedy = "this is a defect of the platform or a changed tool: report it, and run no strategy"
    inside: Mapping[str, str] = seen["namespaces"]
    shared = [kind for kind in KINDS if inside[kind] == _own_namespace(kind)]
    if shared:
        yield fail(f"the trial run shared namespaces with the host: {', '.join(shared)}", remedy)
    if seen["capabilities"]:
        yield fail(f"the trial run had capabilities: {seen['capabilities']:#x}", remedy)
    if (seen["no_new_privileges"], seen["seccomp"]) != (1, 2):
        yield fail("the trial run was without its system call filter", remedy)
    if seen["processes"] > 2:
        yield fail(f"the trial run saw {seen['processes']} processes", remedy)
    if foreign := {"home", "root", "var", "run", "sys", "boot", "srv"} & set(seen["root"]):
        yield fail(f"the trial run saw directories of the host: {', '.join(foreign)}", remedy)


def _own_namespace(kind: str) -> str:
    return str(Path("/proc/self/ns", kind).readlink())


def _listed(isolation: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {_words(value)}" for name, value in isolation.items())


def _words(value: object) -> str:
    if isinstance(value, dict):
        return f"({_listed(value)})"
    return " ".join(value) or "none" if isinstance(value, list) else str(value)


def _as_json(finding: Finding) -> dict[str, object]:
    remedy = finding.remedy
    ubuntu = None if remedy is None else remedy.ubuntu or remedy.debian
    return {
        "level": str(finding.level),
        "what": finding.what,
        "remedy": None if remedy is None else {"debian": remedy.debian, "ubuntu": ubuntu},
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.doctor", description="Could a runner start on this host?"
    )
    parser.add_argument("--json", action="store_true", help="one line of JSON on stdout")
    parser.add_argument(
        "--name",
        help="the runner's own name, when control groups were made for it beforehand;"
        " not while that runner is alive",
    )
    parser.add_argument(
        "--first-uid",
        type=int,
        default=HostConfig(name="default").first_uid,
        help="the first user id of the runner's slots (%(default)s)",
    )
    parser.add_argument(
        "--uplink",
        choices=UPLINKS,
        default="auto",
        help="the runner's way to the internet (%(default)s)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
