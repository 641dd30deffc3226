"""Is every document decoded from the very bytes that are about to be written, in one place that nobody goes round?"""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import bucketry
from bucketry.errors import UsageError
from bucketry.registry.core.commit import Change
from bucketry.registry.core.immutable import Immutable
from bucketry.registry.core.registers import commit_head, load_existing_head
from bucketry.registry.core.writing import Readable
from bucketry.registry.review.policies import set_policy
from bucketry.registry.versions.lifecycle import edit_version
from bucketry.schema import keys
from bucketry.schema.codec import digest_of, encode
from bucketry.schema.documents.audit import AuditAction
from bucketry.schema.documents.deployment import Deployment, Place, encode_deployment
from bucketry.schema.documents.pages import Directory, Page, PageEntry, encode_directory, encode_page
from bucketry.schema.documents.policy import Policy
from bucketry.schema.names import Digest, parse_model_name
from registry.in_memory import ADA, AT, CHAT, content, open_in_memory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bucketry.client import Registry
    from bucketry.schema.documents.head import Head

NAME = parse_model_name(CHAT)
SCRATCH_WRITERS = frozenset({"maintenance/doctor/examine.py", "maintenance/doctor/speed.py"})
WRITES = {"put", "put_blob", "start_upload", "upload_part", "copy_part", "complete_upload"}
SOURCE = Path(bucketry.__file__).parent


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    files = tmp_path_factory.mktemp("files")
    (files / "weights.bin").write_bytes(b"weights")
    with pytest.MonkeyPatch.context() as patch:
        yield open_in_memory(files, patch)


@pytest.fixture(scope="module")
def documents(registry: Registry) -> dict[str, bytes]:
    """Return documents of every kind, as the program wrote them, by their keys."""
    session = registry.session
    registry.evaluate(f"{CHAT}:1", metrics={"f1": 0.5})
    registry.review(f"{CHAT}:1", "approve", comment="a reason that is so long that it becomes a note of its own " * 2)
    set_policy(session, NAME, Policy(approvals_required=1))
    for number in range(70):
        edit_version(session, NAME, 1, notes=f"note {number}")
    page = encode_page(Page(load_existing_head(session, NAME).rows))
    directory = encode_directory(Directory((PageEntry(1, 1, digest_of(page), "", ""),)))
    told = Deployment(
        "11111111-1111-4111-8111-111111111111", NAME, 1, Digest("0" * 64), Place("eu", "a"), ADA, AT, "sha256", 1, 7,
        complete=True, client="test",
    )  # fmt: skip
    written = {key: body for key, body in content(registry).items() if not key.startswith("blobs/")}
    crafted = {keys.page(NAME, digest_of(body)): body for body in (page, directory)}
    return written | crafted | {told.key: encode_deployment(told)}


def kind_of(key: str, body: bytes) -> str:
    """Return the kind of document, and in `pages/` which of the four it is."""
    kind = key.partition("/")[0]
    if kind != "pages":
        return kind
    document = json.loads(body)
    return next(f"pages of {name}" for name in ("rows", "pages", "manifest", "text") if name in document)


def test_each_kind_of_document_that_the_program_writes_is_read_before_it_is_written(
    documents: dict[str, bytes],
) -> None:
    kinds = {kind_of(key, body) for key, body in documents.items()}
    assert kinds == {
        "registry.json", "heads", "aliases", "manifests", "pages of rows", "pages of pages", "pages of manifest",
        "pages of text", "history", "evidence", "reviews", "policies", "deployments",
    }  # fmt: skip
    for key, body in documents.items():
        assert Readable(key, body) == Readable(key, body)


def changes(value: Any) -> Iterator[Any]:
    """Yield the document with one of its fields, at any depth, of another type than any reader takes."""
    if isinstance(value, dict):
        for name, inner in value.items():
            for changed in changes(inner):
                yield {**value, name: changed}
            if name not in {"detail", "settings", "predicate"}:
                yield {**value, name: [{"no": "such"}] if not isinstance(inner, list) else "no list"}
    elif isinstance(value, list) and value:
        for changed in changes(value[0]):
            yield [changed, *value[1:]]


def test_a_document_that_its_reader_refuses_cannot_be_made(documents: dict[str, bytes]) -> None:
    seen: dict[str, int] = {}
    for key, body in documents.items():
        kind = kind_of(key, body)
        if kind in seen:
            continue
        seen[kind] = 0
        for document in changes(json.loads(body)):
            changed = encode(document)
            place = key.replace(digest_of(body), digest_of(changed))
            try:
                Readable(place, changed)
            except UsageError:
                seen[kind] += 1
    assert min(seen.values()) >= 1, seen
    assert sum(seen.values()) > 150


@pytest.mark.parametrize("key", ["x.json", "blobs/acme/chat/1/x", "probe/x", "", "heads/acme/chat.json", "pages/x"])
def test_nothing_is_written_where_it_does_not_belong(documents: dict[str, bytes], key: str) -> None:
    for at, body in documents.items():
        if at != key and kind_of(at, body) != "registry.json":
            with pytest.raises(UsageError):
                Readable(key, body)


def test_nothing_is_written_that_is_about_another_model_or_under_another_digest(documents: dict[str, bytes]) -> None:
    for at, body in documents.items():
        kind = kind_of(at, body)
        if kind in {"heads", "aliases", "manifests", "reviews", "deployments"}:
            with pytest.raises(UsageError):
                Immutable(at.replace("/chat", "/other"), body)
        if digest_of(body) in at:
            with pytest.raises(UsageError):
                Immutable(at.replace(digest_of(body), "0" * 64), body)


def test_a_commit_that_nobody_could_read_writes_not_even_what_it_refers_to(registry: Registry) -> None:
    before = content(registry)
    note = encode({"format": 1, "text": "of a commit that never comes"})
    item = Immutable(keys.page(NAME, digest_of(note)), note)

    def edit(head: Head | None) -> Change[Head]:
        assert head is not None
        wrong: Any = {"epoch": 3}
        return Change(replace(head, labels=wrong), AuditAction.EDIT, objects=(item,))

    with pytest.raises(UsageError, match=r"labels is not an object of texts.*it was not written"):
        commit_head(registry.session, NAME, edit)
    assert content(registry) == before


def test_no_module_but_one_writes_documents() -> None:
    """A store's `put` is called by `registry/core/writing.py`, its `put_blob` and its uploads by the transfer alone.

    What doctor writes below `probe/`, to see what is refused and how fast it is, is scratch.
    """
    found = set()
    for path in sorted(SOURCE.rglob("*.py")):
        module = path.relative_to(SOURCE).as_posix()
        if module.startswith("store/") or module in SCRATCH_WRITERS:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            receiver, name = ast.unparse(node.func.value), node.func.attr
            if name in WRITES and not receiver.endswith(("_free", "_filled", "_waiting")):  # queues
                found.add((module, name))
    assert {module for module, name in found if name == "put"} == {"registry/core/writing.py"}
    assert {module.partition("/")[0] for module, name in found if name != "put"} == {"transfer"}, found
