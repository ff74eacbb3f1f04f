"""What the README promises in figures, measured: `make bench`."""
