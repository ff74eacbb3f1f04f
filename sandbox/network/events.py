"""What befalls the network of running programs."""

from __future__ import annotations

from dataclasses import dataclass

_SAID = {
    "uplink_lost": "the connection to the internet was lost ({}); it is being made anew",
    "uplink_failed": "the connection to the internet cannot be made ({}); trying again",
    "uplink_up": "the connection to the internet is there again",
    "helper_restarted": "the network helper was restarted ({}); connections may have broken",
}


@dataclass(frozen=True)
class NetworkEvent:
    """`kind`: `uplink_lost`, `uplink_failed`, `uplink_up` (again) or `helper_restarted`. `runs`:
    the names of the running programs that it touches."""

    kind: str
    detail: str
    runs: tuple[str, ...]

    @property
    def message(self) -> str:
        """One line for the log of each of `runs`."""
        return _SAID[self.kind].format(self.detail)
