"""Examines a store for a registry: examine.py (all of it, judged), rights.py, settings.py (of the bucket), speed.py."""
