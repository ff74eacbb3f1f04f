"""Versions of a strategy: what was deployed when, and the way back."""
