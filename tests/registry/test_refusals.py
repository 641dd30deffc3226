"""Without a trust file, is what somebody refused still not handed out by an alias, and by a number only with a word?"""

from __future__ import annotations

import threading
import warnings
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from bucketry import RefusedVersionWarning
from bucketry.client import Reader, Registry, open_reader
from bucketry.errors import BucketryError, RejectedError
from bucketry.jobs.client import submit_pull
from bucketry.jobs.orders import PullOrder
from bucketry.jobs.pull import do_pull
from bucketry.registry.core.registers import load_alias
from bucketry.registry.core.resolve import resolve
from bucketry.registry.reading import pull as pulling
from bucketry.registry.reading.pull import PullOptions
from bucketry.registry.review.refusals import carried_refusals
from bucketry.schema.documents.states import State
from bucketry.schema.names import parse_alias, parse_model_name, parse_reference
from bucketry.transfer.down import download
from bucketry.transfer.pace.controls import Controls
from registry.opened import CHAT, open_in, publish
from registry.safetensors_files import make_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bucketry.registry.serving.watch import WatchedMove
    from bucketry.store.contract import ETag, Object

PRODUCTION = f"{CHAT}@production"
WHY = "leaks training data"
TOLD = rf"acme/chat@production names version 1, which ada@example\.org revoked at 20.*Z: {WHY}"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """Yield a registry whose production is a version that was approved and then revoked."""
    with open_in(tmp_path, monkeypatch) as opened:
        weights = make_file({"w": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}, b"1234")
        publish(opened, tmp_path, CHAT, {"a.safetensors": weights, "config.json": b"{}"})
        publish(opened, tmp_path, CHAT, {"config.json": b"{ }"})
        opened.review(f"{CHAT}:1", "approve")
        opened.promote(f"{CHAT}:1", "production")
        yield opened


def revoke(registry: Registry) -> None:
    registry.review(f"{CHAT}:1", "revoke", comment=WHY)


def uses(folder: Path) -> dict[str, Callable[[Reader, str, dict[str, Any]], object]]:
    """Return every way to get bytes of a version out of a reader."""

    def read(reader: Reader, reference: str, options: dict[str, Any]) -> bytes:
        with reader.open(reference, "config.json", **options) as file:
            return file.read_range(0, 2)

    def read_resolved(reader: Reader, reference: str, options: dict[str, Any]) -> bytes:
        with reader.open(reader.resolve(reference), "config.json", **options) as file:
            return file.read_range(0, 2)

    return {
        "pull": lambda reader, reference, options: reader.pull(reference, folder / "dest", **options),
        "pull to the cache": lambda reader, reference, options: reader.pull(reference, **options),
        "pull with bases": lambda reader, reference, options: reader.pull_with_bases(reference, **options),
        "open": read,
        "open what was resolved": read_resolved,
        "tensors": lambda reader, reference, options: reader.tensors(reference, **options),
        "read a tensor": lambda reader, reference, options: reader.read_tensor(reference, "w", **options),
    }


@pytest.mark.parametrize("use", list(uses(None)))  # type: ignore[arg-type]
def test_by_alias_what_was_refused_is_refused_with_who_when_and_why_unless_the_caller_insists(
    registry: Registry, tmp_path: Path, use: str
) -> None:
    revoke(registry)
    with open_reader(str(tmp_path / "registry")) as reader:
        with pytest.raises(RejectedError, match=TOLD) as refused:
            uses(tmp_path)[use](reader, PRODUCTION, {})
        assert "--allow-rejected" in refused.value.advice
        assert not (tmp_path / "dest").exists()
        with pytest.warns(RefusedVersionWarning, match=WHY):
            uses(tmp_path)[use](reader, PRODUCTION, {"allow_rejected": True})


@pytest.mark.parametrize("use", list(uses(None)))  # type: ignore[arg-type]
@pytest.mark.parametrize("by", ["number", "digest"])
def test_by_number_or_digest_it_comes_with_a_warning(registry: Registry, tmp_path: Path, use: str, by: str) -> None:
    revoke(registry)
    reference = f"{CHAT}:1" if by == "number" else f"{CHAT}@sha256:{registry.resolve(f'{CHAT}:1').digest}"
    with pytest.warns(RefusedVersionWarning, match=rf"this is acme/chat version 1, which ada.* revoked at .*: {WHY}"):
        uses(tmp_path)[use](registry, reference, {})


