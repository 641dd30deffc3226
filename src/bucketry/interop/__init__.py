"""The neighbours' formats, and how they become ours: one folder or file for each kind of neighbour."""
