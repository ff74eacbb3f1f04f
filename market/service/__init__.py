"""The market process: keeps the books, matches, and is the only writer of the market's rows."""
