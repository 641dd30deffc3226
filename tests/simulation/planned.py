"""A bucket whose replies are planned one by one, and a clock that only sleeping moves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bucketry.schema import keys
from simulation.world import Bucket

if TYPE_CHECKING:
    from collections.abc import Callable

    from bucketry.store.contract import Condition, ETag, Object

REGISTERS = (keys.HEADS, keys.ALIASES)


class Planned(Bucket):
    """A bucket whose replies to writes of registers are planned: each plan is used once, then all is well.

    A plan may apply the write (`self.really(...)`) or not, and returns or raises what the writer gets.
    """

    def __init__(self) -> None:
        super().__init__()
        self.plans: list[Callable[[str, bytes, Condition], ETag]] = []
        self.get_plans: list[Callable[[str], None]] = []
        self.puts: list[tuple[str, bytes, Condition]] = []

    def get(self, key: str, *, unless: ETag | None = None) -> Object:
        if self.get_plans and key.startswith(REGISTERS):
            self.get_plans.pop(0)(key)
        return super().get(key, unless=unless)

    def put(self, key: str, body: bytes, condition: Condition) -> ETag:
        self.puts.append((key, body, condition))
        if self.plans and key.startswith(REGISTERS):
            return self.plans.pop(0)(key, body, condition)
        return self.really(key, body, condition)

    def really(self, key: str, body: bytes, condition: Condition) -> ETag:
        return super().put(key, body, condition)


@dataclass
class VirtualClock:
    """A clock that only sleeping moves."""

    seconds: float = 0.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.slept.append(seconds)
