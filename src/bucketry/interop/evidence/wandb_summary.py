"""Finds the metrics in the summary of a run of Weights & Biases (`wandb-summary.json`).

The newest value of each metric, beside marks with an underscore: `_step`, `_runtime`, `_timestamp`, `_wandb`.
"""

from __future__ import annotations

from typing import Any, TypeGuard

HARNESS = {"name": "wandb"}
_MARKS = ("_wandb", "_runtime")


def is_run_summary(value: object) -> TypeGuard[dict[str, Any]]:
    """Return whether a JSON value is the summary of a run."""
    return isinstance(value, dict) and any(mark in value for mark in _MARKS)


def summary_values(value: dict[str, Any]) -> dict[str, Any]:
    """Return what was measured."""
    return {name: inner for name, inner in value.items() if not name.startswith("_")}
