"""Artifacts: the uploaded archives, stored by their content's hash and read with suspicion."""
