"""Finds the metrics in what `evaluate.save` of Hugging Face's evaluate library wrote.

The values beside `_evaluate_version`, `_timestamp`, `_git_commit_hash` and other marks with an underscore. The time is
that of some place, which is not told: it is not taken.
"""

from __future__ import annotations

from typing import Any, TypeGuard

MARK = "_evaluate_version"


def is_saved_evaluation(value: object) -> TypeGuard[dict[str, Any]]:
    """Return whether a JSON value was written by `evaluate.save`."""
    return isinstance(value, dict) and MARK in value


def saved_values(value: dict[str, Any]) -> dict[str, Any]:
    """Return what was measured."""
    return {name: inner for name, inner in value.items() if not name.startswith("_")}


def saved_harness(value: dict[str, Any]) -> dict[str, object]:
    """Return which version of the library wrote it."""
    version = value[MARK]
    return {"name": "evaluate", "version": version} if isinstance(version, str) and version else {"name": "evaluate"}
