"""The documents of a registry, one module for each kind: what it holds, its limits, and how it becomes bytes and back.

manifest (what a version is), head and pages (a model's versions), alias, dossier (what came to a version later),
reviews, evidence and datasets, policy with its gates, deployment, settings (`registry.json`), and the audit trail that
every register carries. `decoders` finds the reader of a key.
"""
