"""A strategy's folder: its Sequence.toml, its files, and the deploy request made of them."""
