"""Running a strategy's hooks: in a sandbox of their own, after the program is gone.

A hook runs under the claim of its strategy, in the thread that ran the program: the lease is kept
meanwhile, so no other instance, program or hook, lives beside it. It runs at least once: a runner
that dies in its middle leaves it to the next.
"""

import logging
import time
from dataclasses import dataclass, replace

from app.logs.stream import Channel
from app.secrets.envelope import EnvelopeError, Opener
from app.strategies.hooks import hook_of
from app.strategies.states import Reason
from sandbox import Host, RunOverdueError, SandboxError
from tasks.claims import Claim
from tasks.control import RunControl
from tasks.ending import Cause
from tasks.heartbeat import guarded_until
from tasks.logs.capture import Capture
from tasks.logs.limits import Rate
from tasks.logs.reader import LogReader
from tasks.logs.redaction import Redactor
from tasks.logs.run_log import RunLog
from tasks.program import CorruptArtifactError, Terms, build_program, open_secrets
from tasks.supervision import Supervision, Watch
from tasks.usage import tell_refusals
from tasks.words import exit_in_words

log = logging.getLogger(__name__)

_TIMEOUT_S = 30.0
_GRACE_S = 1.0
_SHUTDOWN_S = 8.0
"""What a hook may still take once its runner shuts down: with the grace of the program before it,
and its own, it has to end within the 20 s that a runner waits for its runs."""


@dataclass
class HookSupervision(Supervision):
    """Watches a hook: a stop does not touch it, a shutdown only hurries it."""

    is_hurried: bool = False

    def time_out_words(self) -> str:
        """What the log says when `timeout_at` has come."""
        if self.is_hurried:
            return f"its runner shuts down and the hook had {_SHUTDOWN_S:g} s more; SIGTERM"
        return super().time_out_words()

    def ask_to_end(self, cause: Cause) -> None:
        """SIGTERM when its time is over, and for nothing else."""
        if cause == Cause.TIME_OUT:
            super().ask_to_end(cause)
        elif cause == Cause.EVICTION:
            self.is_hurried = True
            self.timeout_at = min(self.timeout_at, time.monotonic() + _SHUTDOWN_S)


@dataclass(frozen=True)
class Hooks:
    """What hooks run on."""

    host: Host
    opener: Opener
    terms: Terms
    start_s: float
    lease_s: float
    shutdown_fd: int
    reader: LogReader
    log_rate: Rate

    def run(
        self, claim: Claim, control: RunControl, run_log: RunLog, reason: Reason
    ) -> Cause | None:
        """Run the hook that an ending for `reason` calls, if the strategy has it.

        Never raises: a hook that fails, or that we could not run, holds nothing up. None when it
        is over; FENCE or EVICTION when it has to be run by another runner.
        """
        found = hook_of(claim.hooks, reason)
        if found is None:
            return None
        if control.is_lost or control.is_overdue:
            return Cause.FENCE
        name, file = found
        run_log.write(Channel.SYSTEM, f"hook {name} starts: {file}, after {reason}")
        try:
            left, words = self._execute(replace(claim, entrypoint=file), control, run_log, reason)
        except RunOverdueError as error:
            left, words = Cause.FENCE, f"was not started: {error}; the next runner runs it"
        except (EnvelopeError, CorruptArtifactError, SandboxError, OSError) as error:
            left, words = None, f"could not run: {error}"
        except Exception:
            log.exception("hook_failed", extra={"strategy_id": claim.strategy_id})
            left, words = None, "could not run: an error of the platform; see its own log"
        run_log.write(Channel.SYSTEM, f"hook {name} {words}")
        return left

    def _execute(
        self, claim: Claim, control: RunControl, run_log: RunLog, reason: Reason
    ) -> tuple[Cause | None, str]:
        secrets = open_secrets(claim, self.opener)
        program = build_program(replace(claim, watchdog={}), secrets, self.terms)
        program = replace(program, env={**program.env, "SEQUENCE_EXIT_REASON": reason})
        until_s = guarded_until(control, self.lease_s)
        sandbox = self.host.spawn(program, run_name=control.hook_name, until_s=until_s)
        supervision = HookSupervision(
            sandbox, self._watch(claim, control, run_log, Redactor(secrets))
        )
        try:
            supervision.watch()
        except BaseException:
            sandbox.kill()
            sandbox.finish()
            raise
        outcome = sandbox.finish()
        tell_refusals(sandbox, run_log)
        words = f"ended with {exit_in_words(outcome.exit_code)}"
        if outcome.overdue or supervision.cause == Cause.FENCE:
            return Cause.FENCE, f"{words}; the next runner runs it again"
        if supervision.cause == Cause.TIME_OUT and supervision.is_hurried:
            return Cause.EVICTION, f"{words}: its runner shuts down; it runs before the next start"
        return None, f"{words}, out of memory" if outcome.oom else words

    def _watch(
        self, claim: Claim, control: RunControl, run_log: RunLog, redactor: Redactor
    ) -> Watch:
        return Watch(
            control=control,
            shutdown_fd=self.shutdown_fd,
            start_s=self.start_s,
            timeout_s=claim.hooks.get("timeout_secs", _TIMEOUT_S),
            silence_s=0,
            grace_s=_GRACE_S,
            eviction_grace_s=_GRACE_S,
            run_log=run_log,
            capture=Capture(run_log, redactor, self.log_rate),
            reader=self.reader,
        )
