"""A registry, or a part of it, as one file: for sites without a network, and for backups."""
