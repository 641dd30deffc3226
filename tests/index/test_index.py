"""Is the local index what the bucket says, whatever happened in between, and is little read to keep it so?"""

from __future__ import annotations

import os
import random
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import nullcontext
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import DeniedError, NotFoundError, UnavailableError
from bucketry.index.freshness import freshen
from bucketry.index.refresh import refresh_index
from bucketry.index.review_queue import list_waiting
from bucketry.index.rows import READING, write_head
from bucketry.index.search import iter_versions_found, list_models_found
from bucketry.index.store import Index, find_index, open_index
from bucketry.registry.core.opening import open_session
from bucketry.registry.core.registers import load_head
from bucketry.registry.review.reviewing import ask_for_review
from bucketry.registry.serving.aliases import promote
from bucketry.registry.versions.evaluate import evaluate
from bucketry.registry.versions.lifecycle import edit_version, retire
from bucketry.schema import keys
from bucketry.schema.documents.evidence import Evidence, Metric
from bucketry.schema.search.query import parse_query
from bucketry.store.contract import Entry, Unconditional
from bucketry.transfer.disk.local_files import make_private_folder
from index.indexed import MODELS, change_at_random, dump, publish_at_random
from registry.opened import open_in, publish
from registry.test_costs import Counting
from simulation.actors import BASE, CHAT, PRODUCTION
from simulation.scenes import FEW, SEALED, begin, founder, new_registry
from simulation.world import SeededScript, World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bucketry.registry.core.session import Session
    from bucketry.schema.names import Digest
    from bucketry.store.contract import Folder

EVERYTHING = parse_query("")
ROOT = Path(__file__).parents[2]


class Listing(Counting):
    """A bucket that counts listings too."""

    def list(self, prefix: str, *, delimiter: str | None = None) -> Iterator[Entry | Folder]:
        self.requests["list"] += 1
        return super().list(prefix, delimiter=delimiter)


@pytest.fixture
def index() -> Iterator[Index]:
    with Index(None) as opened:
        yield opened


def made(*, sealed: bool = False) -> tuple[Listing, Session]:
    world, bucket = World(SeededScript(0)), Listing()
    begin(world, SEALED if sealed else FEW)
    bucket.restore(world.bucket.snapshot())
    session = founder(bucket)
    assert session.registry
    bucket.requests.clear()
    return bucket, session


def from_scratch(session: Session) -> dict[str, list[tuple[object, ...]]]:
    with Index(None) as fresh:
        refreshed = refresh_index(fresh, founder_of(session))
        assert (refreshed.is_complete, refreshed.details_left, refreshed.faults) == (True, 0, ())
        return dump(fresh)


def founder_of(session: Session) -> Session:
    """Return a session that has read nothing yet."""
    return founder(session.store)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.deep) for seed in range(2, 6))])
@pytest.mark.parametrize("sealed", [False, True])
def test_after_any_changes_an_old_index_is_what_a_new_one_is(index: Index, seed: int, *, sealed: bool) -> None:
    _, session = made(sealed=sealed)
    rng = random.Random(seed)
    for _ in range(5):
        change_at_random(session, rng, rng.randint(10, 50))
        refresh_index(index, session, details=rng.random() < 0.7)
    refresh_index(index, session)
    assert dump(index) == from_scratch(session)
    assert len(dump(index)["versions"]) > 20


def test_nothing_changed_costs_two_listings_and_nothing_else(index: Index) -> None:
    bucket, session = made(sealed=True)
    refresh_index(index, session)
    bucket.requests.clear()
    refreshed = refresh_index(index, session)
    assert bucket.requests == {"list": 2}
    assert (refreshed.heads_read, refreshed.rows_changed, refreshed.details_read) == (0, 0, 0)


def test_each_change_and_nothing_else_makes_a_new_edition_for_every_process(index: Index) -> None:
    _, session = made()
    with Index(index.path) as other:
        editions = [other.edition()]
        for change in (None, None, CHAT, None, BASE):
            if change is not None:
                publish_at_random(session, random.Random(1), change)
            refresh_index(index, session)
            editions.append(other.edition())
            refresh_index(other, session)
        assert other.edition() == editions[-1]
    assert [later > before for before, later in pairwise(editions)] == [True, False, True, False, True]


def test_a_new_version_costs_its_head_and_its_manifest(index: Index) -> None:
    bucket, session = made(sealed=True)
    refresh_index(index, session)
    publish_at_random(session, random.Random(1), BASE)
    bucket.requests.clear()
    refreshed = refresh_index(index, founder_of(session))
    assert bucket.requests == {"list": 2, "get": 2}
    assert (refreshed.heads_read, refreshed.rows_changed, refreshed.details_read) == (1, 1, 1)


