"""What do tests of the screens stand on? A registry with a history, the app without a terminal, and what it shows."""

from __future__ import annotations

import functools
import os
import re
import threading
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bucketry.clock import Clock
from bucketry.index.store import Index
from bucketry.registry.core.opening import probe_store, record_conformance
from bucketry.registry.core.session import Session
from bucketry.registry.publishing.registration import PreparedVersion, register_version
from bucketry.registry.review.policies import set_policy
from bucketry.registry.review.reviewing import decide
from bucketry.registry.serving.aliases import promote
from bucketry.registry.versions.lifecycle import LabelEdit, edit_model, edit_version
from bucketry.schema.documents.evidence import Evidence, Metric
from bucketry.schema.documents.manifest import Training
from bucketry.schema.documents.policy import parse_policy_toml
from bucketry.schema.documents.reviews import Action
from bucketry.schema.names import AliasName, ModelName
from bucketry.store.memory import MemoryStore
from bucketry.tui.data.source import Source
from bucketry.tui.drawing.terminal import Terminal
from bucketry.tui.shell.app import BucketryApp
from bucketry.tui.shell.frame import Panel
from bucketry.tui.shell.settings import Settings
from simulation.actors import CONTENTS, Uploader, make_manifest
from simulation.world import Bucket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from textual.pilot import Pilot

    from bucketry.errors import BucketryError
    from bucketry.store.contract import Store

RISK, CHAT, EMPTY = ModelName("default", "credit-risk"), ModelName("acme", "chat"), ModelName("acme", "nothing")
OPS, REVIEWER, TRAINER = "ops", "rev1@example.org", "ci-2@example.org"
PRODUCTION, STAGING = AliasName("production"), AliasName("staging")
NOW = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)
HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202egnp.exe\u200b\x9b31m\x7f[/nope][@click=app.exit]"
SNAPSHOTS = Path(__file__).parent / "snapshots"
XTERM = Terminal("xterm-256color", is_unicode=False, is_ssh=False, is_tmux=False, colours=256, is_light=False)
ROUND_SECONDS, CALM_ROUNDS = 0.01, 3
LONGEST_HOLD_SECONDS = 10
POLICY = """
approvals_required = 1
protected_aliases = ["production"]
"""


@dataclass
class StandingClock:
    """The time of a test; it stands unless it is moved."""

    at: datetime = NOW - timedelta(days=1)

    def now(self) -> datetime:
        return self.at


@dataclass
class Registry:
    """A registry and the sessions of its people."""

    store: Store = field(default_factory=MemoryStore)
    clock: StandingClock = field(default_factory=StandingClock)

    def session(self, actor: str = OPS, *, read_only: bool = False) -> Session:
        return Session(self.store, actor, Clock(now=self.clock.now), read_only=read_only)

    def publish(self, model: ModelName, version: int, *, notes: str = "", labels: dict[str, str] | None = None) -> None:
        auc, p95 = round(0.9 + version * 0.0015, 4), 40 + version / 2
        made = make_manifest(model, [CONTENTS[1 + version % 4]], notes=notes)
        evidence = Evidence("automated", (Metric("auc", auc, direction="higher"), Metric("p95_ms", p95)))
        manifest = replace(
            made,
            created_by=TRAINER,
            created_at=(NOW - timedelta(days=20 - version)).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            training=Training({"lr": 0.001, "seed": version}),
            evidence_at_publish=(evidence,),
        )
        session = self.session(TRAINER)
        prepared = PreparedVersion(manifest, {"auc": auc, "p95_ms": p95}, labels or {})
        register_version(session, prepared, Uploader(session, model))

    def decide(
        self, version: int, action: Action, *, by: str = REVIEWER, comment: str = "", model: ModelName = RISK
    ) -> None:
        decide(self.session(by), model, version, action, comment=comment)


def empty_registry(store: Store | None = None) -> Registry:
    registry = Registry(store) if store is not None else Registry()
    session = registry.session()
    record_conformance(session, probe_store(session), create=True)
    return registry


def filled_registry(store: Store | None = None, *, text: str = "slow on long inputs") -> Registry:
    """Return a registry in which most things have happened; `text` is in every field that takes any text."""
    if store is not None:
        return _fill(empty_registry(store), text)
    bucket = Bucket()
    bucket.restore(_content_of_a_filled_registry(text))
    return Registry(bucket, StandingClock(NOW))


@functools.cache
def _content_of_a_filled_registry(text: str) -> dict[str, object]:
    bucket = Bucket()
    _fill(empty_registry(bucket), text)
    return bucket.snapshot()


