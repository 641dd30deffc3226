"""Is a replica of a part of a registry legal by itself, and what it does not hold "not here" rather than damage?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bucketry.errors import NotFoundError, UsageError
from bucketry.maintenance.fsck.registry import check_registry
from bucketry.registry.core.registers import load_head
from bucketry.registry.core.resolve import resolve
from bucketry.registry.reading.pull import pull
from bucketry.registry.serving.aliases import promote
from bucketry.schema import keys
from bucketry.schema.documents.replica import Selection
from bucketry.schema.names import AliasName, parse_reference
from bucketry.store.contract import Entry
from maintenance.planting import publish_child
from maintenance.replicas import Noting, Pair, assert_whole, content, pair, registers_of
from simulation.actors import BASE, CHAT, PRODUCTION
from simulation.scenes import FEW, SEALED

if TYPE_CHECKING:
    from pathlib import Path

CHAT_ONLY = Selection(models=("acme/ch*",))
SERVED = Selection(aliases=(PRODUCTION,))


def blobs(bucket: Noting) -> set[str]:
    return {entry.key for entry in bucket.list(keys.BLOBS) if isinstance(entry, Entry)}


def test_models_that_were_not_selected_are_not_here() -> None:
    both = pair(FEW)
    publish_child(both.at_source())
    assert both.mirror(CHAT_ONLY).complete
    assert set(registers_of(both.target)) == {keys.head(CHAT), keys.alias(CHAT, PRODUCTION)}
    assert load_head(both.at_replica(), BASE).state is None
    assert_whole(both.at_replica())


def test_with_aliases_only_what_they_name_has_its_files_here() -> None:
    both = pair(FEW)
    promote(both.at_source(), CHAT, 3, AliasName("staging"))
    both.mirror(SERVED)
    assert registers_of(both.target) == registers_of(both.source)
    named = resolve(both.at_source(), parse_reference("acme/chat@production"))
    assert blobs(both.target) == set(named.blob_keys().values())
    assert_whole(both.at_replica())


def test_a_pull_of_what_is_not_here_ends_with_3_and_says_where_it_is(tmp_path: Path) -> None:
    both = pair(FEW)
    both.mirror(SERVED)
    missing = next(
        n for n in (1, 2, 3) if n != resolve(both.at_source(), parse_reference("acme/chat@production")).version
    )
    with pytest.raises(NotFoundError, match="not here") as refused:
        pull(both.at_replica(), parse_reference(f"acme/chat:{missing}"), tmp_path / "dest")
    assert refused.value.exit_code == 3
    assert "s3://source" in refused.value.advice


def test_files_follow_the_alias() -> None:
    both = pair(SEALED)
    both.mirror(SERVED)
    promote(both.at_source(), CHAT, 3, PRODUCTION)
    report = both.mirror(SERVED)
    assert report.registers == 1
    assert set(resolve(both.at_source(), parse_reference("acme/chat:3")).blob_keys().values()) <= blobs(both.target)
    assert_whole(both.at_replica())


def test_a_wider_selection_brings_the_rest_and_a_narrower_one_takes_nothing_away() -> None:
    both = pair(FEW)
    both.mirror(SERVED)
    wider = both.mirror()
    assert wider.complete
    assert blobs(both.target) == blobs(both.source)
    assert_whole(both.at_replica())
    before = content(both.target)
    both.mirror(SERVED)
    assert content(both.target) == before


def test_an_unchanged_partial_replica_costs_listings_alone() -> None:
    both = pair(SEALED)
    both.mirror(SERVED)
    both.forget()
    assert both.mirror(SERVED).models == 0
    assert set(both.source.asked) == {"get registry.json", "list aliases/", "list deployments/", "list heads/"}


def test_a_selected_file_that_is_missing_is_damage_all_the_same() -> None:
    both = pair(FEW)
    both.mirror(SERVED)
    for key in blobs(both.target):
        both.target.delete(key)
    assert check_registry(both.at_replica()).damage


def test_a_partial_replica_is_mirrored_as_it_is_or_not_at_all() -> None:
    both = pair(FEW)
    both.mirror(SERVED)
    further = Pair(both.target, Noting("s3://further"))
    assert further.mirror().selection == SERVED
    assert_whole(further.at_replica())
    with pytest.raises(UsageError, match="itself a replica"):
        Pair(both.target, Noting("s3://other")).mirror(CHAT_ONLY)
