"""Fields that this program does not know survive a read and a write, in every type of document."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest

from bucketry.errors import CorruptError
from bucketry.schema.codec import decode, encode
from bucketry.schema.documents.alias import AliasRegister, AliasTarget, LastMove, decode_alias, encode_alias
from bucketry.schema.documents.audit import NO_RECORD, Record, Trail, continue_trail, decode_block, encode_block
from bucketry.schema.documents.dossier import Citation, Dossier, Pin, decode_dossier, encode_dossier
from bucketry.schema.documents.head import Head, Row, decode_head, encode_head
from bucketry.schema.documents.manifest import (
    Artifact,
    Chunks,
    Lineage,
    Manifest,
    Parent,
    Training,
    decode_manifest,
    encode_manifest,
    read_artifact_digests,
)
from bucketry.schema.documents.pages import (
    Directory,
    Page,
    decode_directory,
    decode_page,
    encode_directory,
    encode_page,
    entry_of,
)
from bucketry.schema.documents.settings import Conformance, RegistryDocument, decode_registry, encode_registry
from bucketry.schema.documents.states import State
from bucketry.schema.names import AliasName, Digest, ModelName

if TYPE_CHECKING:
    from collections.abc import Callable

MODEL = ModelName("acme", "chat")
AT = "2026-03-03T12:00:00.000Z"
A = Digest("a" * 64)
UNKNOWN = {"x-newer": {"nested": [1, None, "text", 1.5]}}


def trail() -> Trail:
    return Trail((continue_trail(Trail(), Record(0, "1" * 32, AT, "a@example.org", "publish", "1", NO_RECORD)),))


ROW = Row(1, A, ((1, 1),), 10, AT, "a@example.org", metrics={"loss": 1.0}, dossier=A, base="b:1", labels={"l": "x"})
HEAD = Head("r", MODEL, rows=(ROW,), next_version=2, aliases=(AliasName("production"),), trail=trail())
MOVED = LastMove(1, AT, "a@example.org", "promote", 3)
ALIAS = AliasRegister(
    "r",
    MODEL,
    AliasName("production"),
    AliasTarget(1, A, ((1, 1),), State.APPROVED),
    ({"x": 1},),
    True,
    trail(),
    moved=MOVED,
)
TOMBSTONE = AliasRegister("r", MODEL, AliasName("production"), trail=trail())
REGISTRY = RegistryDocument(
    "r", AT, {"region": "eu"}, (Conformance("s3://x", AT, passed=False, broken=("it lies",)),), trail()
)
DOSSIER = Dossier(A, (Citation("evidence/x", A),), (Citation("reviews/x", A),), (Pin(MODEL, 3),), "noted")
MANIFEST = Manifest(
    MODEL,
    AT,
    "a@example.org",
    (Artifact("a.bin", 3, A, "application/octet-stream", Chunks(16, ("b" * 64,), ("c" * 32,))),),
    Training(hyperparameters={"lr": 0.1}, datasets=({"name": "d"},), seed=-7),
    Lineage(experiment="e", parents=(Parent(ModelName("acme", "base"), 1, A, "adapter"),)),
    card="a.bin",
    labels={"l": "x"},
    notes="n",
)

DOCUMENTS: dict[str, tuple[object, Callable[[Any], bytes], Callable[..., Any]]] = {
    "head": (HEAD, encode_head, decode_head),
    "alias": (ALIAS, encode_alias, decode_alias),
    "alias without target": (TOMBSTONE, encode_alias, decode_alias),
    "registry": (REGISTRY, encode_registry, decode_registry),
    "dossier": (DOSSIER, encode_dossier, decode_dossier),
    "manifest": (MANIFEST, encode_manifest, decode_manifest),
    "page": (Page((ROW,)), encode_page, decode_page),
    "directory": (Directory((entry_of((ROW,), A),)), encode_directory, decode_directory),
}

WITH_UNKNOWN_FIELDS: dict[str, list[tuple[str | int, ...]]] = {
    "head": [(), ("rows", 0), ("recent", 0)],
    "alias": [(), ("recent", 0), ("since",)],
    "alias without target": [()],
    "registry": [(), ("conformance", 0), ("recent", 0)],
    "dossier": [()],
    "manifest": [
        (),
        ("artifacts", 0),
        ("training",),
        ("training", "datasets", 0),
        ("lineage",),
        ("lineage", "parents", 0),
    ],
    "page": [("rows", 0)],
}


PLACES = [(kind, path) for kind, paths in WITH_UNKNOWN_FIELDS.items() for path in paths]


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_a_document_comes_back_as_it_was_written(kind: str) -> None:
    value, encode_value, decode_value = DOCUMENTS[kind]
    body = encode_value(value)
    assert decode_value(body, what=kind) == value
    assert encode_value(decode_value(body, what=kind)) == body


@pytest.mark.parametrize(("kind", "path"), PLACES, ids=str)
def test_unknown_fields_survive_a_read_and_a_write(kind: str, path: tuple[str | int, ...]) -> None:
    value, encode_value, decode_value = DOCUMENTS[kind]
    document = copy.deepcopy(decode(encode_value(value), what=kind))
    place: Any = document
    for step in path:
        place = place[step]
    place.update(UNKNOWN)
    body = encode(document)
    assert encode_value(decode_value(body, what=kind)) == body


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_bytes_have_sorted_keys_and_a_format(kind: str) -> None:
    value, encode_value, _ = DOCUMENTS[kind]
    body = encode_value(value)
    document = decode(body, what=kind)
    assert document["format"] == 1
    assert body == encode(document)
    assert list(document) == sorted(document)


def test_a_block_of_records_comes_back_with_unknown_fields() -> None:
    grown = Trail()
    blocks = []
    for number in range(65):
        record = Record(0, f"{number:032x}", AT, "a@example.org", "x", "", NO_RECORD, extra=UNKNOWN)
        grown, leaving = grown.extended(continue_trail(grown, record))
        if leaving:
            blocks.append(leaving)
    body = encode_block(blocks[0])
    assert decode_block(body, what="block") == blocks[0]
    assert encode_block(decode_block(body, what="block")) == body


def test_a_pin_is_renewed_and_never_lowered() -> None:
    assert DOSSIER.pinned_by(MODEL, 2) is DOSSIER
    assert DOSSIER.is_pinned_by(MODEL, 3)
    assert not DOSSIER.is_pinned_by(MODEL, 4)
    assert DOSSIER.pinned_by(MODEL, 4).dependents == (Pin(MODEL, 4),)
    other = ModelName("acme", "other")
    assert DOSSIER.pinned_by(other, 1).dependents == (Pin(MODEL, 3), Pin(other, 1))


def test_a_registry_keeps_the_newest_probe_of_each_endpoint() -> None:
    again = REGISTRY.with_conformance(Conformance("s3://x", AT, passed=True))
    both = again.with_conformance(Conformance("s3://y", AT, passed=True))
    assert [one.endpoint for one in both.conformance] == ["s3://x", "s3://y"]
    found = both.find_conformance("s3://x")
    assert found is not None
    assert found.passed
    assert both.find_conformance("s3://z") is None


PLAIN = json.loads(encode_manifest(MANIFEST))["artifacts"][0]


@pytest.mark.parametrize(
    "change",
    [
        {"path": "../a"},
        {"path": ".bucketry/a"},
        {"path": "CON.txt"},
        {"path": ".hidden/é.bin"},
        {"path": 1},
        {"size_bytes": True},
        {"size_bytes": 0},
        {"size_bytes": 17},
        {"size_bytes": 3.0},
        {"sha256": "A" * 64},
        {"sha256": "a" * 63},
        {"media_type": None},
        {"media_type": "x" * 65_537},
        {"media_type": ["x"]},
        {"chunks": None},
        {"chunks": {"size_bytes": 0, "sha256": ["b" * 64], "xxh3_128": ["c" * 32]}},
        {"chunks": {"size_bytes": True, "sha256": ["b" * 64], "xxh3_128": ["c" * 32]}},
        {"chunks": {"size_bytes": 16, "sha256": ["b" * 64], "xxh3_128": []}},
        {"chunks": {"size_bytes": 16, "sha256": "b" * 64, "xxh3_128": "c" * 32}},
        {"chunks": {"size_bytes": 16, "sha256": [1], "xxh3_128": ["c" * 32]}},
        {"chunks": {"size_bytes": 16, "sha256": ["b" * 64 + "\n"], "xxh3_128": ["c" * 32]}},
        {"chunks": {"size_bytes": 16, "sha256": ["b" * 64], "xxh3_128": ["c" * 32], "newer": 1}},
        {"chunks": {"size_bytes": 2, "sha256": ["b" * 64, "b" * 64], "xxh3_128": ["c" * 32, "c" * 32]}},
        {"newer": 1},
        {},
    ],
    ids=str,
)
def test_a_file_is_read_as_it_would_be_with_all_care(change: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    document = MANIFEST.to_document() | {"artifacts": [PLAIN | change]}
    body = json.dumps(document).encode()

    def outcome() -> object:
        try:
            return decode_manifest(body, what="it").artifacts
        except CorruptError as error:
            return error.message

    quickly = outcome()
    monkeypatch.setattr("bucketry.schema.documents.manifest._find_plain_artifact", lambda _: None)
    assert quickly == outcome()


def test_the_digests_of_a_manifest_are_those_that_its_reader_finds() -> None:
    model = ModelName("acme", "chat")
    digest = Digest("a" * 64)
    plain = Artifact("a.bin", 3, digest, "application/octet-stream", Chunks(16, (digest,), ("b" * 32,)))
    empty = Artifact("b.bin", 0, Digest("c" * 64), "application/octet-stream", Chunks(16, (), ()))
    body = encode_manifest(Manifest(model, "2026-03-03T12:00:00.000Z", "ada@example.org", (plain, empty)))
    expected = [(digest, 3), ("c" * 64, 0)]
    assert read_artifact_digests(body, what="this", model=model) == expected
    spaced = json.dumps(json.loads(body), indent=1).encode()
    assert read_artifact_digests(spaced, what="this", model=model) == expected
    with pytest.raises(CorruptError, match="not of acme/other"):
        read_artifact_digests(body, what="this", model=ModelName("acme", "other"))
    for wrong in (b'"sha256":"A', b'"sha256":7,"x":"'):
        with pytest.raises(CorruptError):
            read_artifact_digests(body.replace(b'"sha256":"c', wrong, 1), what="this", model=model)
