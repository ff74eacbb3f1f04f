"""Logs of strategies: how lines lie in Redis, and how they are read and followed."""
