"""What can be asked about a version's manifest and evidence: metrics, parameters, data, parents and notes."""

from __future__ import annotations

import json
from dataclasses import field
from typing import TYPE_CHECKING

from bucketry.frozen import frozen
from bucketry.schema.documents.datasets import IDENTITY, field_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bucketry.schema.documents.dossier import Dossier
    from bucketry.schema.documents.evidence import Evidence, Slice
    from bucketry.schema.documents.head import Row
    from bucketry.schema.documents.manifest import Manifest
    from bucketry.schema.names import ModelName

MOST_METRICS_ASKED = 1_000
MOST_PARAMETERS_ASKED = 1_000
LONGEST_PARAMETER_TEXT = 256
DEEPEST_PARAMETER = 8

MetricKey = tuple[str, "Slice"]


@frozen
class MeasuredValue:
    """A metric's value, and as what it was measured: values of other data or kind do not take its place."""

    value: float
    measured_as: str


@frozen
class Details:
    """What only the manifest and the evidence of a version say, as queries ask for it.

    Parameters are flat, with dots; data sets are names; parents are models and versions.
    """

    metrics: Mapping[MetricKey, float] = field(default_factory=dict)
    parameters: Mapping[str, object] = field(default_factory=dict)
    datasets: Sequence[str] = ()
    parents: Sequence[tuple[ModelName, int]] = ()
    notes: str = ""


def details_of(row: Row, manifest: Manifest, dossier: Dossier, evidence: Iterable[Evidence]) -> Details:
    """Return what can be asked about a version; what its row shows of a metric counts before its evidence."""
    measured = fold_metrics({}, evidence)
    return Details(
        metrics={key: item.value for key, item in measured.items()}
        | {(name, ()): value for name, value in row.metrics.items()},
        parameters=flat_parameters(manifest.training.hyperparameters),
        datasets=dataset_names(manifest),
        parents=tuple((parent.model, parent.version) for parent in manifest.lineage.parents),
        notes=dossier.notes or manifest.notes,
    )


def fold_metrics(
    known: Mapping[MetricKey, MeasuredValue], evidence: Iterable[Evidence]
) -> dict[MetricKey, MeasuredValue]:
    """Return the values after more evidence, in the order of its recording.

    Of several values of one metric and slice counts the newest that was measured as the first was, as for headline
    metrics; the first thousand metrics can be asked about.
    """
    found = dict(known)
    for item in evidence:
        identity = [field_text(item.dataset.get(name)) for name in (*IDENTITY, "digest")]
        measured_as = json.dumps([item.kind, *identity], ensure_ascii=False, sort_keys=True, default=str)
        for metric in item.metrics:
            key = (metric.name, metric.slice_key)
            first = found.get(key)
            if first is None and len(found) >= MOST_METRICS_ASKED:
                continue
            if first is None or first.measured_as == measured_as:
                found[key] = MeasuredValue(metric.value, measured_as)
    return found


def flat_parameters(parameters: Mapping[str, object]) -> dict[str, object]:
    """Return hyperparameters without nesting: `{"optim": {"lr": 1}}` as `optim.lr`, lists as JSON text."""
    flat: dict[str, object] = {}
    for name, value in _flattened(parameters, "", DEEPEST_PARAMETER):
        if len(flat) >= MOST_PARAMETERS_ASKED:
            break
        flat[name] = value
    return flat


def dataset_names(manifest: Manifest) -> tuple[str, ...]:
    """Return the names of the data sets that a version was trained on, each once."""
    names = (str(dataset.get("name") or dataset.get("uri") or "") for dataset in manifest.training.datasets)
    return tuple(dict.fromkeys(name for name in names if name))


def parameter_number(value: object) -> float | None:
    """Return a parameter as a number, if it is one; neither true nor false is."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def parameter_text(value: object) -> str:
    """Return a parameter as it is compared with a text: `true`, `adam`, `0.5`."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text[:LONGEST_PARAMETER_TEXT]


def slice_text(key: Slice) -> str:
    """Return a slice as one text, the same for the same slice; empty for the whole data."""
    return json.dumps(key, ensure_ascii=False) if key else ""


def parse_slice_text(text: str) -> Slice:
    """Return the slice that `slice_text` wrote."""
    return tuple((name, value) for name, value in json.loads(text)) if text else ()


def _flattened(value: object, name: str, levels_left: int) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict) and value and levels_left:
        for key in value:
            yield from _flattened(value[key], f"{name}.{key}" if name else key, levels_left - 1)
    elif name:
        yield name, value
