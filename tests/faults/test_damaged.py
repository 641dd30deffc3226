"""Does one damaged object hide anything of the others, and does anybody decide on what cannot be read?

Each object of a registry is damaged in turn; what every reading command showed before of all that is not made of that
object must be shown still, what is damaged must be named, and lists end with 0.
"""

from __future__ import annotations

import json
import shutil
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

import pytest

from bucketry.client import Reader, Registry
from bucketry.clock import Clock
from bucketry.errors import BucketryError, CorruptError
from bucketry.index.damage import load_damage
from bucketry.index.refresh import refresh_index
from bucketry.index.store import Index
from bucketry.index.views import list_versions_by, load_version_lines
from bucketry.registry.core import opening
from bucketry.registry.core.registers import load_existing_head
from bucketry.registry.core.session import Session
from bucketry.registry.review.policies import set_policy
from bucketry.registry.review.reviewing import decide, prepare_decision
from bucketry.registry.serving.aliases import promote, roll_back
from bucketry.registry.versions.deletion import delete_version
from bucketry.registry.versions.history import load_version_history
from bucketry.schema import keys
from bucketry.schema.documents.policy import parse_policy_toml
from bucketry.schema.documents.reviews import Action
from bucketry.schema.documents.states import State
from cli.harness import Program
from faults.damaged import (
    BASE,
    CHILD,
    DAMAGES,
    NEWEST,
    NOW,
    PLAIN,
    PRODUCTION,
    SCORE,
    STAGING,
    Scene,
    damage,
    make_scene,
    write_wrongly,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bucketry.schema.names import ModelName

LISTS = ("models", "search", "versions risk/score", "versions plain", "aliases risk/score", "reviews", "deployments")
LOOKED_AT = frozenset({3, 120, 122})
"""Of the manifests of 130 versions these stand for all: sealed, approved, in review."""


@pytest.fixture(scope="module")
def made() -> Scene:
    return make_scene()


@pytest.fixture
def program(capfdbinary: pytest.CaptureFixture[bytes]) -> Program:
    return Program(capfdbinary)


@pytest.fixture
def scene(made: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    (tmp_path / "config.toml").touch()
    (tmp_path / "registry").mkdir()
    settings = {"CONFIG": "config.toml", "CACHE": "cache", "REGISTRY": "registry"}
    for name, path in settings.items():
        monkeypatch.setenv(f"BUCKETRY_{name}", str(tmp_path / path))
    monkeypatch.setenv("BUCKETRY_IDENTITY", "rev@example.org")
    monkeypatch.setattr(opening, "open_store", lambda _profile, **_: made.store)
    yield made
    made.restore()


def session(scene: Scene, actor: str = "rev@example.org") -> Session:
    return Session(scene.store, actor, Clock(now=lambda: NOW))


def key_of(scene: Scene, kind: str, model: ModelName, version: int) -> str:
    """Return the key of the manifest, the dossier, the first evaluation or the first decision of a version."""
    row = next(one.row for one in Reader(session(scene)).versions(str(model)) if one.version == version)
    assert row is not None
    if kind == "manifest":
        return keys.manifest(model, row.manifest)
    if kind == "dossier":
        assert row.dossier is not None
        return keys.page(model, row.dossier)
    prefix = {"evidence": keys.EVIDENCE, "review": keys.REVIEWS}[kind]
    return next(key for key in scene.bodies if key.startswith(prefix) and f"/{row.manifest}/" in key)


def page_key(scene: Scene, field: str) -> str:
    """Return the key of the sealed page (`rows`), of the directory (`pages`), or of the first note (`text`)."""
    if field == "text":
        documents = (key for key in scene.bodies if key.startswith(keys.PAGES))
        return next(key for key in documents if field in json.loads(scene.bodies[key]))
    directory = keys.page(SCORE, json.loads(scene.bodies[keys.head(SCORE)])["sealed"]["directory"])
    return directory if field == "pages" else keys.page(SCORE, json.loads(scene.bodies[directory])["pages"][0]["page"])


def objects(scene: Scene) -> list[str]:
    """Return the keys of what is damaged in turn: all but the bytes of artifacts, and most manifests."""
    found = []
    for key in sorted(scene.bodies):
        model, versions = scene.touched(key)
        if key.startswith(keys.BLOBS) or (
            key.startswith(keys.MANIFESTS) and model == SCORE and not versions & LOOKED_AT
        ):
            continue
        found.append(key)
    return found


def rows_of(command: str, document: list[dict[str, Any]]) -> dict[object, dict[str, Any]]:
    """Return the rows of a list by what they are about: a model, or a model's version."""
    verb, _, model = command.partition(" ")
    if verb == "deployments":
        return {row["instance"]: row for row in document if row["instance"]}
    if verb == "aliases":
        return {(model, row["alias"]): row for row in document}
    if verb == "versions":
        return {(model, row["version"]): row for row in document}
    return {(row["model"], row.get("version")) if verb != "models" else row["model"]: row for row in document}


def is_touched(scene: Scene, key: str, about: object) -> bool:
    """Return whether a row may be another one, or gone, when an object is damaged."""
    model, versions = scene.touched(key)
    if key.startswith(keys.POLICIES):
        return True  # which versions wait is decided by it
    if isinstance(about, str) and about.startswith("node-"):
        return key.startswith((keys.DEPLOYMENTS, keys.HEADS, keys.ALIASES, keys.PAGES))
    if isinstance(about, tuple):
        name, which = about
        whole = key.startswith((keys.HEADS, keys.ALIASES))
        return name == str(model) and (whole or which in versions)
    return about == str(model)


def test_whatever_is_damaged_the_lists_show_all_the_rest_and_name_it(
    scene: Scene, program: Program, tmp_path: Path, *, is_deep: bool
) -> None:
    """Everyday for each fifth object: every kind of damage has its turn."""
    before = {command: rows_of(command, program.json(*command.split())) for command in LISTS}
    unnamed = []
    for key, how in islice(zip(objects(scene), cycle(DAMAGES), strict=False), 0, None, 1 if is_deep else 5):
        if key == keys.REGISTRY:
            continue
        damage(scene.store, key, how)
        shutil.rmtree(tmp_path / "cache")
        said = ""
        for command in LISTS:
            ran = program.run(*command.split(), "--json")
            headless = key == keys.head(SCORE) and command.endswith("risk/score")
            headless = headless or (key == keys.head(PLAIN) and command.endswith("plain"))
            assert "Traceback" not in ran.text + ran.errors, (key, how, command)
            assert ran.code in ({3, 8} if headless else {0}), (key, how, command, ran)
            said += ran.text + ran.errors
            now = {} if headless else rows_of(command, ran.document)
            for about, row in before[command].items():
                if not is_touched(scene, key, about):
                    assert now.get(about) == row, (key, how, command, about)
        is_listed = key.startswith((keys.HEADS, keys.ALIASES)) and how != "missing"
        if (is_listed or key in {page_key(scene, "rows"), page_key(scene, "pages")}) and key not in said:
            unnamed.append((key, how))
        scene.restore()
        assert [summary.damaged for summary in Reader(session(scene)).models()] == ["", "", "", ""]
    assert unnamed == []


def test_a_value_of_a_wrong_type_that_a_writer_let_through_stops_nothing_else(
    scene: Scene,
    program: Program,
    tmp_path: Path,
) -> None:
    targets = {
        keys.head(SCORE): "rows",
        keys.head(PLAIN): "epoch",
        keys.alias(SCORE, PRODUCTION): "placement",
        page_key(scene, "rows"): "rows",
        page_key(scene, "pages"): "pages",
        key_of(scene, "manifest", SCORE, 126): "notes",
        key_of(scene, "dossier", SCORE, 125): "notes",
        key_of(scene, "evidence", SCORE, 124): "metrics",
        key_of(scene, "review", SCORE, 123): "payload",
    }
    for key, field in targets.items():
        write_wrongly(scene.store, key, field)
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        for command in ("models", "search", "search param.lr>0.001", "reviews", "versions acme/base"):
            ran = program.run(*command.split(), "--json")
            assert ran.code == 0, (key, field, command, ran)
        names = {summary.model for summary in Reader(session(scene)).models()}
        assert names == {SCORE, PLAIN, BASE, CHILD}
        scene.restore()


def test_a_damaged_head_is_one_model_of_the_list_with_nulls_and_the_reason(scene: Scene, program: Program) -> None:
    damage(scene.store, keys.head(SCORE), "cut")
    row = next(row for row in program.json("models") if row["model"] == "risk/score")
    assert row["damaged"].startswith("heads/risk/score.json is not valid JSON")
    assert [row[name] for name in ("versions", "newest", "updated_at", "description")] == [None] * 4
    assert {(alias["alias"], alias["version"]) for alias in row["aliases"]} == {("production", 121), ("staging", 69)}
    found = [row for row in program.json("search") if row["model"] == "risk/score"]
    assert found == [dict.fromkeys(found[0]) | {"model": "risk/score", "aliases": [], "damaged": row["damaged"]}]
    assert "DAMAGED" in program.ok("models").text
    summary = next(one for one in Reader(session(scene)).models() if one.model == SCORE)
    assert (summary.versions, summary.damaged) == (None, row["damaged"])
    assert {register.alias for register in summary.aliases} == {PRODUCTION, STAGING}
    error = program.fails(8, "versions", "risk/score")
    assert "heads/risk/score.json" in error
    assert "run `bucketry fsck`" in error


def test_a_head_that_is_gone_is_damaged_where_aliases_of_the_model_are_there(scene: Scene, program: Program) -> None:
    scene.store.delete(keys.head(PLAIN))
    rows = {row["model"]: row for row in program.json("models")}
    assert (
        rows["plain"]["damaged"]
        == "heads/default/plain.json is lost: it is missing, and aliases/default/plain/production.json is there"
    )
    assert next(one.damaged for one in Reader(session(scene)).models() if one.model == PLAIN).startswith(
        "heads/default"
    )


@pytest.mark.parametrize("field", ["rows", "pages"])
def test_versions_whose_page_is_damaged_are_listed_by_number_and_the_others_as_before(
    scene: Scene,
    program: Program,
    field: str,
) -> None:
    key = page_key(scene, field)
    damage(scene.store, key, "missing")
    rows = program.json("versions", "risk/score")
    assert [row["version"] for row in rows] == list(range(NEWEST, 0, -1))
    damaged = [row for row in rows if row.get("damaged")]
    assert [row["version"] for row in damaged] == list(range(64, 0, -1)) == sorted(scene.touched(key)[1], reverse=True)
    assert all(row["manifest"] is None and key in row["damaged"] for row in damaged)
    assert len(program.json("versions", "risk/score", "--limit", "5", "--after", "4")) == 3
    with Index(None) as index:
        assert refresh_index(index, session(scene), details=False).is_complete
        assert load_damage(index).versions == len(damaged)
        lines = load_version_lines(index, SCORE, list_versions_by(index, SCORE).ids)
        assert {line.version for line in lines if line.stage == "damaged"} == {row["version"] for row in damaged}
        scene.restore()
        refresh_index(index, session(scene))
        assert load_damage(index).count == 0


@pytest.mark.parametrize("how", sorted(DAMAGES))
@pytest.mark.parametrize("what", ["manifest", "dossier", "evidence", "review", "page", "directory", "note", "history"])
def test_other_versions_are_shown_promoted_rolled_back_and_revoked(scene: Scene, what: str, how: str) -> None:
    own = {
        "page": lambda: page_key(scene, "rows"),
        "directory": lambda: page_key(scene, "pages"),
        "note": lambda: page_key(scene, "text"),
        "history": lambda: keys.head_history(SCORE, 1),
        "evidence": lambda: key_of(scene, "evidence", SCORE, 122),
    }
    key = own[what]() if what in own else key_of(scene, what, SCORE, 122)
    damage(scene.store, key, how)
    me = session(scene)
    assert Reader(me).show("risk/score:126").row.version == 126
    assert Reader(me).resolve("risk/score@production").version == 121
    assert next(one.version for one in Reader(me).versions("risk/score")) == NEWEST
    assert roll_back(me, SCORE, PRODUCTION).target == 120
    assert promote(me, SCORE, 121, PRODUCTION).target == 121
    assert refuse(me, 121, Action.REVOKE) is State.REJECTED


def test_a_policy_that_cannot_be_read_stops_approvals_and_promotions_and_no_refusal(scene: Scene) -> None:
    me = session(scene)
    digest = load_existing_head(me, SCORE).policy
    assert digest is not None
    damage(scene.store, keys.policy(digest), "missing")
    with pytest.raises(CorruptError, match="policies/"):
        promote(session(scene), SCORE, 120, PRODUCTION)
    with pytest.raises(CorruptError, match="policies/"):
        prepare_decision(session(scene), SCORE, 122, Action.APPROVE)
    detail = Reader(session(scene)).show("risk/score:121")
    assert (detail.approvals, detail.damaged) == (None, f"policies/{digest}.json is missing")
    assert refuse(session(scene), 121, Action.REVOKE) is State.REJECTED
    changed = set_policy(session(scene), SCORE, parse_policy_toml("approvals_required = 3", what="p"))
    assert changed.changed, "the remedy works"


def refuse(me: Session, version: int, action: Action) -> State:
    return decide(me, SCORE, version, action, comment="leaks").state


@pytest.mark.parametrize("what", ["manifest", "dossier", "review"])
def test_a_version_that_is_damaged_itself_is_not_promoted(scene: Scene, what: str) -> None:
    key = key_of(scene, what, SCORE, 120)
    damage(scene.store, key, "cut")
    with pytest.raises(CorruptError) as caught:
        promote(session(scene), SCORE, 120, PRODUCTION)
    assert key in caught.value.message
    assert caught.value.remedy


def test_nobody_commits_to_a_damaged_head(scene: Scene, program: Program, tmp_path: Path) -> None:
    damage(scene.store, keys.head(PLAIN), "cut")
    (tmp_path / "model.bin").write_bytes(b"1")
    before = scene.store.get(keys.head(PLAIN)).body
    for command in ("publish plain", "edit plain --description x", "review reject plain:1 --comment x"):
        words = command.split()
        error = program.fails(8, *words, *([tmp_path / "model.bin"] if words[0] == "publish" else []))
        assert "heads/default/plain.json" in error
        assert "do this: run `bucketry fsck`" in error
    assert scene.store.get(keys.head(PLAIN)).body == before


def test_lineage_goes_on_beside_a_damaged_parent_or_child_and_names_it(scene: Scene, program: Program) -> None:
    key = key_of(scene, "manifest", CHILD, 2)
    damage(scene.store, key, "cut")
    nodes = {node["id"]: node for node in program.json("lineage", "acme/base:1", "--down")["nodes"]}
    assert nodes["acme/base:1"]["state"] == "registered"
    assert nodes["acme/child:2"]["state"] == "damaged"
    assert key in nodes["acme/child:2"]["damaged"]
    with pytest.raises(CorruptError, match="acme/child"):
        delete_version(session(scene), BASE, 1)
    scene.restore()
    damage(scene.store, keys.head(BASE), "cut")
    nodes = {node["id"]: node for node in program.json("lineage", "acme/child:2")["nodes"]}
    assert nodes["acme/base:1"]["state"] == "damaged"


def test_an_alias_that_is_damaged_is_named_and_the_others_are_there(scene: Scene, program: Program) -> None:
    key = keys.alias(SCORE, STAGING)
    damage(scene.store, key, "newer")
    rows = {row["alias"]: row for row in program.json("aliases", "risk/score")}
    assert rows["production"]["version"] == 121
    assert rows["staging"]["version"] is None
    assert key in rows["staging"]["damaged"]
    assert key in program.ok("versions", "risk/score").errors
    (receipt,) = program.json("deployments", "plain")
    assert receipt["standing"] == "current"


def test_an_aliass_history_goes_on_behind_a_block_and_a_reason_that_are_lost(scene: Scene, program: Program) -> None:
    before = program.json("aliases", "risk/score", "--history", "staging")
    damage(scene.store, keys.alias_history(SCORE, STAGING, 1), "cut")
    events = program.json("aliases", "risk/score", "--history", "staging")
    assert [event for event in events if "damaged" not in event] == [e for e in before if e["generation"] > 32]
    assert [event["generation"] for event in events if "damaged" in event] == [32]
    scene.restore()
    damage(scene.store, page_key(scene, "text"), "missing")
    events = program.json("aliases", "risk/score", "--history", "staging")
    assert [event["to"] for event in events] == [event["to"] for event in before]
    assert any("damaged" in event for event in events)


def test_the_evidence_of_one_version_that_is_lost_hides_no_other_value(scene: Scene, program: Program) -> None:
    damage(scene.store, key_of(scene, "evidence", SCORE, 124), "missing")
    rows = {row["version"]: row for row in program.json("versions", "risk/score", "--metric", "recall")}
    assert rows[122]["value"] == pytest.approx(0.622)
    assert rows[124]["value"] is None
    assert "evidence/" in rows[124]["damaged"]
    found = {row["version"]: row for row in program.json("search", "model:risk/score", "recall>0.5")}
    assert set(found) == {11, 122, 124}
    assert "evidence/" in found[124]["damaged"]


def test_a_damaged_registry_document_is_no_damage_of_its_models(scene: Scene, program: Program) -> None:
    damage(scene.store, keys.REGISTRY, "cut")
    with pytest.raises(BucketryError, match=r"registry\.json"):
        Registry(session(scene)).models()
    assert "registry.json" in program.fails(8, "models")


def test_a_damaged_version_is_refused_retired_and_labelled_all_the_same_and_never_approved(
    scene: Scene, program: Program
) -> None:
    key = key_of(scene, "manifest", SCORE, 122)
    damage(scene.store, key, "cut")
    assert key in program.fails(8, "review", "approve", "risk/score:122")
    program.ok("edit", "risk/score:122", "--label", "seen=damaged")
    program.ok("retire", "risk/score:122", "--reason", "its manifest is lost")
    assert "rejected now" in program.ok("review", "reject", "risk/score:122", "--comment", "lost").text
    assert Registry(session(scene)).review("risk/score:122", "reject", comment="lost").state is State.REJECTED


def test_what_serves_now_and_is_damaged_does_not_keep_out_its_successor(scene: Scene, program: Program) -> None:
    damage(scene.store, key_of(scene, "manifest", SCORE, 121), "missing")
    ran = program.ok("review", "approve", "risk/score:122")
    assert "there is no comparison with production" in ran.errors
    assert promote(session(scene), SCORE, 122, PRODUCTION).target == 122


def test_a_damaged_version_stops_no_publish_of_its_model(scene: Scene, program: Program, tmp_path: Path) -> None:
    for version in (1, 2):
        damage(scene.store, key_of(scene, "manifest", PLAIN, version), "cut")
    (tmp_path / "model.bin").write_bytes(b"new")
    assert program.json("publish", "plain", tmp_path / "model.bin")["version"] == 3


def test_a_refusal_reaches_every_alias_but_the_one_that_is_damaged_and_says_so(scene: Scene, program: Program) -> None:
    damage(scene.store, keys.alias(SCORE, STAGING), "cut")
    told = program.run("review", "revoke", "risk/score:121", "--comment", "leaks")
    assert told.code == 8
    assert "to revoke risk/score:121 is on record, and every alias that can be read is told, but" in told.errors
    assert keys.alias(SCORE, STAGING) in told.errors
    assert "then do it again" in told.errors
    assert Reader(session(scene)).resolve("risk/score@production").state is State.REJECTED


@pytest.mark.parametrize("what", ["alias", "block", "note"])
def test_the_trail_of_a_version_is_told_as_far_as_it_can_be_read(scene: Scene, what: str) -> None:
    key = {
        "alias": keys.alias(SCORE, STAGING),
        "block": keys.alias_history(SCORE, STAGING, 1),
        "note": page_key(scene, "text"),
    }[what]
    about = [121, 16, 32, 48, 64]
    whole = {version: load_version_history(session(scene), SCORE, version) for version in about}
    damage(scene.store, key, "cut")
    now = {version: load_version_history(session(scene), SCORE, version) for version in about}
    assert any(key in why for history in now.values() for why in history.damaged)
    for version, history in now.items():
        kept = [(event.generation, event.alias) for event in history.events]
        assert kept
        assert set(kept) <= {(event.generation, event.alias) for event in whole[version].events}
        assert history.damaged or history == whole[version]
