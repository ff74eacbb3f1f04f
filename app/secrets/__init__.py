"""Sealing of secrets: the web tier can close envelopes, only runners can open them."""
