"""Whether a store keeps the promises that a registry stands on: tried by one writer (checks) and by many (races)."""
