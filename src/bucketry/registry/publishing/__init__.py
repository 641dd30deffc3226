"""How local files become a version.

Which files, what is captured of where they come from, what is refused, and how the version gets its number.
"""
