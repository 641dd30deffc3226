"""How does a server look from far away? Behind a proxy that adds a latency, bounds the rate, and can be cut off."""

from __future__ import annotations

import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from benchmarks import shaped
from servers.process import S3Server, answers, find_free_ports, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Distance:
    """What each connection and each request costs, and how fast bytes come, in bytes a second for all together."""

    latency_seconds: float
    bytes_per_second: float


@dataclass(slots=True)
class FarServer:
    """A server, how it is reached from afar, and the line between, which can be cut and mended."""

    server: S3Server
    upstream: S3Server
    distance: Distance
    folder: Path
    _line: ExitStack = field(default_factory=ExitStack)

    def cut(self) -> None:
        """Let nobody through: connections end, new ones are refused."""
        self._line.close()

    def mend(self) -> None:
        """Let everybody through, at the same address."""
        own, behind = (urlsplit(one.endpoint_url).port for one in (self.server, self.upstream))
        assert own is not None
        rate = self.distance.bytes_per_second
        numbers = (own, behind, self.distance.latency_seconds, rate, rate)
        command = [sys.executable, str(shaped.__file__), str(self.folder / "far.json"), *map(str, numbers)]
        self._line.enter_context(running(command, {}, self.folder / "far.log", lambda: answers(own)))


@contextmanager
def run_far(upstream: S3Server, distance: Distance, folder: Path) -> Iterator[FarServer]:
    """Stand between a server and those far from it until the block ends."""
    (port,) = find_free_ports(1)
    reached = replace(upstream, endpoint_url=f"http://127.0.0.1:{port}")
    far = FarServer(reached, upstream, distance, folder)
    far.mend()
    try:
        yield far
    finally:
        far.cut()