def _fill(registry: Registry, text: str) -> Registry:
    for version in range(1, 13):
        registry.publish(RISK, version, notes=text if version == 12 else "")
    registry.publish(CHAT, 1)
    session = registry.session()
    set_policy(session, RISK, parse_policy_toml(POLICY, what="p"))
    for version in (8, 9):
        registry.decide(version, Action.APPROVE, comment=text)
        promote(session, RISK, version, PRODUCTION, reason=text)
    promote(session, RISK, 11, STAGING)
    registry.decide(10, Action.REJECT, comment=text)
    registry.decide(12, Action.REQUEST, by=TRAINER, comment=text)
    edit_version(session, RISK, 12, notes=text, labels=LabelEdit({"team": text[:40]}))
    edit_model(session, RISK, description=text)
    registry.clock.at = NOW
    return registry


class Desk:
    """The app as a test sees it."""

    def __init__(self, app: BucketryApp, pilot: Pilot[None]) -> None:
        self.app = app
        self._pilot = pilot

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self._pilot.press(key)
            await self.settle()

    async def press_only(self, *keys: str) -> None:
        """Press keys without waiting for what they began in the background."""
        for key in keys:
            await self._pilot.press(key)
            await self._pilot.pause(ROUND_SECONDS)

    async def type(self, text: str) -> None:
        names = {
            " ": "space",
            ":": "colon",
            "/": "slash",
            "-": "minus",
            "@": "at",
            "=": "equals_sign",
            ">": "greater_than_sign",
        }
        for character in text:
            await self._pilot.press(names.get(character, character))
        await self.settle()

    async def resize(self, width: int, height: int) -> None:
        await self._pilot.resize_terminal(width, height)
        await self.settle()

    async def settle(self) -> None:
        """Wait until nothing is under way and what is shown stays."""
        before, calm_rounds = "", 0
        deadline = time.monotonic() + LONGEST_HOLD_SECONDS
        while time.monotonic() < deadline:
            # Timers that are due by then come first, so that what they begin is seen by the next round.
            await self._pilot.pause(ROUND_SECONDS)
            is_calm = before == (before := self.text) and self.app.background.is_idle and self.app.view.display
            calm_rounds = calm_rounds + 1 if is_calm else 0
            if calm_rounds == CALM_ROUNDS:
                return
        raise AssertionError("the screens did not come to rest")

    @property
    def lines(self) -> list[str]:
        # Only the toolkit's compositor knows what is on the screen as a whole.
        return [strip.text.rstrip() for strip in self.app.screen._compositor.render_strips()]  # noqa: SLF001 - the toolkit has no other way

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def top(self) -> str:
        return self.lines[0]

    @property
    def notice(self) -> str:
        """What is said, on its line or, where it is longer than that, in the box above."""
        boxed = self.app.query_one(Panel).text if "+--" in self.text else ""
        return " ".join([*boxed.split(), self.lines[-2].strip()])

    @property
    def cursor_line(self) -> str:
        return next(line for line in self.lines if line.startswith(">"))

    async def wait_for(self, text: str) -> None:
        """Wait until a text is on the screen, while something is under way."""
        await self.wait_until(lambda: text in self.text, f"{text!r} did not appear")

    async def wait_until(self, is_so: Callable[[], bool], else_said: str = "it did not come to pass") -> None:
        """Wait for what something under way brings about."""
        deadline = time.monotonic() + LONGEST_HOLD_SECONDS
        while not is_so():
            assert time.monotonic() < deadline, f"{else_said}:\n{self.text}"
            await self._pilot.pause(ROUND_SECONDS)

    async def wait(self, seconds: float) -> None:
        await self._pilot.pause(seconds)


@asynccontextmanager
async def open_desk(
    registry: Registry,
    *,
    size: tuple[int, int] = (80, 24),
    session: Session | None = None,
    terminal: Terminal = XTERM,
    settings: Settings | None = None,
    read_only: bool = False,
    index: Index | None = None,
    rests: bool = True,
) -> AsyncIterator[Desk]:
    """Run the screens of a registry without a terminal."""
    opened = index or Index(None)
    source = Source(session or registry.session(), opened)
    app = BucketryApp(source, terminal, settings=settings or Settings(time="utc"), read_only=read_only)
    try:
        async with app.run_test(size=size) as pilot:
            desk = Desk(app, pilot)
            if rests:
                await desk.settle()
            yield desk
    finally:
        assert app.background.stop(patience_seconds=LONGEST_HOLD_SECONDS)
        opened.close()


def check_snapshot(name: str, text: str) -> None:
    """Compare with the file of this name; written anew if the environment variable BUCKETRY_SNAPSHOTS is `write`."""
    path = SNAPSHOTS / f"{name}.txt"
    shown = re.sub(r" +[0-9]+ ms", "    ? ms", text) + "\n"
    if os.environ.get("BUCKETRY_SNAPSHOTS") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(shown, encoding="utf-8")
    assert shown == path.read_text(encoding="utf-8"), f"{path} differs; look at it, then write it anew"


class Wire:
    """A store whose line can be cut or held."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.fault: BucketryError | None = None
        self.open = threading.Event()
        self.open.set()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **named: Any) -> Any:
            self.open.wait(LONGEST_HOLD_SECONDS)
            if self.fault is not None:
                raise self.fault
            return found(*arguments, **named)

        return call
