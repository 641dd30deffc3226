"""Work that several machines share: planning.py makes shards, running.py does one, collecting.py folds their results.

schedulers.py does all three at once, on processes of this machine or on an engine.
"""
