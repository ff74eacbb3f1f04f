"""The progress watchdog: a strategy that says nothing for too long shows its stacks and ends."""

import time
from dataclasses import dataclass, field

from app.logs.stream import Channel
from sandbox import Sandbox
from tasks.logs.run_log import RunLog

_STACKS_WITHIN_S = 2.0
_STACKS_OVER_AFTER_S = 0.2
_NEVER = float("inf")


@dataclass
class Watchdog:
    """Listens to one run from now on; `silence_s` 0 never bites.

    Any output is a sign of life, a whole line or not.

    Attributes:
        due_at: monotonic time of the next `bites` that can change anything.
        stalled_s: how long it had been silent when it counted as stalled; not a part of its life.
    """

    sandbox: Sandbox
    run_log: RunLog
    silence_s: float
    stalled_s: float = 0.0
    due_at: float = _NEVER
    _stacks_until: float | None = field(default=None)

    def __post_init__(self) -> None:
        if self.silence_s > 0:
            self.due_at = time.monotonic() + self.silence_s

    def heard(self) -> None:
        """There was output; once the stacks were asked for it is them."""
        if self.due_at == _NEVER:
            return
        now = time.monotonic()
        if self._stacks_until is None:
            self.due_at = now + self.silence_s
        else:
            self.due_at = min(self._stacks_until, now + _STACKS_OVER_AFTER_S)

    def rest(self) -> None:
        """The run is being ended: its silence means nothing any more."""
        self.due_at = _NEVER

    def bites(self, now: float) -> bool:
        """Whether it is time to end the run; before that its stacks are asked for and awaited."""
        if now < self.due_at:
            return False
        if self._stacks_until is None and self._ask(now):
            return False
        self.rest()
        return True

    def _ask(self, now: float) -> bool:
        self.stalled_s = self.silence_s
        self.run_log.write(
            Channel.SYSTEM,
            f"no output for {self.silence_s:g} s (hosted.watchdog.silence_secs): it counts as "
            "stalled; the stacks of its Python threads follow",
        )
        self._stacks_until = self.due_at = now + _STACKS_WITHIN_S
        is_asked = self.sandbox.ask_for_stacks()
        if not is_asked:
            self.run_log.write(
                Channel.SYSTEM, "its first process is not a Python that could show its stacks"
            )
        return is_asked