def test_an_alias_that_moved_costs_its_register(index: Index) -> None:
    bucket, session = made()
    refresh_index(index, session)
    promote(session, CHAT, 1, PRODUCTION)
    bucket.requests.clear()
    assert refresh_index(index, founder_of(session)).aliases_read == 1
    assert bucket.requests == {"list": 2, "get": 1}


def test_later_evidence_costs_the_dossier_and_itself_and_no_manifest(index: Index) -> None:
    bucket, session = made()
    refresh_index(index, session)
    evaluate(session, CHAT, 1, [Evidence("automated", (Metric("auc", 0.25),))])
    bucket.requests.clear()
    refresh_index(index, founder_of(session))
    assert bucket.requests == {"list": 2, "get": 3}  # head, dossier, evidence
    assert versions(index, "auc=0.25") == ["acme/chat:1"]


def test_a_dossier_without_new_evidence_is_read_alone(index: Index) -> None:
    bucket, session = made()
    evaluate(session, CHAT, 1, [Evidence("automated", (Metric("auc", 0.25),))])
    refresh_index(index, session)
    edit_version(session, CHAT, 1, notes="Looked at on Monday")
    bucket.requests.clear()
    refresh_index(index, founder_of(session))
    assert bucket.requests == {"list": 2, "get": 2}
    assert versions(index, "notes:monday auc=0.25") == ["acme/chat:1"]


def test_without_details_no_manifest_is_read_and_what_is_left_is_counted(index: Index) -> None:
    bucket, session = made()
    refreshed = refresh_index(index, session, details=False)
    assert bucket.requests == {"list": 2, "get": 3}  # two heads, an alias
    assert (refreshed.details_read, refreshed.details_left) == (0, 5)


@pytest.mark.parametrize("after", range(9))
def test_whoever_is_interrupted_goes_on(index: Index, after: int) -> None:
    _, session = made(sealed=True)
    cancelled, seen = threading.Event(), []

    def progress(what: str, done: int, total: int) -> None:
        seen.append((what, done, total))
        if len(seen) > after:
            cancelled.set()

    refresh_index(index, session, progress=progress, cancelled=cancelled)
    if index.refreshed_at() is None:
        with pytest.raises(UnavailableError, match="nothing is known"):
            freshen(index, session, details=False, offline=True)
    refresh_index(index, session)
    assert dump(index) == from_scratch(session)
    assert index.refreshed_at() is not None


def test_a_reader_sees_what_is_written_while_a_refresh_goes_on(index: Index) -> None:
    _, session = made(sealed=True)
    seen: list[int] = []

    def look() -> None:
        seen.append(len(list(iter_versions_found(index, EVERYTHING))))

    def progress(*_: object) -> None:
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()

    refresh_index(index, session, progress=progress)
    assert seen == sorted(seen)
    assert seen[0] == 0
    assert seen[-1] == 192
    assert any(0 < count < 192 for count in seen)


def test_what_the_bucket_no_longer_has_leaves_the_index(index: Index) -> None:
    bucket, session = made()
    refresh_index(index, session)
    bucket.delete(keys.head(CHAT))
    bucket.delete(keys.alias(CHAT, PRODUCTION))
    refresh_index(index, session)
    assert [str(model.model) for model in list_models_found(index, EVERYTHING)] == ["acme/base"]
    assert dump(index) == from_scratch(session)


def test_another_registry_at_the_same_place_begins_anew(index: Index) -> None:
    bucket, session = made()
    refresh_index(index, session)
    bucket.restore({})
    fresh = founder(bucket)
    with pytest.raises(NotFoundError, match="no registry"):
        refresh_index(index, fresh)
    assert versions(index, "") != []  # nothing is thrown away because nothing was found
    new = new_registry(bucket)
    registers = [
        entry.key for prefix in (keys.HEADS, keys.ALIASES) for entry in bucket.list(prefix) if isinstance(entry, Entry)
    ]
    for key in (keys.REGISTRY, *registers):
        body = bucket.get(key).body.replace(b"0123456789abcdef", b"fedcba9876543210")
        bucket.put(key, body, Unconditional())
    new.forget_registry()
    refresh_index(index, new)
    assert versions(index, "") == []


def test_another_registry_with_the_same_models_is_read_anew(index: Index) -> None:
    bucket, session = made()
    refresh_index(index, session)
    registers = [
        entry.key for prefix in (keys.HEADS, keys.ALIASES) for entry in bucket.list(prefix) if isinstance(entry, Entry)
    ]
    for key in (keys.REGISTRY, *registers):
        body = bucket.get(key).body.replace(b"0123456789abcdef", b"fedcba9876543210")
        bucket.put(key, body, Unconditional())
    refreshed = refresh_index(index, founder(bucket))
    assert (refreshed.heads_read, refreshed.aliases_read, refreshed.details_read) == (2, 1, 5)


