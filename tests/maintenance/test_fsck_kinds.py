"""Every kind of finding in the table: planted, named with its grade, exit code and remedy, and told in the docs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bucketry.maintenance.fsck.kinds import Kind, findings_table
from bucketry.maintenance.fsck.registry import check_registry
from bucketry.registry.core import opening
from cli.harness import Program
from maintenance.plants import PLANTS, prepare

if TYPE_CHECKING:
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
    monkeypatch.setattr(opening, "open_store", lambda _profile, **_: ground.store)


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
