"""Is a stream of bytes a pickle, and one that a scanner can be trusted to read to its end?

A scanner disassembles; it sees nothing behind the place where it stops. What cannot be disassembled is therefore not
cleared, and what would take a scanner for ever, or all memory, is not given to it.
"""

from __future__ import annotations

import pickletools
import re
from dataclasses import dataclass
from enum import Enum
from typing import IO

from bucketry.frozen import frozen

MOST_OPCODES = 2_000_000
"""A scanner keeps them all: some 300 MB."""
MOST_PICKLES = 10_000
MOST_OPCODES_LOOKED_BACK = 1_000
"""Behind an import, to the two texts that name it; a scanner searches that far for each import."""
TORCH_MAGIC = 0x1950A86A20F9469CFC6C
TORCH_PICKLES = 5
"""PyTorch's old format: magic number, protocol, system, object, keys; then raw storages, which no pickle follows."""

# The words of the standard library. With others, what is no pickle counts as one that cannot be read: the safe side.
_UNKNOWN_OPCODE = re.compile(r"at position \S+, opcode b(?:'.{1,4}'|\".{1,4}\") unknown")
_IMPORTS = frozenset({"GLOBAL", "INST", "STACK_GLOBAL"})
_EXTENSIONS = frozenset({"EXT1", "EXT2", "EXT4"})
_MEMO = frozenset({"MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"})


class Kind(Enum):
    """What a stream is."""

    NO_PICKLE = "no pickle"
    PICKLES = "pickles"
    OLD_TORCH = "old torch"


@frozen
class Examined:
    """What a stream is, and why it must not be believed to be harmless (empty if a scanner may judge)."""

    kind: Kind
    fault: str = ""


def examine(stream: IO[bytes]) -> Examined:
    """Read a stream from its position as far as its pickles go. It must be buffered: it is read in small pieces."""
    walk = _Walk()
    kind = Kind.PICKLES
    for number in range(MOST_PICKLES):
        fault = walk.take_one(stream)
        if fault is not None:
            if number == 0 and fault.is_unknown_opcode and not walk.has_imports:
                return Examined(Kind.NO_PICKLE)
            return Examined(kind, fault.text)
        if number == 0 and walk.is_torch_magic:
            kind = Kind.OLD_TORCH
        if (kind is Kind.OLD_TORCH and number + 1 == TORCH_PICKLES) or not _has_more(stream):
            return Examined(kind)
    return Examined(kind, f"it has more than {MOST_PICKLES:,} pickles")


@frozen
class _Fault:
    text: str
    is_unknown_opcode: bool = False


@dataclass(slots=True)
class _Walk:
    """What was seen so far in one stream.

    `before` and `last` are where the two newest opcodes are that are no memo's: of an import, those that name it.
    """

    opcodes: int = 0
    before: int = 0
    last: int = 0
    has_imports: bool = False
    is_torch_magic: bool = False

    def take_one(self, stream: IO[bytes]) -> _Fault | None:
        """Read one pickle; return why that is not possible, or None."""
        first = self.opcodes
        self.before = self.last = first
        numbers: list[object] = []
        try:
            for opcode, argument, _ in pickletools.genops(stream):
                fault = self._fault_in(opcode.name)
                if fault:
                    return _Fault(fault)
                if isinstance(argument, int) and self.opcodes - first < 4:
                    numbers.append(argument)
        except (ValueError, Warning) as error:  # a warning where the program that we are part of makes them errors
            text = f"it cannot be read as a pickle: {error}"
            return _Fault(text[:120], is_unknown_opcode=bool(_UNKNOWN_OPCODE.fullmatch(str(error))))
        self.is_torch_magic = TORCH_MAGIC in numbers
        return None

    def _fault_in(self, name: str) -> str:
        if self.opcodes >= MOST_OPCODES:
            return f"it has more than {MOST_OPCODES:,} opcodes"
        if name in _EXTENSIONS:
            return "it imports by the extension registry, where a scanner cannot look"
        if name == "STACK_GLOBAL" and self.opcodes - self.before > MOST_OPCODES_LOOKED_BACK:
            return "it hides the names that it imports"
        self.has_imports = self.has_imports or name in _IMPORTS
        if name not in _MEMO:
            self.before, self.last = self.last, self.opcodes
        self.opcodes += 1
        return ""


def _has_more(stream: IO[bytes]) -> bool:
    if not stream.read(1):
        return False
    stream.seek(-1, 1)
    return True