def test_a_registry_put_back_to_an_older_state_is_followed(index: Index) -> None:
    bucket, session = made()
    before = bucket.snapshot()
    change_at_random(session, random.Random(3), 60)
    refresh_index(index, session)
    newest = dump(index)
    bucket.restore(before)
    change_at_random(founder(bucket), random.Random(4), 20)
    refresh_index(index, founder(bucket))
    assert dump(index) == from_scratch(session) != newest


def test_what_an_older_reader_brings_does_not_replace_what_is_newer(index: Index) -> None:
    bucket, session = made()
    refresh_index(index, session)
    old = load_head(session, CHAT)
    planned = old.etag
    publish_at_random(session, random.Random(1), CHAT)
    refresh_index(index, founder(bucket))
    now = dump(index)
    assert old.state is not None
    with index.writing() as connection:
        late = replace(old.state, trail=old.state.trail)
        assert write_head(connection, late, "older", planned="another", directory=None) is None
    assert dump(index) == now
    assert planned != READING


@pytest.mark.parametrize("key", ["head", "page", "alias", "manifest", "evidence"])
def test_what_cannot_be_read_is_named_and_hinders_nothing_else(index: Index, key: str) -> None:
    bucket, session = made(sealed=True)
    evaluate(session, CHAT, 2, [Evidence("automated", (Metric("auc", 0.25),))])
    prefix = {"head": keys.head(CHAT), "alias": keys.ALIASES, "page": keys.PAGES, "manifest": keys.manifests(CHAT)}
    place = next(entry.key for entry in bucket.list(prefix.get(key, keys.EVIDENCE)) if entry.key)  # type: ignore[union-attr]
    if key == "page":
        place = keys.page(CHAT, page_of(session))
    whole = bucket.get(place).body
    bucket.put(place, b"{", Unconditional())
    for _ in range(2):
        refreshed = refresh_index(index, founder(bucket))
        assert refreshed.fault_count == 1
        assert place in refreshed.faults[0]
    assert "acme/base:1" in versions(index, "")
    bucket.put(place, whole, Unconditional())
    assert refresh_index(index, founder(bucket)).fault_count == 0
    assert {name: rows for name, rows in dump(index).items() if name != "models"} == {
        name: rows for name, rows in from_scratch(session).items() if name != "models"
    }


def page_of(session: Session) -> Digest:
    from bucketry.registry.core.registers import load_directory  # noqa: PLC0415 - for one test

    head = load_head(session, CHAT).state
    assert head is not None
    return load_directory(session, head).entries[0].page


def test_a_bucket_that_is_away_leaves_what_was_known(index: Index) -> None:
    bucket, session = made()
    refresh_index(index, session)
    known = dump(index)

    def away(_: str, *, delimiter: str | None = None) -> Iterator[Entry | Folder]:
        raise UnavailableError(f"nobody answers {delimiter}")

    bucket.list = away  # type: ignore[method-assign, assignment]
    freshness = freshen(index, session, details=True)
    assert freshness.refreshed is None
    assert "nobody answers" in freshness.reason
    assert freshness.as_of == index.refreshed_at()
    assert dump(index) == known


def test_ask_for_review_is_seen_by_the_queue_of_states(index: Index) -> None:
    _, session = made()
    ask_for_review(session, CHAT, 2)
    refresh_index(index, session, details=False)
    assert versions(index, "state:in_review") == ["acme/chat:2"]


def test_the_review_queue_reads_the_heads_of_candidates_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    bucket, session = made(sealed=True)
    for seed in range(3):
        publish_at_random(session, random.Random(seed), MODELS[2 + seed % 2])
    ask_for_review(session, CHAT, 2)
    with Index(None) as kept:
        monkeypatch.setattr("bucketry.index.review_queue.open_index", lambda _: nullcontext(kept))
        refreshed = refresh_index(kept, session)
        bucket.requests.clear()
        assert [(str(item.model), item.standing.row.version) for item in list_waiting(founder(bucket))] == [
            ("acme/chat", 2)
        ]
        assert bucket.requests["list"] == 2
        assert bucket.requests["get"] <= 6  # head, directory, page, dossier, request, policy
        retire(session, CHAT, 2)
        monkeypatch.setattr("bucketry.index.review_queue.refresh_index", lambda *_, **__: refreshed)
        assert list_waiting(founder(bucket)) == []  # the head is asked, whatever the index says


# The file -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """Return a session of a registry in a folder, which keeps its index in a file."""
    registry = open_in(tmp_path, monkeypatch)
    publish(registry, tmp_path, "acme/chat", {"a": b"1"})
    publish(registry, tmp_path, "acme/chat", {"a": b"2"})
    return registry.session


