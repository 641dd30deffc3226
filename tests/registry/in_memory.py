"""A registry in memory with one published, evaluated and reviewed version, and what every reader must still read."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bucketry.client import Registry
from bucketry.errors import RejectedError
from bucketry.index.refresh import refresh_index
from bucketry.index.search import iter_versions_found
from bucketry.index.store import Index
from bucketry.maintenance.fsck.registry import check_registry
from bucketry.registry.core.opening import record_conformance
from bucketry.registry.core.session import Session
from bucketry.registry.serving.auditing import load_audit, load_registry_audit
from bucketry.registry.versions.lifecycle import LabelEdit, edit_model, edit_version
from bucketry.schema.names import parse_model_name
from bucketry.schema.search.query import parse_query
from bucketry.store.contract import Entry, Unconditional
from bucketry.store.memory import MemoryStore
from bucketry.store.probe.probe import ProbeReport

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

ADA = "ada@example.org"
CHAT = "acme/chat"
AT = "2026-03-03T12:00:00Z"


def open_in_memory(files: Path, patch: pytest.MonkeyPatch) -> Registry:
    """Return a registry with version 1, which `production` names; the environment is not captured each time."""
    patch.setattr("bucketry.registry.publishing.publish.capture_environment", lambda: {"python": "3"})
    patch.setattr(
        "bucketry.registry.publishing.publish.capture_code", lambda _: ({"commit": "0" * 40, "dirty": False}, ())
    )
    session = Session(MemoryStore(), ADA)
    probed = ProbeReport("memory", "", datetime.now(UTC), (), None)
    record_conformance(session, probed, create=True)
    registry = Registry(session)
    registry.publish(CHAT, files, metrics={"auc": 0.9}, notes="first")
    registry.promote(f"{CHAT}:1", "production")
    return registry


def content(registry: Registry) -> dict[str, bytes]:
    """Return all that the bucket holds."""
    store = registry.session.store
    return {entry.key: store.get(entry.key).body for entry in store.list("") if isinstance(entry, Entry)}


def copy_of(objects: dict[str, bytes]) -> Registry:
    """Return another registry with the same content."""
    store = MemoryStore()
    for key, body in objects.items():
        store.put(key, body, Unconditional())
    return Registry(Session(store, ADA))


def check_all_readers(registry: Registry) -> None:
    """Read everything that people and servers read, as one who has just come; then change it as people do."""
    fresh = Registry(Session(registry.session.store, ADA))
    report = check_registry(fresh.session)
    assert report.damage == ()
    assert not load_registry_audit(fresh.session).faults
    read = 0
    for model in fresh.models():
        name = str(model.model)
        assert not model.damaged
        assert not model.damaged_aliases
        assert not load_audit(fresh.session, model.model).faults
        for version in list(fresh.versions(name)):
            assert not version.damaged
            read += 1
            fresh.show(f"{name}:{version.version}")
            fresh.lineage(f"{name}:{version.version}")
            fresh.diff(f"{name}:{version.version}", f"{name}:{version.version}")
        for alias in model.aliases:
            fresh.history(name, str(alias.alias))
    with Index(None) as index:  # what the screens read
        refresh_index(index, fresh.session)
        assert len(list(iter_versions_found(index, parse_query("")))) == read


def check_still_changes(registry: Registry, version: int) -> None:
    """Promote, roll back, edit and publish nothing: a version that was acknowledged can be worked with."""
    fresh = Registry(Session(registry.session.store, ADA))
    name = parse_model_name(CHAT)
    edit_version(fresh.session, name, version, notes="after", labels=LabelEdit({"after": "all"}))
    edit_model(fresh.session, name, description="after")
    with suppress(RejectedError):  # where it was retired
        fresh.promote(f"{CHAT}:{version}", "canary")
        fresh.promote(f"{CHAT}:1", "canary")
        fresh.roll_back(CHAT, "canary", to=version)
