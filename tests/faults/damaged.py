"""A registry with something of everything in it, and every way to damage one object of it."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bucketry.clock import Clock
from bucketry.registry.core.opening import probe_store, record_conformance
from bucketry.registry.core.registers import load_existing_head
from bucketry.registry.core.rows import iter_rows
from bucketry.registry.core.session import Session
from bucketry.registry.publishing.registration import PreparedVersion, register_version
from bucketry.registry.review.policies import set_policy
from bucketry.registry.review.reviewing import decide
from bucketry.registry.serving.aliases import promote
from bucketry.registry.versions.evaluate import evaluate
from bucketry.registry.versions.lifecycle import edit_version
from bucketry.schema import keys
from bucketry.schema.codec import digest_of
from bucketry.schema.documents.deployment import Deployment, Place, encode_deployment
from bucketry.schema.documents.evidence import Evidence, Metric
from bucketry.schema.documents.manifest import Parent, Training
from bucketry.schema.documents.policy import parse_policy_toml
from bucketry.schema.documents.reviews import Action
from bucketry.schema.names import AliasName, ModelName
from bucketry.store.contract import Entry, ObjectNotFoundError, Unconditional
from bucketry.store.memory import MemoryStore
from simulation.actors import CONTENTS, Uploader, make_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from bucketry.schema.names import Digest

SCORE = ModelName("risk", "score")
"""The model with a sealed page, sealed history, two policies, reviews, evidence and notes."""
BASE, CHILD = ModelName("acme", "base"), ModelName("acme", "child")
PLAIN = ModelName("default", "plain")
PRODUCTION, STAGING = AliasName("production"), AliasName("staging")
NEWEST = 130
NOW = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)
LONG_REASON = "a reason that has no room in its record, so that it becomes a note of its own: " * 3
POLICY = """
approvals_required = 1
protected_aliases = ["production"]
[[gate]]
metric = "auc"
at_least = 0.1
"""


@dataclass(frozen=True)
class Scene:
    """The registry, and what it held before anything was damaged."""

    store: MemoryStore
    bodies: Mapping[str, bytes]
    versions: Mapping[ModelName, Mapping[int, Digest]]
    dossiers: Mapping[Digest, tuple[ModelName, int]]

    def restore(self) -> None:
        """Put everything back."""
        there = {entry.key for entry in self.store.list("") if isinstance(entry, Entry)}
        for key in there - set(self.bodies):
            self.store.delete(key)
        for key, body in self.bodies.items():
            if key not in there or self.store.get(key).body != body:
                self.store.put(key, body, Unconditional())

    def touched(self, key: str) -> tuple[ModelName | None, frozenset[int]]:
        """Return the model that an object is about, and the versions of it that are not whole without the object."""
        kind, _, rest = key.partition("/")
        if kind in {"registry.json", "policies", "deployments"} or "/" not in rest:
            return None, frozenset()
        namespace, name, *below = rest.removesuffix(".json").split("/")
        model = ModelName(namespace, name)
        versions = self.versions.get(model, {})
        if kind in {"heads", "aliases", "history"}:
            return model, frozenset(versions if kind == "heads" else ())
        if kind == "pages":
            return model, self._touched_by_page(model, below[0])
        return model, frozenset(version for version, manifest in versions.items() if manifest == below[0])

    def _touched_by_page(self, model: ModelName, digest: str) -> frozenset[int]:
        document = json.loads(self.bodies[f"{keys.PAGES}{model.namespace}/{model.name}/{digest}.json"])
        if "rows" in document:
            return frozenset(row["version"] for row in document["rows"])
        if "pages" in document:
            return frozenset(range(1, document["pages"][-1]["last"] + 1))
        owner = next((version for found, (_, version) in self.dossiers.items() if found == digest), None)
        return frozenset() if owner is None else frozenset({owner})


def make_scene() -> Scene:
    """Make the registry, in memory."""
    store = MemoryStore(clock=lambda: NOW)
    session = _session(store, "ops@example.org")
    record_conformance(session, probe_store(session), create=True)
    set_policy(session, None, parse_policy_toml('headline_metrics = ["auc"]', what="p"))
    for model, count in ((PLAIN, 2), (BASE, 2), (SCORE, NEWEST)):
        for version in range(1, count + 1):
            _publish(session, model, version)
    _publish(session, CHILD, 1)
    _publish(session, CHILD, 2, base=load_existing_head(session, BASE).rows[0].manifest)
    for version in range(1, 70):
        promote(session, SCORE, version, STAGING, reason=LONG_REASON if version % 16 == 0 else "next")
    set_policy(session, SCORE, parse_policy_toml("approvals_required = 2", what="p"))
    set_policy(session, SCORE, parse_policy_toml(POLICY, what="p"))
    for version, action in ((120, Action.APPROVE), (121, Action.APPROVE), (122, Action.REQUEST), (10, Action.REQUEST)):
        _decide(store, SCORE, version, action)
    _decide(store, SCORE, 123, Action.REJECT)
    promote(session, SCORE, 120, PRODUCTION)
    promote(session, SCORE, 121, PRODUCTION, reason=LONG_REASON)
    promote(session, PLAIN, 2, PRODUCTION)
    for version in (11, 122, 124):
        evaluate(session, SCORE, version, (Evidence("automated", (Metric("recall", 0.5 + version / 1_000),)),))
    edit_version(session, SCORE, 125, notes="looked at by hand")
    for model, version, alias in ((SCORE, 121, PRODUCTION), (SCORE, 69, STAGING), (PLAIN, 2, PRODUCTION)):
        _report(session, model, version, alias)
    bodies = {entry.key: store.get(entry.key).body for entry in store.list("") if isinstance(entry, Entry)}
    models = (PLAIN, BASE, CHILD, SCORE)
    rows = {model: list(iter_rows(session, load_existing_head(session, model))) for model in models}
    return Scene(
        store,
        bodies,
        {model: {row.version: row.manifest for row in found} for model, found in rows.items()},
        {row.dossier: (model, row.version) for model, found in rows.items() for row in found if row.dossier},
    )


def _cut(body: bytes) -> bytes:
    return body[: len(body) // 2]


def _not_json(_: bytes) -> bytes:
    return b"<html><body>503 Slow Down</body></html>"


def _newer(body: bytes) -> bytes:
    return json.dumps(json.loads(body) | {"format": 2}).encode()


def _of_another_kind(_: bytes) -> bytes:
    return b'{"format":1,"hello":"world"}'


def _empty(_: bytes) -> bytes:
    return b""


DAMAGES: Mapping[str, Callable[[bytes], bytes] | None] = {
    "cut": _cut,
    "not JSON": _not_json,
    "newer": _newer,
    "another kind": _of_another_kind,
    "empty": _empty,
    "missing": None,
}


def damage(store: MemoryStore, key: str, how: str) -> None:
    """Damage the object at a key where it lies."""
    change = DAMAGES[how]
    if change is None:
        store.delete(key)
    else:
        store.put(key, change(store.get(key).body), Unconditional())


def write_wrongly(store: MemoryStore, key: str, field: str) -> None:
    """Put a value of a wrong type into a field, as a faulty writer would: all digests above say the new bytes."""
    document = json.loads(store.get(key).body)
    document[field] = 5 if not isinstance(document[field], int | float) else ["x"]
    _rewrite(store, key, json.dumps(document, sort_keys=True, separators=(",", ":")).encode())


def _rewrite(store: MemoryStore, key: str, body: bytes) -> None:
    name = key.rpartition("/")[2].removesuffix(".json")
    if len(name) != 64:
        store.put(key, body, Unconditional())
        return
    new = digest_of(body)
    store.delete(key)
    store.put(key.replace(name, new), body, Unconditional())
    for above in _naming(store, name):
        if above != key.replace(name, new):
            _rewrite(store, above, store.get(above).body.replace(name.encode(), new.encode()))


def _naming(store: MemoryStore, digest: str) -> Iterator[str]:
    """Yield the keys of the documents that name a digest now, but for sealed records, which say what once was."""
    for entry in list(store.list("")):
        if isinstance(entry, Entry) and entry.key.endswith(".json") and not entry.key.startswith(keys.HISTORY):
            with suppress(ObjectNotFoundError):  # rewritten meanwhile
                if digest.encode() in store.get(entry.key).body:
                    yield entry.key


def _session(store: MemoryStore, actor: str) -> Session:
    return Session(store, actor, Clock(now=lambda: NOW))


def _publish(session: Session, model: ModelName, version: int, *, base: Digest | None = None) -> None:
    parents = (Parent(BASE, 1, base, "finetune"),) if base is not None else ()
    made = make_manifest(model, [CONTENTS[1]], notes=f"number {version}", parents=parents)
    evidence = Evidence("automated", (Metric("auc", 0.8 + version / 1_000, direction="higher"),))
    manifest = replace(
        made, training=Training({"lr": 0.001 * version}), evidence_at_publish=(evidence,), created_by=session.actor
    )
    headline = {"auc": 0.8 + version / 1_000}
    register_version(session, PreparedVersion(manifest, headline, {"team": "risk"}), Uploader(session, model))


def _decide(store: MemoryStore, model: ModelName, version: int, action: Action) -> None:
    session = _session(store, "rev@example.org")
    decide(session, model, version, action, comment="looked at")


def _report(session: Session, model: ModelName, version: int, alias: AliasName) -> None:
    rows = iter_rows(session, load_existing_head(session, model))
    manifest = next(row.manifest for row in rows if row.version == version)
    deployment = Deployment(
        session.registry.registry,
        model,
        version,
        manifest,
        Place("prod", f"node-{model.name}-{alias}"),
        session.actor,
        session.clock.timestamp(),
        "sha256",
        1,
        4,
        complete=True,
        client="test",
        alias=alias,
        generation=1,
    )
    session.store.put(deployment.key, encode_deployment(deployment), Unconditional())
