"""obstore fetches: ENDPOINT BUCKET KEY TARGET THREADS [folder]. Run with the peers' Python.

One object in ranges of 16 MiB into its file, or every object below KEY into a folder.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import obstore  # type: ignore[import-not-found] # installed for the peers alone
from obstore.store import S3Store  # type: ignore[import-not-found]

RANGE_BYTES = 16 * 1024 * 1024


def fetch_one(store: Any, key: str, target: Path, threads: int) -> None:
    size_bytes = obstore.head(store, key)["size"]
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    os.ftruncate(descriptor, size_bytes)

    def fetch(start: int) -> None:
        stop = min(start + RANGE_BYTES, size_bytes)
        os.pwrite(descriptor, memoryview(obstore.get_range(store, key, start=start, end=stop)), start)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(fetch, range(0, size_bytes, RANGE_BYTES)))
    os.close(descriptor)


def fetch_folder(store: Any, prefix: str, target: Path, threads: int) -> None:
    target.mkdir()

    def fetch(key: str) -> None:
        (target / key.rpartition("/")[2]).write_bytes(obstore.get(store, key).bytes())

    with ThreadPoolExecutor(threads) as pool:
        for page in obstore.list(store, prefix):
            list(pool.map(fetch, [entry["path"] for entry in page]))


def main(endpoint_url: str, bucket: str, key: str, target: str, threads: str, kind: str = "file") -> None:
    options = {"allow_http": endpoint_url.startswith("http:")}
    store = S3Store(bucket, endpoint=endpoint_url, region="us-east-1", client_options=options)
    (fetch_folder if kind == "folder" else fetch_one)(store, key, Path(target), int(threads))


if __name__ == "__main__":
    main(*sys.argv[1:])
