"""How long the proofs take: seconds in the suite, all of it with `make proof`."""

import os
import random

IS_WHOLE = os.environ.get("PROOF_WHOLE") == "1"
SEED = int(os.environ.get("PROOF_SEED") or (random.randrange(1 << 32) if IS_WHOLE else 1))
CROWD_S = 60.0 if IS_WHOLE else 3.0
BODIES = 5_000 if IS_WHOLE else 100
"""On each of the two databases."""
