"""What the trading commands share: amounts, the body of an order, and what it would cost."""
