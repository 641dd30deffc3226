"""How are files made that a scan looks at, and how is one scanned?"""

from __future__ import annotations

import io
import json
import os
import pickle
import tarfile
import time
import zipfile
from typing import Any

import numpy as np

from bucketry.registry.scanning.pickle_scan import Budget, CodeFindings, FileScan

MAGIC = 0x1950A86A20F9469CFC6C


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("echo owned",)


EVIL = pickle.dumps(Evil())
HARMLESS = pickle.dumps({"layers": [1, 2, 3]})
UNKNOWN = b"\x80\x04\x8c\x07sklearn\x8c\x03Fit\x93."


def zipped(method: int = zipfile.ZIP_STORED, /, **members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, body in members.items():
            info = zipfile.ZipInfo(name.replace("__", "/"))  # without the time of day
            info.compress_type = method
            archive.writestr(info, body)
    return file.getvalue()


def patched(archive: bytes, place: int, to: bytes, *, in_directory: int | None = None) -> bytes:
    """Return an archive with other bytes in the header of its first member, and, if told, in its directory too."""
    made = bytearray(archive)
    made[place : place + len(to)] = to
    if in_directory is not None:
        place = made.index(b"PK\x01\x02") + in_directory
        made[place : place + len(to)] = to
    return bytes(made)


ENCRYPTED = bytes.fromhex(
    "504b0304140001000000000021006f1a1d1d3c0000003000000008000000646174612e706b6cc888c2bf0de3a403f41532c45c487049"
    "2f7c9223df05b758ca17e215ca5c22ccee" + "fb3b1020872c7c618c897ce6c37d0c4044013ffa7d38cdf5eb4ebf504b01021400140001"
    "000000000021006f1a1d1d3c00000030000000080000000000000000000000000000000000646174612e706b6c504b05060000000001"
    "00010036000000620000000000"
)


def array(values: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, values, allow_pickle=True)
    return file.getvalue()


def old_torch(thing: object) -> bytes:
    parts = (MAGIC, 1001, {"little_endian": True}, thing, ["0"])
    return b"".join(pickle.dumps(part, 2) for part in parts) + bytes(range(256)) * 20


def budget(unpacked_bytes: int = 1 << 30, seconds: float = 60) -> Budget:
    return Budget(time.monotonic, time.monotonic() + seconds, 1 << 40, unpacked_bytes)


def scan(body: bytes) -> CodeFindings:
    findings = CodeFindings()
    FileScan(budget(), findings).scan(io.BytesIO(body), "x")
    return findings


def tarred(form: int = tarfile.USTAR_FORMAT, **members: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        for name, body in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return file.getvalue()


def old_tar(body: bytes) -> bytes:
    """Return a tar archive as before POSIX: no magic, only a checksum."""
    made = bytearray(tarred(pickle=body))
    made[257:265] = bytes(8)
    made[148:156] = b" " * 8
    made[148:156] = b"%06o\0 " % sum(made[:512])
    return bytes(made)


def joblib_file(raw: bytes, *, count: int | None = None, aligned: bool = True) -> bytes:
    """Return an array as joblib writes it: the wrapper's pickle, a length of padding, the padding, the numbers."""
    return (
        b"\x80\x04\x8c\x13joblib.numpy_pickle\x8c\x11NumpyArrayWrapper\x93)\x81}(\x8c\x05shapeK"
        + bytes([len(raw) // 8 if count is None else count])
        + b"\x85\x8c\x05dtype\x8c\x05numpy\x8c\x05dtype\x93\x8c\x02f8\x85R"
        + (b"\x8c\x1bnumpy_array_alignment_bytesK\x10ub\x03\xff\xff\xff" if aligned else b"ub")
        + raw
        + b"."
    )


def keras_layer(name: str, module: str = "keras.layers") -> bytes:
    return json.dumps({"layers": [{"module": module, "class_name": name, "config": {"x": 1}}]}).encode()


CALL = b"\x8c\x02id\x85R."
