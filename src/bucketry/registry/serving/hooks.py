"""Tells of each move of an alias: to a command that is run, or to a URL that is posted to.

A command gets the move as JSON on its standard input and in its environment; it is split into words and no shell reads
it. Every variable of the move begins with BUCKETRY_MOVE_, so that none is taken for a setting of ours. A post carries
an HMAC-SHA256 of its body, so that the receiver knows who sent it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import shlex
import subprocess
import urllib.error
import urllib.request
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bucketry.clock import Backoff
from bucketry.errors import UnavailableError, UsageError
from bucketry.frozen import frozen
from bucketry.schema.codec import encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bucketry.clock import Clock
    from bucketry.registry.serving.watch import WatchedMove

SECRET_VARIABLE = "BUCKETRY_WEBHOOK_SECRET"  # noqa: S105 - the name of a variable
MOVE_PREFIX = "BUCKETRY_MOVE_"
"""No setting of ours begins so: BUCKETRY_STATE, say, is a folder."""
SIGNATURE_HEADER = "X-Bucketry-Signature"
MOST_TRIES = 4
FIRST_PAUSE_SECONDS = 4.0
POST_SECONDS = 10.0
STDERR_DESCRIPTOR = 2
"""Where a command's output goes: standard output is ours, and one document a line."""
COMMAND_SECONDS = 3_600.0
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def move_fields(move: WatchedMove) -> dict[str, object]:
    """Return the move as its JSON document's fields."""
    return {
        "model": str(move.model),
        "alias": move.alias,
        "version": move.version,
        "manifest": move.manifest,
        "generation": move.generation,
        "state": move.state,
        "since": move.since,
        "by": move.by,
    }


@frozen
class CommandHook:
    """Runs a command for each move, one at a time, for an hour at most.

    `registry` is what the watched registry can be opened by, if another process can open it.
    """

    words: Sequence[str]
    registry: str | None = None

    def tell(self, move: WatchedMove) -> None:
        """Run the command; raise `UnavailableError` if it cannot be run or fails."""
        fields = move_fields(move)
        # Our environment, without the secret of the posts, with the registry and the move.
        inherited = {name: value for name, value in os.environ.items() if name != SECRET_VARIABLE}
        registry = {} if self.registry is None else {"BUCKETRY_REGISTRY": self.registry}
        told = {f"{MOVE_PREFIX}{name.upper()}": "" if value is None else str(value) for name, value in fields.items()}
        try:
            ended = subprocess.run(  # noqa: S603 - the user's own command, read by no shell
                self.words,
                input=encode(fields),
                env=inherited | registry | told,
                stdout=STDERR_DESCRIPTOR,
                timeout=COMMAND_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UnavailableError(f"the command {self.words[0]!a} did not run to its end: {error}") from error
        if ended.returncode != 0:
            raise UnavailableError(f"the command {self.words[0]!a} ended with {ended.returncode}")


@frozen
class PostHook:
    """Posts each move to a URL, signed."""

    url: str
    secret: bytes
    clock: Clock

    def tell(self, move: WatchedMove) -> None:
        """Post the move; raise `UnavailableError` if nobody takes it after a few tries."""
        body = encode(move_fields(move))
        headers = {
            "Content-Type": "application/json",
            SIGNATURE_HEADER: f"sha256={hmac.new(self.secret, body, hashlib.sha256).hexdigest()}",
        }
        request = urllib.request.Request(self.url, data=body, headers=headers, method="POST")  # noqa: S310 - checked
        backoff = Backoff(self.clock, first_seconds=FIRST_PAUSE_SECONDS, most_tries=MOST_TRIES)
        backoff.insist(lambda: self._post(request))

    def _post(self, request: urllib.request.Request) -> None:
        try:
            with _OPENER.open(request, timeout=POST_SECONDS):
                return
        except urllib.error.HTTPError as error:
            reason = f"the answer was {error.code}"
        except (OSError, ValueError) as error:
            reason = str(error)
        # Path and query of a URL can hold a token: only its host may be shown.
        host = urlsplit(self.url).hostname or "the receiver"
        raise UnavailableError(f"{host} did not take the message: {reason}")


def parse_command(text: str, *, registry: str | None = None) -> CommandHook:
    """Return the hook that runs a command line, which can open the registry by that; raise `UsageError`."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"--exec cannot be split into words: {error}", advice="close every quote") from error
    if not words:
        raise UsageError("--exec names no command", advice='write --exec "systemctl reload serving"')
    return CommandHook(words, registry)


def parse_post(url: str, *, secret: str | None, clock: Clock) -> PostHook:
    """Return the hook that posts to a URL; raise `UsageError` for one that is not https, or without a secret."""
    parts = urlsplit(url)
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        raise UsageError("--post is not a URL", advice="write https://host/path")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise UsageError(f"--post to {parts.hostname} is not encrypted", advice="use https")
    if not secret:
        raise UsageError(
            f"{SECRET_VARIABLE} is not set, so that the receiver could not know who posts",
            advice=f"set {SECRET_VARIABLE} to what the receiver knows too",
        )
    return PostHook(url, secret.encode(), clock)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """Follow no redirect: the message and its signature are for the host that was named."""


_OPENER = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))
