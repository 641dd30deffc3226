"""Do a version's files lie under their own names, complete or not there, and never once somebody refused it?"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import CorruptError, DeniedError, NotFoundError, RejectedError, UnavailableError, UsageError
from bucketry.maintenance.fsck.registry import check_registry
from bucketry.maintenance.gc.collection import Asked, apply_collection, plan_collection
from bucketry.maintenance.gc.garbage import GarbageReason
from bucketry.registry.core.immutable import put_first
from bucketry.registry.serving.materialize import materialize, plan_materialize, remove_copies
from bucketry.registry.serving.ready import find_ready
from bucketry.schema import keys
from bucketry.schema.documents.ready import ServingSelection, decode_ready, encode_ready
from bucketry.schema.names import parse_model_name, parse_reference
from bucketry.store.contract import Entry, Unconditional
from bucketry.store.memory import MemoryStore
from registry.in_memory import CHAT, content, open_in_memory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bucketry.client import Registry
    from bucketry.store.contract import Body, Folder, Part

MODEL = parse_model_name(CHAT)
FIRST = parse_reference(f"{CHAT}:1")
PRODUCTION = parse_reference(f"{CHAT}@production")
FOLDER = "serve/acme/chat/1/"
READY = f"{FOLDER}.bucketry/ready.json"
WEIGHTS = b"weights " * 1_000
FILES = {
    "config.json": b"{}",
    "model.safetensors": WEIGHTS,
    "empty.txt": b"",
    "parts/same.safetensors": WEIGHTS,
    "optimizer.pt": b"only for training",
}
SERVED = {path: body for path, body in FILES.items() if path != "optimizer.pt"}


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    folder = tmp_path / "files"
    for path, body in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(body)
    return open_in_memory(folder, monkeypatch)


def served(registry: Registry, folder: str = FOLDER) -> dict[str, bytes]:
    found = content(registry)
    return {key.removeprefix(folder): body for key, body in found.items() if key.startswith(folder) and key != READY}


def test_the_files_that_serving_needs_lie_under_their_names_and_then_it_is_said(registry: Registry) -> None:
    done = materialize(registry.session, PRODUCTION)
    assert served(registry) == SERVED
    assert done.uri == "memory:/serve/acme/chat/1"
    assert done.copied_bytes == done.size_bytes == 2 * len(WEIGHTS) + 2
    ready = find_ready(registry.session, FOLDER)
    assert ready is not None
    assert ready.files == done.files
    manifest = done.resolved.manifest
    digests = {artifact.path: artifact.sha256 for artifact in manifest.artifacts}
    assert {file.path: file.sha256 for file in ready.files} == {path: digests[path] for path in SERVED}
    assert check_registry(registry.session, deep=True).findings == ()


def test_the_store_copies_and_no_byte_passes_through_here(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: MemoryStore, key: str, body: Body, *, sha256: str | None = None) -> Entry:
        assert len(body) == 0, key
        return put_blob(self, key, body, sha256=sha256)

    put_blob = MemoryStore.put_blob
    monkeypatch.setattr(MemoryStore, "put_blob", refuse)
    monkeypatch.delattr(MemoryStore, "open_range")
    materialize(registry.session, FIRST)
    assert served(registry) == SERVED


def test_ready_is_written_after_all_files_and_a_killed_one_goes_on(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete, left = MemoryStore.complete_upload, [2]

    def break_off(self: MemoryStore, key: str, upload: str, parts: Sequence[Part]) -> None:
        assert READY not in content(registry)
        if not left[0]:
            raise DeniedError("enough")
        left[0] -= 1
        complete(self, key, upload, parts)

    monkeypatch.setattr(MemoryStore, "complete_upload", break_off)
    with pytest.raises(DeniedError):
        materialize(registry.session, FIRST)
    assert READY not in content(registry)
    monkeypatch.undo()
    assert materialize(registry.session, FIRST).copied_bytes < len(WEIGHTS) + 2
    assert served(registry) == SERVED


def test_once_more_copies_nothing_and_mends_what_is_missing_or_short(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def complete(self: MemoryStore, key: str, upload: str, parts: Sequence[Part]) -> None:
        assert READY not in content(registry)
        complete_upload(self, key, upload, parts)

    complete_upload = MemoryStore.complete_upload
    monkeypatch.setattr(MemoryStore, "complete_upload", complete)
    store = registry.session.store
    materialize(registry.session, FIRST)
    before = content(registry)
    assert materialize(registry.session, FIRST).copied_bytes == 0
    store.delete(f"{FOLDER}config.json")
    store.put(f"{FOLDER}model.safetensors", b"short", Unconditional())
    assert plan_materialize(registry.session, FIRST).copied_bytes == len(WEIGHTS) + 2
    assert materialize(registry.session, FIRST).copied_bytes == len(WEIGHTS) + 2
    assert content(registry) == before


def test_a_plan_writes_nothing(registry: Registry) -> None:
    before = content(registry)
    plan = plan_materialize(registry.session, PRODUCTION)
    assert (plan.copied_bytes, {file.path for file in plan.files}) == (2 * len(WEIGHTS) + 2, set(SERVED))
    assert content(registry) == before


def test_another_selection_has_another_folder(registry: Registry) -> None:
    selection = ServingSelection(include=("*.pt",))
    done = materialize(registry.session, FIRST, selection)
    folder = keys.serve_folder(MODEL, 1, selection.name)
    assert done.uri.endswith(f"/serve/acme/chat/1-{selection.name}")
    assert served(registry, folder)["optimizer.pt"] == FILES["optimizer.pt"]
    assert READY not in content(registry)
    with pytest.raises(NotFoundError, match="no file of acme/chat:1 is to be served"):
        materialize(registry.session, FIRST, ServingSelection(include=("nothing",)))


def test_a_model_s_name_alone_is_refused(registry: Registry) -> None:
    for bare in (materialize, plan_materialize, remove_copies):
        with pytest.raises(UsageError, match="names a model, not a version"):
            bare(registry.session, parse_reference(CHAT))
    materialize(registry.session, parse_reference(f"{CHAT}@latest"))


def test_a_refused_version_is_refused_by_alias_and_by_number(registry: Registry) -> None:
    registry.review(f"{CHAT}:1", "approve")
    registry.review(f"{CHAT}:1", "revoke", comment="leaks")
    for reference in (PRODUCTION, FIRST):
        with pytest.raises(RejectedError, match="revoked"):
            materialize(registry.session, reference)
    assert served(registry) == {}


def test_a_refusal_takes_away_what_says_that_it_is_ready_in_every_selection(registry: Registry) -> None:
    selection = ServingSelection(exclude=("empty.txt",))
    materialize(registry.session, FIRST)
    materialize(registry.session, FIRST, selection)
    registry.review(f"{CHAT}:1", "reject", comment="leaks")
    assert not [key for key in content(registry) if key.endswith("ready.json")]
    assert served(registry) == SERVED


def test_a_refusal_meanwhile_leaves_nothing_that_is_ready(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    def put_late(*arguments: object, **named: object) -> object:
        registry.review(f"{CHAT}:1", "reject", comment="leaks")
        return put_first(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr("bucketry.registry.serving.materialize.put_first", put_late)
    with pytest.raises(RejectedError, match="rejected"):
        materialize(registry.session, FIRST)
    assert READY not in content(registry)


class WithoutRights(MemoryStore):
    """A bucket in which this user may not look below `serve/`."""

    def list(self, prefix: str, *, delimiter: str | None = None) -> Iterator[Entry | Folder]:
        if prefix.startswith(keys.SERVE):
            raise DeniedError("serve/ may not be listed")
        return super().list(prefix, delimiter=delimiter)


def test_who_may_not_withdraw_can_refuse_all_the_same_and_is_told(registry: Registry) -> None:
    materialize(registry.session, FIRST)
    store = WithoutRights()
    for key, body in content(registry).items():
        store.put(key, body, Unconditional())
    reviewer = type(registry)(replace(registry.session, store=store))
    decided = reviewer.review(f"{CHAT}:1", "reject", comment="leaks")
    assert decided.not_withdrawn == "serve/ may not be listed"
    assert [str(alias) for alias in decided.reached] == ["production"]


def test_a_refusal_that_cannot_reach_the_store_is_done_again(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    materialize(registry.session, FIRST)

    def away(_: MemoryStore, key: str) -> None:
        raise UnavailableError(f"{key} cannot be reached")

    with monkeypatch.context() as patch:
        patch.setattr(MemoryStore, "delete", away)
        with pytest.raises(UnavailableError, match="on record"):
            registry.review(f"{CHAT}:1", "reject", comment="leaks")
    assert READY in content(registry)
    registry.review(f"{CHAT}:1", "reject", comment="leaks")
    assert READY not in content(registry)


def test_what_somebody_else_wrote_as_ready_is_not_believed(registry: Registry) -> None:
    materialize(registry.session, FIRST)
    store = registry.session.store
    ready = decode_ready(store.get(READY).body, what=READY)
    foreign = replace(ready, files=(*ready.files, replace(ready.files[0], path="more.json")))
    store.put(READY, encode_ready(foreign), Unconditional())
    with pytest.raises(CorruptError, match="is not about the files of acme/chat:1"):
        materialize(registry.session, FIRST)
    store.put(READY, json.dumps({"format": 1}).encode(), Unconditional())
    with pytest.raises(CorruptError):
        materialize(registry.session, FIRST)
    remove_copies(registry.session, FIRST)
    assert materialize(registry.session, FIRST).files == ready.files


def test_the_check_tells_what_is_ready_and_not_there_and_what_lies_there_for_nobody(registry: Registry) -> None:
    session, store = registry.session, registry.session.store

    def told() -> list[tuple[str, str]]:
        return [(finding.grade, finding.key) for finding in check_registry(session).findings]

    materialize(session, FIRST)
    store.delete(f"{FOLDER}config.json")
    store.put(f"{FOLDER}empty.txt", b"not empty", Unconditional())
    assert told() == [("damage", f"{FOLDER}config.json"), ("damage", f"{FOLDER}empty.txt")]
    materialize(session, FIRST)
    assert told() == []
    store.put("serve/stray", b"?", Unconditional())
    assert told() == [("garbage", "serve/stray")]
    store.delete("serve/stray")
    store.put(READY, b"{}", Unconditional())
    assert told() == [("damage", READY)]
    store.delete(READY)
    assert told() == [("garbage", FOLDER)]
    materialize(session, FIRST)
    registry.review(f"{CHAT}:1", "reject", comment="leaks")
    assert told() == [("garbage", FOLDER), ("garbage", FOLDER)]


def test_removing_takes_every_selection_and_first_what_says_that_it_is_ready(registry: Registry) -> None:
    before = content(registry)
    materialize(registry.session, FIRST)
    materialize(registry.session, FIRST, ServingSelection(exclude=("empty.txt",)))
    removed = remove_copies(registry.session, FIRST)
    assert (len(removed.folders), removed.objects, removed.freed_bytes) == (2, 7, 2 * (2 * len(WEIGHTS) + 2))
    assert content(registry) == before


def test_gc_frees_copies_of_a_refused_version_alone(registry: Registry) -> None:
    session, asked = registry.session, Asked(grace_seconds=0.0)
    materialize(session, FIRST)
    assert apply_collection(session, asked).totals == {}
    assert find_ready(session, FOLDER) is not None
    ready = session.store.get(READY).body
    registry.review(f"{CHAT}:1", "reject", comment="leaks")
    session.store.put(READY, ready, Unconditional())  # as where the reviewer had no right to take it away
    assert plan_collection(session).totals == {}
    freed = apply_collection(session, asked)
    assert freed.totals[CHAT, GarbageReason.SERVED_COPY].objects == len(SERVED) + 1
    assert not [key for key in content(registry) if key.startswith(keys.SERVE)]


def test_gc_takes_away_what_says_that_copies_are_ready_before_any_of_them(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    materialize(registry.session, FIRST)
    ready = registry.session.store.get(READY).body
    registry.review(f"{CHAT}:1", "reject", comment="leaks")
    registry.session.store.put(READY, ready, Unconditional())
    registry.session.store.put(f"{FOLDER}+first.json", b"before it in a listing", Unconditional())
    delete, deleted = MemoryStore.delete, list[str]()

    def note(self: MemoryStore, key: str) -> None:
        deleted.append(key)
        delete(self, key)

    monkeypatch.setattr(MemoryStore, "delete", note)
    apply_collection(registry.session, Asked(grace_seconds=0.0))
    assert deleted[0] == READY
