"""The past of a strategy: its runs, and everything that ever happened to it."""
