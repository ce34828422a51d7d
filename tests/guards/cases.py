"""How many cases a guard tries: a few in every run of the suite, many at night, as many as one likes by hand.

python -m pytest -m nightly tests/guards
MASKMEND_CASES=500 python -m pytest -m nightly tests/guards -k leak
"""

import os
from collections import Counter

TRIED: Counter[str] = Counter()
"""Cases tried in this session by name of the guard; printed at its end (see `conftest`)."""


def cases(at_night: int) -> int:
    """`at_night`, or what MASKMEND_CASES says."""
    return int(os.environ.get("MASKMEND_CASES", at_night))
