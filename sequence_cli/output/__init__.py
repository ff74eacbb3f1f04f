"""What the user sees: tables, words for states, log lines."""