def test_the_file_belongs_to_its_owner_alone_and_is_found_again(folder: Session) -> None:
    with open_index(folder) as index:
        refresh_index(index, folder)
        path = index.path
        files = [file for file in path.parent.iterdir() if file.name.startswith(path.name)]
        assert len(files) >= 2
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert folder.profile is not None
    found = find_index(folder.profile)
    assert found is not None
    with found:
        assert versions(found, "") == ["acme/chat:2", "acme/chat:1"]


def test_other_places_have_other_files(folder: Session, tmp_path: Path) -> None:
    assert folder.profile is not None
    with open_index(folder) as index, open_index(replace(folder, profile=None)) as private:
        assert index.path != private.path
        place = private.path
    assert not place.exists()
    assert find_index(replace(folder.profile, url=str(tmp_path / "other"))) is None


DAMAGE = {
    "empty": b"",
    "text": b"this is no database\n" * 500,
    "zeros behind the header": None,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_thrown_away_and_filled_anew(folder: Session, damage: str) -> None:
    with open_index(folder) as index:
        refresh_index(index, folder)
        path, whole = index.path, dump(index)
    wrong = DAMAGE[damage]
    body = path.read_bytes()
    path.write_bytes(body[:100] + b"\0" * (len(body) - 100) if wrong is None else wrong)
    with open_index(folder) as index:
        refresh_index(index, folder)
        assert dump(index) == whole


def test_damage_that_comes_while_the_file_is_open_is_told_once(folder: Session) -> None:
    with open_index(folder) as index:
        refresh_index(index, folder)
        whole = dump(index)
        with index.writing() as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)") if not connection.in_transaction else None
        index.close()
        body = index.path.read_bytes()
        index.path.write_bytes(body[:4096] + b"\xff" * (len(body) - 4096))
        with pytest.raises(UnavailableError, match="thrown away"):
            versions(index, "")
        assert versions(index, "") == []
        refresh_index(index, folder)
        assert dump(index) == whole


def test_two_versions_of_the_program_leave_each_other_their_files(
    folder: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_index(folder) as index:
        refresh_index(index, folder)
        with monkeypatch.context() as another:
            another.setattr("bucketry.index.store.VERSION", 999)
            with open_index(folder) as newer:
                refresh_index(newer, folder)
                assert versions(newer, "") == versions(index, "")
    found = find_index(folder.profile) if folder.profile is not None else None
    assert found is not None
    with found:
        assert versions(found, "") == ["acme/chat:2", "acme/chat:1"]


@pytest.mark.parametrize("pragma", ["user_version = 999", "application_id = 7"])
def test_a_file_of_another_version_is_filled_anew(folder: Session, pragma: str) -> None:
    with open_index(folder) as index:
        refresh_index(index, folder)
        path, whole = index.path, dump(index)
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA {pragma}")
    connection.execute("DROP TABLE metrics")
    connection.close()
    with open_index(folder) as index:
        assert versions(index, "") == []
        refresh_index(index, folder)
        assert dump(index) == whole


def test_a_cache_that_cannot_be_written_is_done_without(
    folder: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("BUCKETRY_CACHE", str(tmp_path / "file"))
    with open_index(folder) as index:
        assert refresh_index(index, folder).models == 1
        path = index.path
    assert not path.exists()


def test_a_folder_that_is_a_link_is_not_followed(folder: Session, tmp_path: Path) -> None:
    place = tmp_path / "cache" / "index"
    place.mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (place / str(os.getuid())).symlink_to(tmp_path / "elsewhere")
    with open_index(folder) as index:
        assert "elsewhere" not in str(index.path.resolve())
    assert list((tmp_path / "elsewhere").iterdir()) == []


REFRESHING = """
import sys
from bucketry.registry.core.opening import open_session
from bucketry.index.refresh import refresh_index
from bucketry.index.store import open_index
session = open_session(sys.argv[1], identity="eve@example.org")
print("ready", flush=True)
sys.stdin.readline()
with open_index(session) as index:
    refreshed = refresh_index(index, session)
    assert refreshed.is_complete and not refreshed.faults, refreshed
"""


def test_processes_fill_one_index_at_once(folder: Session, tmp_path: Path) -> None:
    change_at_random(folder, random.Random(7), 150)
    where = str(tmp_path / "registry")
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", REFRESHING, where],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    ended = []
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        _, errors = process.communicate(timeout=120)
        ended.append((process.returncode, errors))
    assert ended == [(0, "")] * 3
    session = open_session(where, identity="eve@example.org")
    with open_index(session) as index, Index(None) as fresh:
        refresh_index(fresh, session)
        assert dump(index) == dump(fresh)
        assert {name for name, *_ in dump(index)["models"]} == {str(model) for model in MODELS}


def test_somebody_elses_folder_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(DeniedError, match="not a folder of this user"):
        make_private_folder(tmp_path / "1")


def versions(index: Index, query: str) -> list[str]:
    return [f"{found.model}:{found.version}" for found in iter_versions_found(index, parse_query(query))]
