"""What a serving container does: resolve production, pull it, and show that it is there."""

from __future__ import annotations

import sys

import bucketry

reader = bucketry.open_reader()  # cannot write, by type; BUCKETRY_REGISTRY says where
version = reader.resolve("demo/minilm@production")
path = reader.pull("demo/minilm@production", sys.argv[1])
with reader.open(version, "model.safetensors") as weights:
    header_bytes = int.from_bytes(weights.read_range(0, 8), "little")
print(f"serving {version.model}:{version.version}, manifest {version.digest[:12]}, from {path}")
print(f"read from the store without pulling: its weights have a header of {header_bytes:,} bytes")
