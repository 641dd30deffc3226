"""Moves many bytes between a bucket and a disk, fast, and verified before they count."""
