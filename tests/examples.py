"""How many examples does a property test draw that draws more or fewer than others?"""

from __future__ import annotations

from hypothesis import settings

HUNDRED = 100
"""What the profile `deep` draws."""
FEWEST = 5


def of_hundred(count: int) -> int:
    """Return how many examples a test draws that draws so many in depth: everyday fewer, in a search more."""
    return max(FEWEST, count * settings().max_examples // HUNDRED)
