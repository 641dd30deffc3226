"""What other programs write when they evaluate a model, one module for each format; `files` finds out which it is."""
