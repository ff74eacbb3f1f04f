"""The web side: HTTP API, sealed secrets, and the rows that are the truth about every strategy."""
