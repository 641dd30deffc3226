"""How do several programs run against one bucket so that one seed decides everything?

Each actor is a thread, and exactly one runs at a time: it passes a baton at every switching point (each call of the
store, and each sleep). Who runs next, how much time passes and what goes wrong is asked of a script, which draws
from a seed or walks through all possibilities. Time is virtual.
"""

from __future__ import annotations

import itertools
import random
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol, TypeVar

from bucketry.clock import Clock
from bucketry.store.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Item = TypeVar("Item")
Result = TypeVar("Result")

BEGINNING = datetime(2026, 3, 3, 12, 0, 0, tzinfo=UTC)
MOST_STEPS = 30_000
THREAD_SECONDS = 60.0


class Crash(BaseException):
    """The process of the running actor dies here."""


class Abort(BaseException):
    """The run is over."""


class Script(Protocol):
    """Where the decisions of a run come from."""

    def index(self, count: int) -> int:
        """Return one of 0 .. count-1."""
        ...

    def happens(self, one_in: int) -> bool:
        """Return whether something happens that happens once in so many times."""
        ...

    def chance(self) -> float:
        """Return a number in [0, 1) that decides nothing but lengths of time."""
        ...


class SeededScript:
    """Decisions drawn from a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def index(self, count: int) -> int:
        return int(self._random.random() * count)

    def happens(self, one_in: int) -> bool:
        return self.index(one_in) == 0

    def chance(self) -> float:
        return self._random.random()


class ExhaustiveScript:
    """All decisions, one run after the other: depth first, by replaying a prefix of choices."""

    def __init__(self) -> None:
        self._choices: list[tuple[int, int]] = []
        self._position = 0

    def index(self, count: int) -> int:
        if count < 2:
            return 0
        if self._position == len(self._choices):
            self._choices.append((0, count))
        choice, expected = self._choices[self._position]
        assert expected == count, "a run was not repeated exactly"
        self._position += 1
        return choice

    def happens(self, one_in: int) -> bool:
        return one_in == 1 or self.index(2) == 1

    def chance(self) -> float:
        return 0.0

    def advance(self) -> bool:
        """Go on to the next run; return False after the last."""
        self._position = 0
        while self._choices:
            choice, count = self._choices.pop()
            if choice + 1 < count:
                self._choices.append((choice + 1, count))
                return True
        return False


class Bucket(MemoryStore):
    """A perfect bucket whose content can be copied."""

    def snapshot(self) -> dict[str, object]:
        return dict(self._objects)

    def restore(self, objects: dict[str, object]) -> None:
        self._objects = dict(objects)  # type: ignore[arg-type]
        self._numbers = itertools.count(1_000_000)  # beyond the copied ETags, which must not recur


@dataclass(eq=False, slots=True)
class Actor:
    """One program. `transactions` are the ids of all logical writes that it began, in order."""

    name: str
    program: Callable[[Actor], None]
    world: World
    transactions: list[str] = field(default_factory=list)
    baton: threading.Lock = field(default_factory=threading.Lock)
    thread: threading.Thread | None = None
    wakes_at_seconds: float = 0.0
    finished: bool = False

    def clock(self) -> Clock:
        world = self.world
        return Clock(
            now=world.now,
            monotonic_seconds=lambda: world.now_seconds,
            sleep=world.sleep,
            chance=world.script.chance,
            new_transaction=self._new_transaction,
        )

    def _new_transaction(self) -> str:
        transaction = f"{next(self.world.numbers):032x}"
        self.transactions.append(transaction)
        return transaction


class World:
    """One run."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.now_seconds = 0.0
        self.bucket = Bucket(clock=self.now)
        self.replica: Bucket | None = None
        self.trace: list[tuple[object, ...]] = []
        self._in_flight: list[tuple[int, Callable[[], None]]] = []
        self.numbers = itertools.count(1)
        self.failures: list[str] = []
        self.actors: list[Actor] = []
        self._running: Actor | None = None
        self._steps = 0
        self._aborted = False
        self._over = threading.Lock()

    def now(self) -> datetime:
        return BEGINNING + timedelta(seconds=self.now_seconds)

    def add(self, name: str, program: Callable[[Actor], None]) -> Actor:
        actor = Actor(name, program, self)
        self.actors.append(actor)
        return actor

    def run(self) -> None:
        """Run all actors to their ends, and let every write that is still on its way arrive."""
        self._over.acquire()
        for actor in self.actors:
            actor.baton.acquire()
            actor.thread = threading.Thread(target=self._live, args=(actor,), daemon=True)
            actor.thread.start()
        self._pass_on(self._next())
        if not self._over.acquire(timeout=THREAD_SECONDS):
            self._aborted = True
            raise AssertionError("the simulation hangs")
        for actor in self.actors:
            if actor.thread is not None:
                actor.thread.join(THREAD_SECONDS)
        while self._in_flight:
            _, land = self._in_flight.pop(self.script.index(len(self._in_flight)))
            land()

    def send_late(self, land: Callable[[], None]) -> None:
        """Let a write arrive later: soon, or after much has happened."""
        self._in_flight.append((4 if self.script.chance() < 0.5 else 60, land))

    def note(self, *what: object) -> None:
        """Add a line to the trace."""
        name = self._running.name if self._running else "-"
        self.trace.append((self._steps, round(self.now_seconds, 3), name, *what))

    def switch(self, *, seconds: float = 0.0) -> None:
        """Let time pass, let writes arrive that are on their way, and let the script say who runs on."""
        me = self._running
        assert me is not None
        self._steps += 1
        if self._steps > MOST_STEPS:
            self.failures.append(f"no end after {MOST_STEPS} steps")
            self._aborted = True
        if self._aborted:
            raise Abort
        me.wakes_at_seconds = self.now_seconds + seconds
        self.now_seconds += self.script.chance() * 0.02
        self._land_some()
        following = self._next()
        if following is not me:
            self._pass_on(following)
            me.baton.acquire()
        if self._aborted:
            raise Abort

    def sleep(self, seconds: float) -> None:
        self.switch(seconds=seconds)

    def _land_some(self) -> None:
        for item in list(self._in_flight):
            one_in, land = item
            if self.script.happens(one_in):
                self._in_flight.remove(item)
                land()

    def _next(self) -> Actor:
        alive = [actor for actor in self.actors if not actor.finished]
        awake = [actor for actor in alive if actor.wakes_at_seconds <= self.now_seconds]
        if not awake:
            self.now_seconds = min(actor.wakes_at_seconds for actor in alive)
            awake = [actor for actor in alive if actor.wakes_at_seconds <= self.now_seconds]
        return awake[self.script.index(len(awake))]

    def _pass_on(self, actor: Actor) -> None:
        self._running = actor
        actor.baton.release()

    def _live(self, actor: Actor) -> None:
        actor.baton.acquire()
        try:
            if not self._aborted:
                actor.program(actor)
        except Abort:
            pass
        except BaseException as error:  # noqa: BLE001 - whatever it is, the run must end and tell it
            self.failures.append(f"{actor.name} failed: {error!r}")
            self._errors_from(error)
        actor.finished = True
        if all(other.finished for other in self.actors):
            self._over.release()
        else:
            self._pass_on(self._next())

    def _errors_from(self, error: BaseException) -> None:
        self.error = error


def one_after_another(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Map without threads: an actor is one thread, and each of its calls a switching point."""
    return [function(item) for item in items]
