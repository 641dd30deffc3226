"""How do the neighbours' formats become ours, and ours theirs? One file for each neighbour."""
