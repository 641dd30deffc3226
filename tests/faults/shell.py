"""How is the program run alone against the proxy, and told to stop?"""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cli.harness import PROGRAM
from faults.scene import check_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from signal import Signals

    from servers.process import S3Server

GRACE_SECONDS = 2.0
START_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Running:
    """The program at work."""

    process: subprocess.Popen[str]

    def stop(self, number: Signals, *, exit_code: int) -> None:
        """Send a signal, and check that the program is gone soon, with this exit code and one line."""
        self.process.send_signal(number)
        stopped_at = time.monotonic()
        said, errors = self.process.communicate(timeout=START_SECONDS)
        seconds = time.monotonic() - stopped_at
        assert self.process.returncode == exit_code, errors
        # Two seconds of a machine that has time for us: with more work than processors, all of it takes longer.
        assert seconds < GRACE_SECONDS * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
        assert said == ""
        assert errors.count("\n") == 1
        assert errors.startswith("error[")
        check_line(errors.rstrip("\n"))


@contextmanager
def running(server: S3Server, prefix: str, *arguments: str | Path) -> Iterator[Running]:
    """Run the program on the registry at a prefix; it does not outlive the block."""
    process = subprocess.Popen(
        [*PROGRAM, *map(str, arguments)],
        env=_environment(server, prefix),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield Running(process)
        finally:
            process.kill()


def _environment(server: S3Server, prefix: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return kept | {
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret_key,
        "AWS_ENDPOINT_URL_S3": server.endpoint_url,
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "BUCKETRY_REGISTRY": f"s3://{server.bucket}/{prefix}",
        "BUCKETRY_IDENTITY": "ada@example.org",
        "PYTHONPATH": str(Path(__file__).parents[2] / "src"),
    }
