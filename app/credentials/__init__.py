"""Keys of venues, as their clients store them: sealed, never returned."""
