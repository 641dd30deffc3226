"""What can a server carry at most? `python carry.py PORT PATH CONNECTIONS` reads a file in ranges and keeps nothing."""

from __future__ import annotations

import http.client
import sys
import threading
from itertools import count

RANGE_BYTES = 16 * 1024 * 1024
BUFFER_BYTES = 1024 * 1024


def main(port: int, path: str, connections: int) -> None:
    asking = http.client.HTTPConnection("127.0.0.1", port)
    asking.request("HEAD", path)
    size_bytes = int(asking.getresponse().headers["Content-Length"])
    numbers = count()

    def read() -> None:
        buffer = bytearray(BUFFER_BYTES)
        connection = http.client.HTTPConnection("127.0.0.1", port)
        while (start := next(numbers) * RANGE_BYTES) < size_bytes:
            stop = min(start + RANGE_BYTES, size_bytes)
            connection.request("GET", path, headers={"Range": f"bytes={start}-{stop - 1}"})
            reply = connection.getresponse()
            left = stop - start
            while left > 0:
                got = reply.readinto(buffer)
                if got == 0:
                    raise EOFError(path)
                left -= got
            reply.read()

    threads = [threading.Thread(target=read) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