@pytest.mark.parametrize("use", list(uses(None)))  # type: ignore[arg-type]
def test_of_what_nobody_refused_no_word_is_said(registry: Registry, tmp_path: Path, use: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for reference in (PRODUCTION, f"{CHAT}:1"):
            uses(tmp_path)[use](registry, reference, {})


def test_a_version_that_was_refused_and_then_retired_is_refused_still(registry: Registry, tmp_path: Path) -> None:
    revoke(registry)
    registry.retire(f"{CHAT}:1")
    with pytest.raises(RejectedError, match=TOLD):
        registry.pull(PRODUCTION, tmp_path / "dest")
    with pytest.warns(RefusedVersionWarning, match=WHY):
        registry.pull(f"{CHAT}:1", tmp_path / "dest")


def test_that_the_version_is_here_already_changes_nothing(registry: Registry, tmp_path: Path) -> None:
    registry.pull(PRODUCTION, tmp_path / "dest")
    registry.pull(PRODUCTION)
    revoke(registry)
    for dest in (tmp_path / "dest", None):
        with pytest.raises(RejectedError, match=TOLD):
            registry.pull(PRODUCTION, dest)
    assert (tmp_path / "dest/config.json").read_bytes() == b"{}"  # whoever serves it goes on until told otherwise


def test_resolve_says_the_state_and_costs_what_it_cost(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    revoke(registry)
    registry.resolve(PRODUCTION)
    asked: Counter[str] = Counter()
    store = type(registry.session.store)
    get = store.get

    def counted(self: Any, key: str, *, unless: ETag | None = None) -> Object:
        asked[key.partition("/")[0]] += 1
        return get(self, key, unless=unless)

    monkeypatch.setattr(store, "get", counted)
    session = replace(registry.session)
    resolved = resolve(session, parse_reference(PRODUCTION))
    assert resolved.state is State.REJECTED
    assert [(one.principal, one.reason) for one in resolved.refusals] == [("ada@example.org", WHY)]
    assert sum(asked.values()) <= 2


def test_a_refusal_that_comes_while_bytes_move_keeps_the_target_from_appearing(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = download.fetch

    def fetch_slowly(*args: Any, **options: Any) -> Any:
        fetched = fetch(*args, **options)
        revoke(registry)
        return fetched

    monkeypatch.setattr(pulling, "fetch", fetch_slowly)
    with pytest.raises(RejectedError, match=TOLD):
        registry.pull(PRODUCTION, tmp_path / "dest")
    assert not (tmp_path / "dest").exists()


def test_an_alias_that_moved_while_bytes_moved_does_not_stop_what_was_resolved(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = download.fetch

    def fetch_slowly(*args: Any, **options: Any) -> Any:
        fetched = fetch(*args, **options)
        registry.promote(f"{CHAT}:2", "production")
        return fetched

    monkeypatch.setattr(pulling, "fetch", fetch_slowly)
    registry.pull(PRODUCTION, tmp_path / "dest")
    assert (tmp_path / "dest/config.json").read_bytes() == b"{}"


def test_a_decision_that_cannot_be_read_leaves_what_the_state_says(registry: Registry) -> None:
    revoke(registry)
    model = parse_model_name(CHAT)
    register = load_alias(registry.session, model, parse_alias("production")).state
    assert register is not None
    assert carried_refusals(replace(register, reviews=({"payload": "!"}, *register.reviews, 5)))[0].reason == WHY
    assert carried_refusals(replace(register, reviews=())) == ()


def test_hostile_reasons_are_told_in_one_plain_line(registry: Registry, tmp_path: Path) -> None:
    registry.review(f"{CHAT}:1", "revoke", comment="\x1b[2J\nbad\n" + "x" * 5_000)
    with pytest.raises(RejectedError) as refused:
        registry.pull(PRODUCTION, tmp_path / "dest")
    assert refused.value.message.isprintable()
    assert len(refused.value.message) < 500


def test_an_adapter_is_no_better_than_its_base(registry: Registry, tmp_path: Path) -> None:
    publish(registry, tmp_path, "acme/tuned", {"t.bin": b"t"}, base=f"{CHAT}:1", relation="adapter")
    registry.promote("acme/tuned:1", "production")
    revoke(registry)
    dest = tmp_path / "tuned"
    with pytest.raises(RejectedError, match=rf"the base of acme/tuned@production is acme/chat version 1, .*{WHY}"):
        registry.pull_with_bases("acme/tuned@production", dest)
    assert not dest.exists()
    with pytest.warns(RefusedVersionWarning, match=WHY):
        registry.pull_with_bases("acme/tuned:1", dest)
    with pytest.warns(RefusedVersionWarning, match=WHY):
        registry.pull_with_bases("acme/tuned@production", tmp_path / "again", allow_rejected=True)


class EnoughError(Exception):
    """The watch has looked as often as the test lets it."""


def watched(
    registry: Registry, *steps: Callable[[], object], allow_rejected: bool = False
) -> tuple[list[tuple[int | None, State | None]], list[str]]:
    """Return what a reader's watch yields while the steps are made between its looks, and what it leaves out."""
    left = list(steps)
    refused: list[str] = []

    def sleep(_: float) -> None:
        if not left:
            raise EnoughError
        left.pop(0)()

    def leave_out(move: WatchedMove, why: BucketryError) -> None:
        refused.append(f"{move.version}: {why.message}")

    session = replace(registry.session, clock=replace(registry.session.clock, sleep=sleep))
    moves = []
    watching = Reader(session).watch(PRODUCTION, allow_rejected=allow_rejected, on_refusal=leave_out)
    with suppress(EnoughError):
        for move in watching:
            moves.append((move.version, move.state))  # noqa: PERF401 - what came before the end counts
    return moves, refused


def test_a_watch_leaves_out_a_move_to_what_was_refused(registry: Registry) -> None:
    revoke(registry)
    moves, refused = watched(registry, lambda: None, lambda: registry.promote(f"{CHAT}:2", "production"))
    assert moves == [(2, "registered")]
    assert len(refused) == 1
    assert WHY in refused[0]
    assert watched(registry)[0] == [(2, "registered")]


def test_a_watch_tells_that_what_it_told_was_refused(registry: Registry) -> None:
    moves, refused = watched(registry, lambda: revoke(registry), lambda: None)
    assert (moves, refused) == ([(1, "approved"), (1, "rejected")], [])


def test_a_watch_tells_of_what_was_refused_to_whom_insists(registry: Registry) -> None:
    revoke(registry)
    assert watched(registry, allow_rejected=True) == ([(1, "rejected")], [])


def test_a_detached_pull_is_refused_when_it_is_ordered_and_when_it_is_done(registry: Registry, tmp_path: Path) -> None:
    where, model = str(tmp_path / "registry"), parse_model_name(CHAT)
    manifest = registry.resolve(PRODUCTION).digest

    def order(reference: str, options: PullOptions) -> PullOrder:
        place = tmp_path / "dest"
        identity = registry.session.registry.registry
        return PullOrder("t", where, identity, reference, model, 1, manifest, place, None, {}, options)

    revoke(registry)
    with pytest.raises(RejectedError, match=TOLD):
        submit_pull(where, parse_reference(PRODUCTION), tmp_path / "dest")

    def do(ordered: PullOrder) -> str:
        return do_pull(ordered, Controls(2, None), threading.Event(), lambda _: None).refused

    with pytest.raises(RejectedError, match=TOLD):
        do(order(PRODUCTION, PullOptions()))
    assert WHY in do(order(f"{CHAT}:1", PullOptions()))
    assert WHY in do(order(PRODUCTION, PullOptions(allow_rejected=True)))


def test_options_insist_as_the_argument_does(registry: Registry, tmp_path: Path) -> None:
    revoke(registry)
    with pytest.warns(RefusedVersionWarning, match=WHY):
        assert registry.pull(PRODUCTION, tmp_path / "dest", options=PullOptions(allow_rejected=True)).exists()
