"""What of the market outlives its process: accounts, positions, graphs, orders and fills."""
