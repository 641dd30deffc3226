"""How fast, how long and by how many threads: concurrency, limits, patience, progress and controls."""
