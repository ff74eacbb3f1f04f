"""What every endpoint shares: the error envelope, keys, request ids, strict schemas."""
