"""What becomes of a version after its publish: evidence, notes, lineage, retirement, deletion, and lists of them."""
