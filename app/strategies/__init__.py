"""Strategies: their rows, their states, and what may be asked of them."""
