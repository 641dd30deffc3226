"""Does a client with several places serve from a replica, say so, and never go back because a replica is behind?"""

from __future__ import annotations

import json
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from bucketry.client import open_reader, open_registry
from bucketry.clock import Clock
from bucketry.errors import UnavailableError, UsageError
from bucketry.maintenance.mirror.mirror import mirror
from bucketry.registry.core.config import load_config
from bucketry.registry.core.opening import open_first_place, open_new_place, open_session
from bucketry.registry.serving.watch import watch
from bucketry.schema.names import parse_reference
from registry.opened import CHAT, open_in, publish

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PRODUCTION = parse_reference(f"{CHAT}@production")


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with `registry` and its `replica`, which is one promotion behind, as the profile `prod`."""
    with open_in(tmp_path, monkeypatch) as registry:
        publish(registry, tmp_path, CHAT, {"weights.bin": b"one"})
        publish(registry, tmp_path, CHAT, {"weights.bin": b"two"})
        registry.promote(f"{CHAT}:1", "production")
        mirror(open_first_place(str(tmp_path / "registry")), open_new_place(str(tmp_path / "replica"), create=True))
        registry.promote(f"{CHAT}:2", "production")
    (tmp_path / "config.toml").write_text(
        f'[registries.prod]\nurl = ["{tmp_path}/registry", "eu"]\n[registries.eu]\nurl = "{tmp_path}/replica"\n'
    )
    return tmp_path


@contextmanager
def away(folder: Path) -> Iterator[None]:
    """Take a place away for a while."""
    folder.rename(folder.with_name("elsewhere"))
    try:
        yield
    finally:
        folder.with_name("elsewhere").rename(folder)


def source_of(dest: Path) -> str:
    return str(json.loads((dest / ".bucketry" / "receipt.json").read_bytes())["source"])


def test_a_replica_serves_while_the_registry_is_away_and_the_receipt_says_which(places: Path) -> None:
    with open_reader("prod") as reader:
        assert reader.pull(f"{CHAT}@production", places / "first").joinpath("weights.bin").read_bytes() == b"two"
    assert source_of(places / "first") == f"file://{places}/registry"
    with away(places / "registry"), open_reader("prod") as reader:
        assert reader.pull(f"{CHAT}@production", places / "second").joinpath("weights.bin").read_bytes() == b"one"
    assert source_of(places / "second") == f"file://{places}/replica"


def test_a_replica_that_is_behind_does_not_replace_what_was_pulled(places: Path) -> None:
    with open_reader("prod") as reader:
        reader.pull(f"{CHAT}@production", places / "dest")
    with away(places / "registry"), open_reader("prod") as reader, pytest.raises(UnavailableError, match="a replica"):
        reader.pull(f"{CHAT}@production", places / "dest")
    assert (places / "dest" / "weights.bin").read_bytes() == b"two"


def test_a_watch_that_meets_a_replica_that_is_behind_waits(places: Path) -> None:
    steps = iter(["go", "stay", "come", "stay"])
    elsewhere = places / "elsewhere"

    def sleep(seconds: float) -> None:
        step = next(steps, "end") if seconds > 1 else ""
        if step == "go":
            (places / "registry").rename(elsewhere)
        elif step == "come":
            elsewhere.rename(places / "registry")
            with open_registry(str(places / "registry")) as registry:
                registry.promote(f"{CHAT}:1", "production")
        elif step == "end":
            raise StopIteration

    seconds = [0.0]

    def monotonic_seconds() -> float:
        seconds[0] += 20.0
        return seconds[0]

    session = open_session("prod", clock=Clock(sleep=sleep, monotonic_seconds=monotonic_seconds))
    moves = [move.version for move in islice(watch(session, PRODUCTION, interval_seconds=30), 2)]
    assert moves == [2, 1]


def test_writes_go_to_the_first_place_and_not_at_all_where_it_is_away(places: Path) -> None:
    with open_registry("prod") as registry:
        publish(registry, places, CHAT, {"weights.bin": b"three"})
    assert len(list((places / "registry/manifests/acme/chat").iterdir())) == 3
    assert len(list((places / "replica/manifests/acme/chat").iterdir())) == 2
    before = sorted(path.name for path in (places / "replica").rglob("*"))
    with away(places / "registry"), open_registry("prod") as registry, pytest.raises(Exception) as refused:  # noqa: PT011
        registry.promote(f"{CHAT}:1", "staging")
    assert getattr(refused.value, "exit_code", 0) in {4, 6}
    assert sorted(path.name for path in (places / "replica").rglob("*")) == before


def test_a_mirror_of_a_profile_with_replicas_reads_the_registry_itself(places: Path) -> None:
    with away(places / "registry"), pytest.raises(Exception, match="there is no registry at"):
        open_first_place("prod")
    assert mirror(open_first_place("prod"), open_new_place("eu", create=True)).registers == 1


@pytest.mark.parametrize(
    "url",
    ["[]", "[1]", '["eu", "/x"]', "{}", '["/a"' + ', "/b"' * 20 + "]"],
    ids=["none", "number", "name", "table", "many"],
)
def test_places_that_nobody_can_read_from_are_refused(places: Path, url: str) -> None:
    (places / "config.toml").write_text(f"[registries.eu]\nurl = '/x'\n[registries.prod]\nurl = {url}\n")
    with pytest.raises(UsageError, match=r"registries\.prod"):
        load_config()


def test_further_places_have_the_settings_of_the_first_unless_they_are_named(places: Path) -> None:
    (places / "config.toml").write_text(
        '[registries.eu]\nurl = "s3://eu/x"\nregion = "eu-west-1"\n'
        '[registries.prod]\nurl = ["s3://us/x", "s3://us2/x", "eu"]\nregion = "us-east-1"\n'
    )
    profile = load_config().find_profile("prod")
    assert [(one.url, one.s3["region"]) for one in (profile, *profile.replicas)] == [
        ("s3://us/x", "us-east-1"),
        ("s3://us2/x", "us-east-1"),
        ("s3://eu/x", "eu-west-1"),
    ]
