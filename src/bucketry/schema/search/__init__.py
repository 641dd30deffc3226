"""Queries: what somebody asks for (query), what can be asked about a version (details), and whether it fits (match)."""
