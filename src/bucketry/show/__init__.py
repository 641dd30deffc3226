"""Values become lines of text here, for the command line and for the screens alike: pure, without terminal or toolkit.

`spans` is what a line is, `figures` how numbers, sizes and times read, `tables` rows in columns, `lists` the columns of
models and versions. The other modules each show one thing: a comparison, a version, what waits for a review.
"""
