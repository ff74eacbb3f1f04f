"""One module per command: typed arguments in, exit status out."""
