"""What do tests of the local index share? A registry that changes at random, and an index as one comparable value."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from bucketry.errors import BucketryError
from bucketry.registry.core.registers import load_head
from bucketry.registry.core.rows import iter_rows
from bucketry.registry.publishing.registration import PreparedVersion, register_version
from bucketry.registry.review.reviewing import ask_for_review
from bucketry.registry.serving.aliases import promote, unset
from bucketry.registry.versions.deletion import delete_version
from bucketry.registry.versions.evaluate import evaluate
from bucketry.registry.versions.lifecycle import LabelEdit, edit_model, edit_version, retire, unretire
from bucketry.schema.documents.evidence import Evidence, Metric
from bucketry.schema.documents.manifest import Training
from bucketry.schema.names import AliasName, ModelName
from simulation.actors import BASE, CHAT, CONTENTS, Uploader, make_manifest
from simulation.scenes import base_parent

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from bucketry.index.store import Index
    from bucketry.registry.core.session import Session

MODELS = (CHAT, BASE, ModelName("default", "plain"), ModelName("risk", "score"))
ALIASES = tuple(AliasName(name) for name in ("production", "staging", "canary"))
AUTHORS = ("Ada@example.org", "ci-1@example.org", "o'brien@example.org")
WORDS = ("risk", "Core", "100%", "a_b", "x' OR '1'='1", "ÄÖ", '"', "\\", "*", "\x1b[2J")
OPERATIONS = "publish publish publish evaluate evaluate promote unset retire unretire label notes describe ask delete"


def change_at_random(session: Session, rng: random.Random, times: int) -> None:
    """Do so many things that people do; what the registry refuses is left undone."""
    for _ in range(times):
        with suppress(BucketryError):
            _do(session, rng, rng.choice(OPERATIONS.split()))


def publish_at_random(session: Session, rng: random.Random, model: ModelName) -> None:
    """Publish a version with metrics, parameters, data, labels and notes; some have a base."""
    parents = (base_parent(1),) if model == CHAT and rng.random() < 0.3 else ()
    made = make_manifest(model, [rng.choice(CONTENTS)], notes=f"{rng.choice(WORDS)} {rng.random()}", parents=parents)
    parameters = {
        "lr": 10.0 ** -rng.randint(1, 4),
        "optim": {"name": rng.choice(["adam", "sgd"])},
        "layers": rng.randint(1, 3),
    }
    evidence = (_evaluation(rng),) if rng.random() < 0.7 else ()
    manifest = replace(
        made,
        created_by=rng.choice(AUTHORS),
        created_at=f"2026-0{rng.randint(1, 9)}-{rng.randint(10, 28)}T0{rng.randint(0, 9)}:00:00.000Z",
        training=Training(parameters, ({"name": f"Fraud-{rng.randint(1, 3)}"},)),
        evidence_at_publish=evidence,
    )
    headline = {metric.name: metric.value for item in evidence for metric in item.metrics if not metric.slice}
    labels = {rng.choice(["team", "Tier"]): rng.choice(WORDS)} if rng.random() < 0.5 else {}
    register_version(session, PreparedVersion(manifest, headline, labels), Uploader(session, model))


def dump(index: Index) -> dict[str, list[tuple[object, ...]]]:
    """Return all that the index says, without the ids that it gave itself."""
    queries = {
        "models": "SELECT name, etag, generation, versions, newest, updated_at, description, labels, directory,"
        " policy FROM models",
        "pages": "SELECT m.name, p.first, p.last, p.page FROM pages p JOIN models m ON m.id = p.model_id",
        "aliases": "SELECT model, alias, etag, generation, version, manifest, before, protected, moved_at, moved_by"
        " FROM aliases",
        "versions": "SELECT m.name, v.version, v.manifest, state, created_at, created_by, size_bytes, v.labels,"
        " metrics, base, dossier, created_us, author, words, pending, evidence, published_notes, notes"
        " FROM versions v JOIN models m ON m.id = v.model_id",
    }
    columns = {
        "labels": "name, value",
        "metrics": "name, slice, value, published, measured_as",
        "parameters": "name, number, text",
        "datasets": "name",
        "parents": "model, version, relation",
    }
    for table, names in columns.items():
        queries[table] = (
            f"SELECT m.name, v.version, {', '.join(f't.{name.strip()}' for name in names.split(','))}"
            f" FROM {table} t JOIN versions v ON v.id = t.version_id JOIN models m ON m.id = v.model_id"
        )
    with index.reading() as connection:
        return {name: sorted(connection.execute(sql), key=repr) for name, sql in queries.items()}


def _do(session: Session, rng: random.Random, kind: str) -> None:
    model = rng.choice(MODELS)
    head = load_head(session, model).state
    if head is None or kind == "publish" or head.next_version == 1:
        publish_at_random(session, rng, model)
        return
    version = rng.choice([row.version for row in iter_rows(session, head)])
    acts: dict[str, Callable[[], object]] = {
        "evaluate": lambda: evaluate(session, model, version, [_evaluation(rng)]),
        "promote": lambda: promote(session, model, version, rng.choice(ALIASES)),
        "unset": lambda: unset(session, model, rng.choice(ALIASES)),
        "retire": lambda: retire(session, model, version),
        "unretire": lambda: unretire(session, model, version),
        "label": lambda: edit_version(session, model, version, labels=LabelEdit({"team": rng.choice(WORDS)})),
        "notes": lambda: edit_version(session, model, version, notes=f"Noted {rng.choice(WORDS)}"),
        "describe": lambda: edit_model(session, model, description=rng.choice(WORDS)),
        "ask": lambda: ask_for_review(session, model, version),
        "delete": lambda: delete_version(session, model, version),
    }
    acts[kind]()


def _evaluation(rng: random.Random) -> Evidence:
    metrics = [Metric(name, round(rng.random(), 2)) for name in ("auc", "loss") if rng.random() < 0.8]
    metrics += [Metric("auc", round(rng.random(), 2), slice={"age": rng.choice(["18-25", "66+"])})]
    return Evidence("automated", tuple(metrics), dataset={"name": f"eval-{rng.randint(1, 2)}"})
