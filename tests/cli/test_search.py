"""Does `search` find versions, say how fresh it is, and speak the contract that scripts use?"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.harness import run_alone, run_in_terminal

if TYPE_CHECKING:
    from cli.harness import Program


@pytest.fixture
def published(program: Program, registry: Path, files: Path, tmp_path: Path) -> Path:
    """Return the folder of a registry with four versions of three models."""
    for model, auc, team in (("acme/chat", 0.8, "risk"), ("acme/chat", 0.95, "risk"), ("acme/other", 0.9, "ads")):
        metrics = tmp_path / "m.json"
        metrics.write_text(json.dumps({"auc": auc, "loss": 1 - auc}))
        program.ok("publish", model, files, "--metrics", metrics, "--label", f"team={team}", "--param", f"lr={auc}")
    program.ok("publish", "plain", files)
    program.ok("promote", "acme/chat:1", "production")
    return registry


def found(program: Program, *arguments: str) -> list[str]:
    return [f"{item['model']}:{item['version']}" for item in program.json("search", *arguments)]


def test_versions_of_all_models_are_found(program: Program, published: Path) -> None:
    assert published.is_dir()
    assert sorted(found(program)) == ["acme/chat:1", "acme/chat:2", "acme/other:1", "plain:1"]
    assert found(program, "auc>0.85", "--sort", "-auc") == ["acme/chat:2", "acme/other:1"]
    assert found(program, "auc>0.85 label:team=ads") == ["acme/other:1"]
    assert found(program, "alias:production") == ["acme/chat:1"]
    assert found(program, "param.lr>=0.9", "--sort", "auc") == ["acme/other:1", "acme/chat:2"]
    assert found(program, "model:acme/*", "-alias:production", "-auc<0.92") == ["acme/chat:2"]
    assert found(program, "nothing") == []


def test_the_document_has_what_scripts_use(program: Program, published: Path) -> None:
    assert published.is_dir()
    (item,) = program.json("search", "alias:production")
    assert set(item) == {
        "model",
        "version",
        "manifest",
        "state",
        "aliases",
        "created_at",
        "created_by",
        "size_bytes",
        "metrics",
        "labels",
        "base",
    }
    (listed,) = program.json("versions", "acme/chat", "version=1")
    assert item["aliases"] == listed["aliases"] != []
    assert (item["metrics"]["auc"], item["labels"], item["state"]) == (0.8, {"team": "risk"}, "registered")
    assert {key: item[key] for key in listed} == listed


def test_long_lists_come_in_pages(program: Program, published: Path) -> None:
    assert published.is_dir()
    first = program.run("search", "--limit", "3", "--sort", "auc", "--json")
    assert "--after acme/chat:2" in first.errors
    assert found(program, "--after", "acme/chat:2", "--sort", "auc") == ["plain:1"]


def test_a_table_fits_a_terminal(published: Path) -> None:
    assert published.is_dir()
    code, text = run_in_terminal("search", "auc>0.85", "--sort", "-auc")
    assert code == 0
    lines = [line for line in text.splitlines() if "acme/" in line]
    assert ["acme/chat:2" in lines[0], "acme/other:1" in lines[1]] == [True, True]
    assert all(len(line) <= 80 for line in lines)
    assert ".9500" in lines[0]
    _, again = run_in_terminal("search", "auc>0.85", "--quiet")
    assert "reading" not in again


def test_what_changes_is_found_at_once(program: Program, published: Path, files: Path) -> None:
    assert published.is_dir()
    assert found(program, "state:retired") == []
    program.ok("retire", "acme/chat:2")
    program.ok("publish", "acme/new", files)
    assert found(program, "state:retired") == ["acme/chat:2"]
    assert found(program, "new") == ["acme/new:1"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["stat:x"], "state:"),
        (["auc>high"], "character 1 of the query"),
        (["x", "--sort", "auc[age"], "not a metric"),
        (["--after", "acme/chat"], "one version"),
    ],
)
def test_a_wrong_question_is_a_usage_error(program: Program, published: Path, arguments: list[str], said: str) -> None:
    assert published.is_dir()
    assert said in program.fails(2, "search", *arguments)


def test_to_continue_after_what_is_unknown_is_not_found(program: Program, published: Path) -> None:
    assert published.is_dir()
    program.fails(3, "search", "--after", "acme/chat:77")


def test_a_registry_that_is_not_there_is_no_empty_answer(program: Program, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    program.fails(3, "search", "-r", tmp_path / "empty")
    program.fails(3, "models", "-r", tmp_path / "empty")


def test_offline_asks_nobody_and_says_how_old_the_answer_is(program: Program, published: Path) -> None:
    assert published.is_dir()
    assert "nothing is known" in program.fails(6, "search", "--offline")
    assert len(found(program)) == 4
    program.ok("retire", "acme/chat:2")
    ran = program.ok("search", "state:retired", "--offline", "--json")
    assert ran.document == []
    assert "from the local index" in ran.errors
    for name in published.iterdir():
        shutil.move(name, published.parent)
    assert len(program.ok("search", "--offline", "--json").document) == 4


def test_an_unreadable_version_is_said_and_the_rest_is_found(program: Program, published: Path) -> None:
    manifest = program.json("search", "plain")[0]["manifest"]
    shutil.rmtree(Path(published.parent / "cache"))
    path = next(published.glob(f"manifests/**/{manifest}.json"))
    path.chmod(0o644)
    path.write_bytes(b"{}")
    ran = program.ok("search", "auc>0.85", "--json")
    assert len([row for row in ran.document if "damaged" not in row]) == 2
    (damaged,) = (row["damaged"] for row in ran.document if "damaged" in row)
    assert manifest in damaged, "nobody knows whether it fits"
    assert "1 object could not be read" in ran.errors
    assert "fsck" in ran.errors


def test_models_and_versions_take_the_same_questions(program: Program, published: Path) -> None:
    assert published.is_dir()
    assert [item["model"] for item in program.json("models", "auc>0.85")] == ["acme/chat", "acme/other"]
    assert [item["model"] for item in program.json("models", "alias:production")] == ["acme/chat"]
    assert [item["model"] for item in program.json("models", "-model:acme/*")] == ["plain"]
    assert [item["model"] for item in program.json("models", "acme", "label:team=ads")] == ["acme/other"]
    assert [item["version"] for item in program.json("versions", "acme/chat", "auc>0.85")] == [2]
    assert [item["version"] for item in program.json("versions", "acme/chat", "-param.lr>0.9")] == [1]
    assert [item["version"] for item in program.json("versions", "acme/chat", "-alias:production")] == [2]
    program.fails(2, "models", "stat:x")
    program.fails(2, "versions", "acme/chat", "stat:x")


def test_a_program_of_its_own_searches_too(published: Path) -> None:
    assert published.is_dir()
    ran = run_alone("search", "auc>0.9", "--json")
    assert (ran.code, ran.stderr) == (0, b"")
    assert [item["version"] for item in ran.document] == [2]
