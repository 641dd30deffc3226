"""Copies a registry: `mirror.py` is the whole pass; `survey.py` finds what moved, `reach.py` what that names."""
