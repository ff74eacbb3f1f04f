"""What a client may use of the platform, and what it uses."""
