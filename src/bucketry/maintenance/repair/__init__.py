"""Mends what fsck finds, from what is there: `plan.py` says what it would do, and does it."""
