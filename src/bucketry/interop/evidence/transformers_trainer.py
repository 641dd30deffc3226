"""Reads what the Trainer of transformers evaluated, as its `trainer_state.json` remembers it.

`log_history` has a table for each time something was logged: losses of training, and `eval_accuracy` and the like. Of
each metric of an evaluation the newest step counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

from bucketry.errors import CorruptError
from bucketry.schema.documents.evidence import Evidence
from bucketry.schema.foreign_values import NoValueError, make_metric, read_number

if TYPE_CHECKING:
    from bucketry.schema.foreign_values import LeftOut

HARNESS = {"name": "transformers Trainer"}
_MEASURED = ("eval_", "test_", "predict_", "train_loss")
_SPEEDS = ("_runtime", "_samples_per_second", "_steps_per_second", "_time", "_samples", "_model_preparation_time")
"""How long it took, which says nothing about the model."""


def is_trainer_state(value: object) -> TypeGuard[dict[str, Any]]:
    """Return whether a JSON value is the state of a Trainer."""
    return isinstance(value, dict) and isinstance(value.get("log_history"), list) and "global_step" in value


def read_trainer_state(state: dict[str, Any], left_out: LeftOut, *, what: str) -> Evidence:
    """Return the newest value of each metric that was evaluated; raise `CorruptError` where none was."""
    newest: dict[str, tuple[float, str, object]] = {}
    for at, row in enumerate(state["log_history"]):
        if not isinstance(row, dict):
            left_out.add(f"log_history[{at}]", "is not a table")
            continue
        try:
            step = read_number(row.get("step", 0))
        except NoValueError as fault:
            left_out.add(f"log_history[{at}].step", str(fault))
            continue
        for name, value in row.items():
            is_measured = name.startswith(_MEASURED) and not name.endswith(_SPEEDS)
            if is_measured and (name not in newest or step >= newest[name][0]):
                newest[name] = (step, f"log_history[{at}].{name}", value)
    if not newest:
        raise CorruptError(
            f"{what} is recognised as the state of a Trainer, but nothing was evaluated in it (no eval_...)",
            advice="give all_results.json or eval_results.json, or evaluate while training",
        )
    metrics = [make_metric(left_out, place, name, value) for name, (_, place, value) in newest.items()]
    return Evidence("automated", tuple(metric for metric in metrics if metric is not None), harness=HARNESS)
