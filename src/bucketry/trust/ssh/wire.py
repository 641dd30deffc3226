"""Lays values out as SSH's binary formats do (RFC 4251), and reads them."""

from __future__ import annotations

from bucketry.errors import CorruptError

LARGEST_FIELD_BYTES = 256 * 1024


def wire_string(value: bytes) -> bytes:
    """Return the bytes with their length before them."""
    return len(value).to_bytes(4, "big") + value


def wire_uint32(value: int) -> bytes:
    """Return an unsigned integer of 32 bits."""
    return value.to_bytes(4, "big")


def wire_mpint(value: int) -> bytes:
    """Return an integer that is not negative, in its only legal form."""
    return wire_string(value.to_bytes(value.bit_length() // 8 + 1, "big") if value else b"")


class WireReader:
    """Reads one value after the other; every method raises `CorruptError`, naming what is read, when bytes lack."""

    def __init__(self, body: bytes, *, what: str) -> None:
        self.what = what
        self._body = body
        self._at = 0

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        taken = self._body[self._at : self._at + count]
        if len(taken) != count:
            raise CorruptError(f"{self.what} is cut short")
        self._at += count
        return taken

    def uint32(self) -> int:
        """Return an unsigned integer of 32 bits."""
        return int.from_bytes(self.take(4), "big")

    def byte(self) -> int:
        """Return an unsigned integer of 8 bits."""
        return self.take(1)[0]

    def string(self) -> bytes:
        """Return bytes that have their length before them."""
        length = self.uint32()
        if length > LARGEST_FIELD_BYTES:
            raise CorruptError(f"{self.what} has a field of {length:,} bytes; the limit is {LARGEST_FIELD_BYTES:,}")
        return self.take(length)

    def text(self) -> str:
        """Return a string of printable ASCII, which every name of an algorithm is."""
        value = self.string()
        if not all(0x20 <= byte < 0x7F for byte in value):
            raise CorruptError(f"{self.what} has a name that is not printable ASCII")
        return value.decode("ascii")

    def mpint(self) -> int:
        """Return an integer that is not negative, refusing every second way to write it."""
        value = self.string()
        number = int.from_bytes(value, "big")
        if wire_mpint(number) != wire_string(value):
            raise CorruptError(f"{self.what} has an integer that is negative, or not in its shortest form")
        return number

    def padded_mpint(self) -> int:
        """Return an integer that is not negative, and may have more zeros before it than it needs."""
        value = self.string()
        if value[:1] > b"\x7f":
            raise CorruptError(f"{self.what} has an integer that is negative")
        return int.from_bytes(value, "big")

    def end(self) -> None:
        """Raise unless everything was read."""
        if self._at != len(self._body):
            raise CorruptError(f"{self.what} goes on after its end")
