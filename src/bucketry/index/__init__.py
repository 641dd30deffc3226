"""The local index: an SQLite file of what is known of a registry, so that lists and searches wait for no bucket.

store (the file), tables and sql; refresh with listing, rows, details, aliases and damage fill it; views, search, order,
fields, standings and review_queue read it.
"""
