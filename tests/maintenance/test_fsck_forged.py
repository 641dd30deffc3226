"""Each field of each document of a registry in use is forged once: fsck names it, or nothing there can know."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from bucketry.errors import BucketryError
from bucketry.maintenance.fsck.registry import check_registry
from bucketry.registry.core.registers import alias_register, head_register
from bucketry.registry.serving.aliases import promote, unset
from bucketry.registry.versions.lifecycle import LabelEdit, edit_model, edit_version, retire
from bucketry.schema import keys
from bucketry.schema.codec import encode
from bucketry.schema.documents.reviews import Action
from bucketry.schema.documents.settings import decode_registry
from bucketry.schema.names import AliasName
from bucketry.store.contract import Entry, Unconditional
from maintenance.planting import ALIAS, HEAD
from registry.people import ANNA, BERT, CHAT, Office, open_office

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STAGING = AliasName("staging")
POLICY = """
approvals_required = 1
protected_aliases = ["production"]
headline_metrics = ["auc"]
"""

UNKNOWABLE = {
    # Of the newest record of a register nothing follows yet; before that, every word is in the next one's digest.
    ("recent", -1): "the newest audit record: nothing follows it yet",
    ("generation",): "decoding compares it with the newest record",
    ("transaction",): "decoding compares it with the newest record",
    ("extra",): "a field that this program does not know",
    ("epoch",): "how often the epoch was raised is in no record that every raise makes",
    ("idempotency",): "the key that a publish was made with lies nowhere else",
    ("description",): "the text of the newest edit lies nowhere else",
    ("labels",): "the labels of the newest edit lie nowhere else",
    ("conformance",): "which endpoint was probed, and what broke, lies nowhere else",
    ("settings",): "a setting that no record is about",
    ("protected",): "whether a policy that held at some time protects it is all that is known",
}
"""Which fields nothing can know, by the end of their path, and why."""


@pytest.fixture(scope="module")
def office() -> Office:
    """Return a registry in use: every action once, an hour apart, and one version and one alias that nobody edited."""
    office = open_office()

    def wait() -> None:
        office.days += 1 / 24

    steps: list[Any] = [
        lambda: office.policy(POLICY),
        lambda: office.measure(1, auc=0.75, loss=0.5),
        lambda: office.decide(ANNA, Action.REQUEST, 1),
        lambda: office.decide(ANNA, Action.COMMENT, 1),
        lambda: office.approve(BERT),
        lambda: promote(office.session(ANNA), CHAT, 1, AliasName("production"), reason="better"),
        lambda: promote(office.session(ANNA), CHAT, 2, STAGING),
        lambda: unset(office.session(ANNA), CHAT, STAGING),
        lambda: promote(office.session(ANNA), CHAT, 2, STAGING),
        lambda: edit_version(office.session(), CHAT, 2, labels=LabelEdit({"team": "nlp"}), notes="a note"),
        lambda: edit_model(office.session(), CHAT, description="A model."),
        lambda: retire(office.session(), CHAT, 3, reason="old"),
    ]
    for step in steps:
        wait()
        step()
    assert check_registry(office.session(), deep=True).findings == ()
    return office


def forged(value: object) -> Iterator[object]:
    """Yield other values of the same kind; which of them still decode, the decoder says."""
    match value:
        case bool():
            yield not value
        case int() | float():
            yield value + 1
            yield max(0, value - 1)
        case str():
            yield "f" * 64 if len(value) == 64 else f"{value}x"
            yield "2027-01-01T00:00:00.000Z"
            yield from ("approved", "registered", "retired", "rejected", "deleted", "deleting", "in_review")
            yield "acme/base:1"
        case dict():
            yield {}
            yield value | {"forged": 1}
            yield value | {"forged": "x"}
        case list():
            yield []
            yield value[:-1]
            yield [*value, *value[-1:]]
        case None:
            yield "forged"
            yield "f" * 64
            yield 1


def paths(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path to each value in a document, inner ones after their holders."""
    if path:
        yield path
    match value:
        case dict():
            for name, inner in value.items():
                yield from paths(inner, (*path, name))
        case list():
            for index, inner in enumerate(value):
                yield from paths(inner, (*path, index))


