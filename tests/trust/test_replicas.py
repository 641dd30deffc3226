"""Does a strict reader serve from a replica what it would serve from the registry, and nothing that went back?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bucketry.client import open_reader
from bucketry.maintenance.fsck.registry import check_registry
from bucketry.maintenance.mirror.mirror import mirror
from bucketry.maintenance.mirror.restore import make_registry
from bucketry.registry.core.opening import open_first_place, open_new_place
from bucketry.schema.documents.reviews import Action
from bucketry.trust.generations import RollbackError
from bucketry.trust.judge import UntrustedError
from trust.people import ANNA, BERT

if TYPE_CHECKING:
    from pathlib import Path

    from trust.world import World


def mirrored(world: World, name: str = "replica") -> str:
    place = str(world.folder / name)
    report = mirror(open_first_place(world.url), open_new_place(place, create=True))
    assert report.complete
    return place


def served(place: str, world: World, dest: Path) -> str:
    with open_reader(place, trust=world.trust()) as reader:
        return (reader.pull("risk/chat@production", dest) / "weights.bin").read_text()


def test_a_strict_pull_from_a_replica_and_from_what_was_restored_works(approved: World, tmp_path: Path) -> None:
    replica = mirrored(approved)
    assert served(replica, approved, tmp_path / "one") == "weights 1"
    assert check_registry(open_first_place(replica), deep=True).findings == ()
    restored = str(tmp_path / "restored")
    mirror(open_first_place(replica), open_new_place(restored, create=True))
    make_registry(open_new_place(restored, create=True))
    assert served(restored, approved, tmp_path / "two") == "weights 1"
    assert check_registry(open_first_place(restored), deep=True).findings == ()


def test_a_refusal_comes_with_the_next_mirror(approved: World, tmp_path: Path) -> None:
    replica = mirrored(approved)
    approved.decide(BERT, Action.REVOKE, 1)
    mirrored(approved)
    with pytest.raises(UntrustedError, match=r"bert@example.org revoked it"):
        served(replica, approved, tmp_path / "dest")


def test_a_replica_that_is_behind_what_this_machine_saw_is_not_served(approved: World, tmp_path: Path) -> None:
    replica = mirrored(approved)
    approved.publish("weights 2")
    approved.decide(ANNA, Action.APPROVE, 2)
    approved.decide(BERT, Action.APPROVE, 2)
    approved.promote(2)
    assert approved.resolve().version == 2
    with pytest.raises(RollbackError):
        served(replica, approved, tmp_path / "dest")
    mirrored(approved)
    assert served(replica, approved, tmp_path / "dest") == "weights 2"
    low = approved.trust(top="lowest_generation = 900")
    with pytest.raises(UntrustedError), open_reader(replica, trust=low) as reader:
        reader.resolve("risk/chat@production")
