"""Where prices come from: each source acts on the books as a crowd of other traders would."""

from market.sources.protocol import PriceSource, Print
from market.sources.replay import ReplaySource, Snapshot, read_recording
from market.sources.simulated import SimulatedSource

__all__ = [
    "PriceSource",
    "Print",
    "ReplaySource",
    "SimulatedSource",
    "Snapshot",
    "read_recording",
]
