"""Does an adapter come only together with exactly what it adapts?"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import CorruptError, NotFoundError, RejectedError
from bucketry.registry.reading import pull_bases
from bucketry.registry.reading.pull import PullOptions
from bucketry.registry.reading.pull_bases import find_bases
from registry.opened import open_in, publish

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bucketry.client import Registry

TUNED = "acme/tuned"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """Yield a registry with an adapter of an adapter of a base, which was itself made from another one."""
    with open_in(tmp_path, monkeypatch) as opened:
        publish(opened, tmp_path, "acme/origin", {"weights.bin": b"origin"})
        publish(opened, tmp_path, "acme/base", {"base.bin": b"base"}, base="acme/origin", relation="finetune")
        publish(opened, tmp_path, "acme/style", {"style.bin": b"style"}, base="acme/base", relation="adapter")
        publish(opened, tmp_path, TUNED, {"tuned.bin": b"tuned"}, base="acme/style", relation="adapter")
        yield opened


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_bases_come_beside_the_target_as_far_as_they_are_adapters(registry: Registry, tmp_path: Path) -> None:
    family = registry.pull_with_bases(TUNED, tmp_path / "serve" / "tuned")
    assert names(tmp_path / "serve") == {"tuned", "tuned-base", "tuned-base-2"}
    assert (tmp_path / "serve/tuned/tuned.bin").read_bytes() == b"tuned"
    assert (tmp_path / "serve/tuned-base/style.bin").read_bytes() == b"style"
    assert (tmp_path / "serve/tuned-base-2/base.bin").read_bytes() == b"base"
    assert [(str(base.pulled.resolved.model), base.relation) for base in family.bases] == [
        ("acme/style", "adapter"),
        ("acme/base", "adapter"),
    ]
    again = registry.pull_with_bases(TUNED, tmp_path / "serve" / "tuned")
    assert [pulled.fetched_bytes for pulled in (again.pulled, *(base.pulled for base in again.bases))] == [0, 0, 0]


def test_without_a_target_all_come_to_the_cache(registry: Registry, tmp_path: Path) -> None:
    family = registry.pull_with_bases(TUNED)
    assert {base.pulled.path.parent.name for base in family.bases} == {"style", "base"}
    assert all(base.pulled.path.is_relative_to(tmp_path / "cache") for base in family.bases)
    assert (family.bases[1].pulled.path / "base.bin").read_bytes() == b"base"


def test_what_is_no_adapter_comes_alone(registry: Registry, tmp_path: Path) -> None:
    assert registry.pull_with_bases("acme/base", tmp_path / "serve" / "base").bases == ()
    assert names(tmp_path / "serve") == {"base"}


def test_patterns_choose_files_of_the_adapter_and_bases_come_whole(registry: Registry, tmp_path: Path) -> None:
    publish(registry, tmp_path, "acme/two", {"a.bin": b"a", "b.txt": b"b"}, base="acme/base", relation="adapter")
    options = PullOptions(include=["*.txt"])
    registry.pull_with_bases("acme/two", tmp_path / "two", options=options)
    assert names(tmp_path / "two") == {"b.txt", ".bucketry"}
    assert names(tmp_path / "two-base") == {"base.bin", ".bucketry"}


def test_a_base_that_is_not_the_one_that_was_pinned_is_refused(registry: Registry, tmp_path: Path) -> None:
    resolved = registry.resolve(TUNED)
    other = publish(registry, tmp_path, "acme/style", {"style.bin": b"other"})
    [parent] = resolved.manifest.lineage.parents
    forged = replace(resolved.manifest.lineage, parents=(replace(parent, version=other.version),))
    lying = replace(resolved, manifest=replace(resolved.manifest, lineage=forged))
    with pytest.raises(CorruptError, match=r"acme/style:2 is not the base that acme/tuned:1 names"):
        find_bases(registry.session, lying)
    missing = replace(forged, parents=(replace(parent, version=9),))
    with pytest.raises(NotFoundError, match="acme/style:9"):
        find_bases(registry.session, replace(resolved, manifest=replace(resolved.manifest, lineage=missing)))


def test_the_target_does_not_appear_while_a_base_is_missing(registry: Registry, tmp_path: Path) -> None:
    for blob in (tmp_path / "registry" / "blobs" / "acme" / "base").rglob("*"):
        if blob.is_file():
            blob.unlink()
    with pytest.raises(CorruptError, match="of a base of it is missing"):
        registry.pull_with_bases(TUNED, tmp_path / "serve" / "tuned")
    assert not (tmp_path / "serve" / "tuned").exists()
    assert not (tmp_path / "serve" / "tuned-base").exists()


def test_what_lies_where_a_base_would_is_left_alone_and_stops_all(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "serve" / "tuned-base").mkdir(parents=True)
    (tmp_path / "serve" / "tuned-base" / "mine.txt").write_text("mine")
    with pytest.raises(RejectedError, match="left untouched"):
        registry.pull_with_bases(TUNED, tmp_path / "serve" / "tuned")
    assert names(tmp_path / "serve") == {"tuned-base", "tuned-base-2"}
    assert names(tmp_path / "serve" / "tuned-base") == {"mine.txt"}


def test_a_chain_without_end_is_not_followed(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull_bases, "MOST_BASES", 1)
    with pytest.raises(RejectedError, match="more than 1 bases"):
        registry.pull_with_bases(TUNED)


def test_the_receipt_of_a_base_is_its_own(registry: Registry, tmp_path: Path) -> None:
    registry.pull_with_bases(TUNED, tmp_path / "tuned")
    receipt = json.loads((tmp_path / "tuned-base" / ".bucketry" / "receipt.json").read_bytes())
    assert (receipt["model"], receipt["version"]) == ("acme/style", 1)
    done = registry.report("acme/style:1", environment="prod", instance="n", path=tmp_path / "tuned-base")
    assert done.version == 1
