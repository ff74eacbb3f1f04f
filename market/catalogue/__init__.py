"""What is listed: pairs and prediction markets, found by name, token or event."""

from market.catalogue.listings import Catalogue, Listing
from market.catalogue.simulated import SPOT_PAIRS, simulated_catalogue

__all__ = ["SPOT_PAIRS", "Catalogue", "Listing", "simulated_catalogue"]
