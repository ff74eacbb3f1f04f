"""Where prices come from: each source acts on the books as a crowd of other traders would."""

from market.sources.mirror import BookMirror, Snapshot
from market.sources.protocol import PriceSource, Print
from market.sources.replay import ReplaySource, read_recording
from market.sources.simulated import SimulatedSource

__all__ = [
    "BookMirror",
    "PriceSource",
    "Print",
    "ReplaySource",
    "SimulatedSource",
    "Snapshot",
    "read_recording",
]
