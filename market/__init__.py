"""The paper market: books, matching, prices and orders that strategies trade against.

Imports nothing of the platform: the web process and the `market` process build on it.
"""
