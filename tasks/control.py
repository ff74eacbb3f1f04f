"""What other threads tell the thread that supervises a run, and the runs of this process."""

import os
import threading
import time
from dataclasses import dataclass, field


@dataclass
class RunControl:
    """The mailbox of one run; `fd` becomes readable when something was put into it.

    Attributes:
        fence_at: monotonic time at which the run must be dead, unless the lease was renewed.
        run_id: of the claim; what the sandbox of its program is called.
    """

    strategy_id: str
    epoch: int
    fence_at: float
    run_id: str = ""
    fd: int = field(default_factory=lambda: os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC))
    stop_requested: bool = False
    is_lost: bool = False

    @property
    def hook_name(self) -> str:
        """What the sandbox of its hook is called."""
        return f"{self.run_id}-hook"

    @property
    def sandboxes(self) -> tuple[str, str]:
        """Everything that must not outlive the lease."""
        return self.run_id, self.hook_name

    def request_stop(self) -> None:
        """The owner wants it to end."""
        if not self.stop_requested:
            self.stop_requested = True
            os.eventfd_write(self.fd, 1)

    def lose(self) -> None:
        """The row belongs to somebody else by now."""
        self.is_lost = True
        os.eventfd_write(self.fd, 1)

    def acknowledge(self) -> None:
        """Empty the mailbox after its flags were read."""
        try:
            os.eventfd_read(self.fd)
        except BlockingIOError:
            return

    @property
    def is_overdue(self) -> bool:
        """Whether the lease may be somebody else's by now."""
        return time.monotonic() >= self.fence_at


class Registry:
    """The runs of this process, by strategy; safe for use from any thread."""

    def __init__(self) -> None:
        self._runs: dict[str, RunControl] = {}
        self._changed = threading.Condition()

    def add(self, control: RunControl) -> None:
        """A run begins."""
        with self._changed:
            self._runs[control.strategy_id] = control

    def remove(self, control: RunControl) -> None:
        """A run is over and its row says so."""
        with self._changed:
            if self._runs.get(control.strategy_id) is control:
                del self._runs[control.strategy_id]
            self._changed.notify_all()
        os.close(control.fd)

    def snapshot(self) -> list[RunControl]:
        """All runs at this moment."""
        with self._changed:
            return list(self._runs.values())

    def apply(self, control: RunControl, *, fence_at: float | None, stop: bool) -> None:
        """Pass on what a heartbeat learned; `fence_at` None means that the row is not ours."""
        with self._changed:
            if self._runs.get(control.strategy_id) is not control:
                return
            if fence_at is None:
                control.lose()
                return
            control.fence_at = max(control.fence_at, fence_at)
            if stop:
                control.request_stop()

    def wait_until_empty(self, timeout_s: float) -> bool:
        """Whether every run was over within this time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._runs, timeout_s)
