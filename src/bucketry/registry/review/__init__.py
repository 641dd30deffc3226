"""Who decides about a version and what counts: policies, gates, decisions, signatures, and strict readers."""
