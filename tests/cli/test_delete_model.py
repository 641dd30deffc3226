"""Does a model that was given up leave every list, say that it was, and come back when it is published to again?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import bucketry
from bucketry.errors import NotFoundError, RejectedError
from bucketry.registry.versions import deletion, model_deletion
from bucketry.schema.names import parse_model_name

if TYPE_CHECKING:
    from pathlib import Path

    from cli.harness import Program

DELETE = ("delete", "acme/chat", "--all-versions")


@pytest.fixture
def three(program: Program, registry: Path, files: Path) -> Path:
    """Return a registry with three versions of acme/chat, and another model beside it."""
    for _ in range(3):
        program.ok("publish", "acme/chat", files)
    program.ok("publish", "acme/other", files)
    return registry


def names(program: Program) -> list[str]:
    return [model["model"] for model in program.json("models")]


def test_a_deleted_model_leaves_every_list_and_says_that_it_was_deleted(program: Program, three: Path) -> None:
    done = program.json(*DELETE, "--reason", "never served", "--yes")
    assert (done["versions"], done["state"]) == ([3, 2, 1], "deleted")
    assert names(program) == ["acme/other"]
    assert [model["model"] for model in program.json("models", "--limit", "1")] == ["acme/other"]
    assert program.json("search", "chat") == []
    for words in (("show", "acme/chat"), ("show", "acme/chat:1"), ("versions", "acme/chat"), DELETE):
        assert "acme/chat was deleted, with all its versions" in program.fails(3, *words)
    with bucketry.open_reader(str(three)) as reader:
        assert [str(found.model) for found in reader.models()] == ["acme/other"]
        with pytest.raises(NotFoundError, match="was deleted"):
            list(reader.versions("acme/chat"))
    last = program.json("audit", "acme/chat")["records"][-1]
    assert (last["action"], last["detail"]["reason"]) == ("delete-model", "never served")
    assert program.json("fsck")["findings"] == [] or program.run("fsck").code == 0


def test_publishing_again_goes_on_with_the_next_number(program: Program, three: Path, files: Path) -> None:
    assert three.is_dir()
    program.ok(*DELETE, "--yes")
    assert program.json("publish", "acme/chat", files)["version"] == 4
    assert names(program) == ["acme/chat", "acme/other"]
    assert [version["version"] for version in program.json("versions", "acme/chat")] == [4]
    assert program.run("fsck").code == 0


def test_it_says_what_it_would_do_and_wants_a_yes(program: Program, three: Path) -> None:
    assert three.is_dir()
    ran = program.run(*DELETE)
    assert ran.code == 2
    assert "this deletes acme/chat for ever: 3 versions" in ran.errors
    assert "--yes" in ran.errors
    assert len(program.json("versions", "acme/chat")) == 3
    assert "names a version" in program.fails(2, "delete", "acme/chat:1", "--all-versions", "--yes")
    program.fails(3, "delete", "acme/none", "--all-versions", "--yes")


def test_an_alias_keeps_the_whole_model(program: Program, three: Path) -> None:
    assert three.is_dir()
    program.ok("promote", "acme/chat:1", "production")
    assert "acme/chat@production names version 1" in program.fails(4, *DELETE, "--yes")
    assert [version["state"] for version in program.json("versions", "acme/chat")] == ["registered"] * 3
    program.ok("unset", "acme/chat", "production")
    program.ok(*DELETE, "--yes")
    assert names(program) == ["acme/other"]


def test_what_another_model_is_made_from_keeps_the_whole_model(program: Program, three: Path, files: Path) -> None:
    assert three.is_dir()
    program.ok("publish", "acme/adapter", files, "--base", "acme/chat:2", "--relation", "adapter")
    program.ok("publish", "acme/chat", files, "--base", "acme/chat:1", "--relation", "finetune")  # keeps nothing
    told = program.fails(4, *DELETE, "--yes")
    assert "acme/adapter:1 is made from version 2" in told
    assert [version["state"] for version in program.json("versions", "acme/chat")] == ["registered"] * 4
    program.ok("delete", "acme/adapter:1", "--yes")
    assert program.json(*DELETE, "--yes")["versions"] == [4, 3, 2, 1]
    assert program.run("fsck").code == 0


@pytest.mark.parametrize("place", ["walk", "mark"])
def test_an_interrupted_deletion_is_finished_by_doing_it_again(
    program: Program, three: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = {"walk": (deletion, "_walk"), "mark": (model_deletion, "mark_deleted")}[place]

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(*where, die)
        assert program.run(*DELETE, "--yes").code == 130
    assert "acme/chat" in names(program)
    assert program.json(*DELETE, "--yes")["state"] == "deleted"
    assert names(program) == ["acme/other"]
    assert three.is_dir()
    assert program.run("fsck").code == 0


def test_a_version_that_is_published_meanwhile_keeps_the_model(
    program: Program, three: Path, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = model_deletion.mark_deleted

    def publish_first(*arguments: object) -> None:
        program.ok("publish", "acme/chat", files)
        mark(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(model_deletion, "mark_deleted", publish_first)
    with bucketry.open(str(three)) as registry, pytest.raises(RejectedError, match=r"version 4 .* published meanwhile"):
        registry.delete_all_versions("acme/chat")
    assert [version["version"] for version in program.json("versions", "acme/chat")] == [4]


def test_at_most_so_many_models_are_listed_past_those_that_were_deleted(program: Program, three: Path) -> None:
    program.ok(*DELETE, "--yes")
    with bucketry.open_reader(str(three)) as reader:
        listing = bucketry_listing(reader, limit=1)
        assert listing == ["acme/other"]
        assert bucketry_listing(reader, limit=1, after="acme/other") == []


def bucketry_listing(reader: bucketry.Reader, *, limit: int, after: str | None = None) -> list[str]:
    from bucketry.registry.versions.listing import list_models  # noqa: PLC0415 - a service that no command calls with a limit

    behind = None if after is None else parse_model_name(after)
    return [str(found.model) for found in list_models(reader.session, limit=limit, after=behind)]
