"""Frees what nobody needs: collection.py walks, model.py frees blobs, kinds.py is the table of what is freed besides.

marks.py says which blobs are needed, passes.py which models did not change; garbage.py has the values.
"""