def put_at(document: Any, path: tuple[Any, ...], value: object) -> Any:
    changed = json.loads(json.dumps(document))
    place = changed
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return changed


def value_at(document: Any, path: tuple[Any, ...]) -> object:
    for step in path:
        document = document[step]
    return document


def is_unknowable(document: Any, path: tuple[Any, ...]) -> bool:
    names = [step for step in path if isinstance(step, str)]
    if path[0] == "recent" and len(path) > 1:
        return bool(path[1] == len(document["recent"]) - 1)
    if "labels" in names:
        return path[0] == "labels" or path[:2] == ("rows", 1)  # of the version that somebody edited
    return (path[0],) in UNKNOWABLE or names[-1] == "idempotency"


def decoded(office: Office, key: str, body: bytes) -> object:
    """Return what a register says, or None where it does not decode, so that everybody is told."""
    session = office.session()
    register: dict[str, Callable[[], object]] = {
        HEAD: lambda: head_register(session, CHAT).decode(body),
        ALIAS: lambda: alias_register(session, CHAT, AliasName("production")).decode(body),
        keys.alias(CHAT, STAGING): lambda: alias_register(session, CHAT, STAGING).decode(body),
        keys.REGISTRY: lambda: decode_registry(body, what=key),
    }
    with suppress(BucketryError):
        return register[key]()
    return None


@pytest.mark.parametrize("key", [HEAD, ALIAS, keys.alias(CHAT, STAGING), keys.REGISTRY])
def test_every_field_of_a_register_that_is_forged_is_named(office: Office, key: str) -> None:
    honest = office.bucket.get(key).body
    document = json.loads(honest)
    original = decoded(office, key, honest)
    unnamed: list[str] = []
    tried = 0
    for path in paths(document):
        if is_unknowable(document, path):
            continue
        value = value_at(document, path)
        for other in forged(value):
            body = encode(put_at(document, path, other))
            if decoded(office, key, body) in [None, original]:
                continue
            if isinstance(other, dict) and "forged" in other and path[-1] not in {"metrics", "labels"}:
                continue  # a field that no program knows is kept
            tried += 1
            office.bucket.put(key, body, Unconditional())
            if not check_registry(office.session()).findings:
                unnamed.append(f"{path}: {value!r} -> {other!r}")
    office.bucket.put(key, honest, Unconditional())
    assert tried > 5
    assert not unnamed, "\n".join(unnamed)


def test_every_immutable_document_that_is_forged_is_named(office: Office) -> None:
    kinds = (keys.MANIFESTS, keys.EVIDENCE, keys.REVIEWS, keys.POLICIES)
    entries = [entry.key for kind in kinds for entry in office.bucket.list(kind) if isinstance(entry, Entry)]
    assert len(entries) >= 4
    for key in entries:
        honest = office.bucket.get(key).body
        office.bucket.put(key, honest + b" ", Unconditional())
        assert any(finding.key == key for finding in check_registry(office.session()).findings), key
        office.bucket.put(key, honest, Unconditional())


STRAYS = ["stray.json", "stray/x", "pages/acme/chat/x.json", "history/acme/chat/01.json", "policies/x.json"]
STRAYS += [f"policies/{'a' * 64}.json", "history/acme/gone/1.json", "pages/acme/gone/" + "a" * 64 + ".json"]


@pytest.mark.parametrize("key", STRAYS)
def test_what_no_rule_explains_is_named(office: Office, key: str) -> None:
    office.bucket.put(key, b"{}", Unconditional())
    found = check_registry(office.session()).findings
    office.bucket.delete(key)
    assert [finding.key for finding in found if key.startswith(finding.key)] != [], found
