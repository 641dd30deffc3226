"""One writer of many: commits to a model's head, or a bare compare-and-swap loop on an object of the same size.

`python commit_worker.py REGISTRY commit|bare KEY COUNT` prints "ready", reads the moment to begin at (of the monotonic
clock, which is one for the whole machine), works, and prints as JSON when it was done and how often it was refused.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import suppress

from bucketry.registry.core.config import RegistryProfile
from bucketry.registry.core.opening import open_session, open_store
from bucketry.registry.versions.lifecycle import edit_model
from bucketry.schema.names import parse_model_name
from bucketry.store.contract import IfMatch, PreconditionFailedError

MOST_TRIES = 100_000


def commit(registry: str, model: str, count: int) -> int:
    session, name = open_session(registry), parse_model_name(model)
    session.check_writable()
    wait_for_start()
    for number in range(count):
        edit_model(session, name, description=f"{os.getpid()} {number}")
    return 0


def bare(registry: str, key: str, count: int) -> int:
    """Read, add one, write on the condition that nobody wrote: nothing else, and no pause after a refusal."""
    store = open_store(RegistryProfile(registry))
    store.get(key)
    wait_for_start()
    refused = 0
    for _ in range(count):
        for _ in range(MOST_TRIES):
            found = store.get(key)
            document = json.loads(found.body)
            document["count"] += 1
            with suppress(PreconditionFailedError):
                store.put(key, json.dumps(document).encode(), IfMatch(found.etag))
                break
            refused += 1
    return refused


def wait_for_start() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    time.sleep(max(0.0, float(sys.stdin.readline()) - time.monotonic()))


def main(registry: str, kind: str, key: str, count: str) -> None:
    work = {"commit": commit, "bare": bare}[kind]
    refused = work(registry, key, int(count))
    sys.stdout.write(json.dumps({"done_at": time.monotonic(), "refused": refused}))


if __name__ == "__main__":
    main(*sys.argv[1:])
