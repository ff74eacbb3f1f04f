"""API keys, as their clients manage them."""
