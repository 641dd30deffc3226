"""Every kind of finding in the table: planted, named with its grade, exit code and remedy, and told in the docs."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import CorruptError, RejectedError
from bucketry.maintenance.fsck.kinds import Kind, findings_table
from bucketry.maintenance.fsck.registry import check_registry
from bucketry.maintenance.repair.plan import MENDERS, apply_repair, plan_repair
from bucketry.registry.core import opening
from bucketry.registry.core.registers import load_existing_head
from bucketry.schema import keys
from bucketry.store.contract import Entry, IfAbsent, Unconditional
from cli.harness import Program
from maintenance.plants import PLANTS, prepare
from registry.people import CHAT

if TYPE_CHECKING:
    from bucketry.registry.core.config import RegistryProfile
    from bucketry.store.contract import Store
    from maintenance.plants import Ground

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
CODES = {"damage": 8, "unfinished": 8, "garbage": 0}


@pytest.fixture
def program(capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    (tmp_path / "config.toml").touch()
    for name, path in {"CONFIG": "config.toml", "CACHE": "cache", "REGISTRY": "registry"}.items():
        monkeypatch.setenv(f"BUCKETRY_{name}", str(tmp_path / path))
    monkeypatch.setenv("BUCKETRY_IDENTITY", "ops@example.org")
    return Program(capfdbinary)


def let_open(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    def open_one(profile: RegistryProfile, **_: object) -> Store:
        return ground.mirror if profile.url.endswith("mirror") else ground.store

    monkeypatch.setattr(opening, "open_store", open_one)


def snapshot(store: Store) -> dict[str, bytes]:
    """Return what can be listed, with the bytes; a link where a folder was can not."""
    with suppress(CorruptError):
        return {entry.key: store.get(entry.key).body for entry in store.list("") if isinstance(entry, Entry)}
    return {}


def test_the_docs_have_the_table_of_kinds() -> None:
    _, _, section = OPERATIONS.read_text("utf-8").partition("\n## What fsck finds\n")
    assert findings_table() in section.partition("\n## ")[0]


def test_every_kind_can_be_planted() -> None:
    assert set(PLANTS) == set(Kind)


@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.label)
def test_what_is_planted_is_named_with_grade_exit_code_and_remedy(
    kind: Kind, tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground = prepare(kind, tmp_path)
    assert check_registry(ground.session(), deep=True).findings == ()
    PLANTS[kind](ground)
    let_open(ground, monkeypatch)
    ran = program.run("fsck", "--deep", "--json")
    found = [finding for finding in ran.document["findings"] if finding["kind"] == kind.label]
    assert found, ran.document["findings"]
    worst = max(CODES[finding["grade"]] for finding in ran.document["findings"])
    assert ran.code == worst
    for finding in found:
        assert finding["grade"] == kind.grade
        assert finding["remedy"]
        assert not set("{}") & set(finding["remedy"])


# Repair


def test_exactly_the_kinds_that_the_table_says_are_mended() -> None:
    assert set(MENDERS) == {kind for kind in Kind if not kind.value.repair.startswith("no: ")}


@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.label)
def test_what_can_be_mended_is_and_the_rest_says_why_not(
    kind: Kind, tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground = prepare(kind, tmp_path)
    PLANTS[kind](ground)
    let_open(ground, monkeypatch)
    planted = snapshot(ground.store)
    planned = program.run("fsck", "--deep", "--repair", "--from", "./mirror", "--json").document
    assert snapshot(ground.store) == planted, "a plan writes nothing"
    assert planned.get("repaired") == [], planned
    if kind not in MENDERS:
        whys = [left["why"] for left in planned["left"] if left["kind"] == kind.label]
        assert whys == [kind.value.repair] * len(whys)
        assert kind in {Kind.MODEL_WITHOUT_HEAD, Kind.UNLISTABLE} or whys
        return
    assert [step for step in planned["plan"] if step["kind"] == kind.label], planned
    mended = program.run("fsck", "--deep", "--repair", "--from", "./mirror", "--apply", "--json")
    assert mended.document.get("repaired") == [step["key"] for step in planned["plan"]]
    assert (mended.code, mended.document["findings"]) == (0, [])
    after = snapshot(ground.store)
    assert program.run("fsck", "--repair", "--from", "./mirror", "--apply", "--json").document["repaired"] == []
    assert snapshot(ground.store) == after, "a second repair changes nothing"


def test_a_register_that_was_put_back_has_a_record_of_it(tmp_path: Path) -> None:
    ground = prepare(Kind.REGISTER_LOST, tmp_path)
    PLANTS[Kind.REGISTER_LOST](ground)
    mirror = replace(ground.session(), store=ground.mirror)
    apply_repair(ground.session(), plan_repair(ground.session(), check_registry(ground.session()).findings, mirror))
    last = load_existing_head(ground.session(), CHAT).trail.records[-1]
    assert (last.action, last.detail) == ("repair", {"from": ground.mirror.name})


def test_a_register_is_not_put_back_behind_what_is_sealed(tmp_path: Path) -> None:
    ground = prepare(Kind.SEALED_RECORDS_LOST, tmp_path)
    oldest = load_existing_head(ground.session(), CHAT).trail.records[0].generation
    ground.bucket.put(keys.head_history(CHAT, oldest), b"{}", IfAbsent())
    ground.bucket.delete(keys.head(CHAT))
    mirror = replace(ground.session(), store=ground.mirror)
    plan = plan_repair(ground.session(), check_registry(ground.session()).findings, mirror)
    assert plan.steps == ()
    assert any("it would go back" in left.why for left in plan.left)


def test_a_mirror_with_other_bytes_mends_nothing(tmp_path: Path) -> None:
    ground = prepare(Kind.MANIFEST_LOST, tmp_path)
    PLANTS[Kind.MANIFEST_LOST](ground)
    lost = next(f.key for f in check_registry(ground.session()).findings if f.kind is Kind.MANIFEST_LOST)
    ground.mirror.put(lost, b"{}", Unconditional())
    mirror = replace(ground.session(), store=ground.mirror)
    assert plan_repair(ground.session(), check_registry(ground.session()).findings, mirror).steps == ()


def test_who_may_not_write_mends_nothing(tmp_path: Path) -> None:
    ground = prepare(Kind.ALIAS_STATE_WRONG, tmp_path)
    PLANTS[Kind.ALIAS_STATE_WRONG](ground)
    session = replace(ground.session(), read_only=True)
    plan = plan_repair(session, check_registry(session).findings)
    assert plan.steps
    with pytest.raises(RejectedError, match="read-only"):
        apply_repair(session, plan)


@pytest.mark.parametrize("flag", [["--apply"], ["--from", "mirror"]])
def test_what_belongs_to_a_repair_is_refused_without(program: Program, flag: list[str]) -> None:
    assert "add --repair" in program.fails(2, "fsck", *flag)


def test_a_directory_is_made_again_from_its_pages_without_any_mirror(tmp_path: Path) -> None:
    ground = prepare(Kind.DIRECTORY_LOST, tmp_path)
    PLANTS[Kind.DIRECTORY_LOST](ground)
    plan = plan_repair(ground.session(), check_registry(ground.session()).findings)
    assert [(step.kind, step.source) for step in plan.steps] == [(Kind.DIRECTORY_LOST, "its pages")]
    apply_repair(ground.session(), plan)
    assert check_registry(ground.session(), deep=True).findings == ()


def test_who_may_not_write_mends_nothing_even_where_the_registry_cannot_be_asked(tmp_path: Path) -> None:
    ground = prepare(Kind.REGISTER_LOST, tmp_path)
    ground.bucket.delete(keys.REGISTRY)
    session = replace(ground.session(), read_only=True)
    mirror = replace(ground.session(), store=ground.mirror)
    plan = plan_repair(session, check_registry(session).findings, mirror)
    assert [step.key for step in plan.steps] == [keys.REGISTRY]
    with pytest.raises(RejectedError, match="read-only"):
        apply_repair(session, plan)
    assert apply_repair(ground.session(), plan) == plan.steps
    assert check_registry(ground.session(), deep=True).findings == ()
