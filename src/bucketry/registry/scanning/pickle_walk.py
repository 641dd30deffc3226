"""Walks a pickle to what an unpickler would import from here on, and to where it ends.

The instructions are followed without carrying them out, by the loosest of the unpicklers that there are: the walk goes
on wherever one of them could go on, and ends where none can. Whatever is imported before that end is found, also in a
pickle that breaks off afterwards; and a stream that ends before anything was imported is no danger, whatever it is.
"""

from __future__ import annotations

import codecs
import math
import pickletools
import re
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from bucketry.frozen import frozen
from bucketry.registry.scanning.pickle_imports import is_known_package

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_OPCODES = 5_000_000
"""Of one stream; of each, what it leaves in the memo is kept."""
CHECKED_EVERY_OPCODES = 4_096
NEWEST_PROTOCOL = 5
MOST_PROTOCOLS = 16
"""A number above is none of a protocol to come, but something else."""
LONGEST_NAME_BYTES = 4_096
"""No module has a longer one, as no file has."""
LONGEST_KEPT_BYTES = 512
LONGEST_NUMBER_BYTES = 1024 * 1024
PIECE_BYTES = 64 * 1024
MOST_DEEP = 16
"""Arrays of objects that joblib writes in one another."""


class EndsHereError(Exception):
    """No unpickler goes on."""


class UnclearError(Exception):
    """An unpickler may go on, and the walk cannot tell how."""


@frozen
class Import:
    """A name that is imported."""

    module: str
    name: str


@dataclass(slots=True, eq=False)
class CallResult:
    """What came of a call of an import, or of its state being set."""

    maker: Import
    arguments: object = ()


class Plain:
    """A constant or container that cannot be called."""


class Anything:
    """What an unpickler's caller or a call decided."""


PLAIN, ANYTHING = Plain(), Anything()

_ARRAY_OF_JOBLIB = Import("joblib.numpy_pickle", "NumpyArrayWrapper")
_DTYPE = Import("numpy", "dtype")
_ITEM = re.compile(r"([biufcmMSUV])([0-9]{1,9})")
_FIXED_BYTES = {
    "BININT": 4, "BININT1": 1, "BININT2": 2, "BINFLOAT": 8, "BINGET": 1, "LONG_BINGET": 4, "BINPUT": 1,
    "LONG_BINPUT": 4, "EXT1": 1, "EXT2": 2, "EXT4": 4, "PROTO": 1, "FRAME": 8,
}  # fmt: skip
_LENGTH_BYTES = {
    "SHORT_BINSTRING": 1, "BINSTRING": 4, "SHORT_BINBYTES": 1, "BINBYTES": 4, "BINBYTES8": 8, "BYTEARRAY8": 8,
    "SHORT_BINUNICODE": 1, "BINUNICODE": 4, "BINUNICODE8": 8, "LONG1": 1, "LONG4": 4,
}  # fmt: skip
_SIGNED_LENGTHS = {"BINSTRING", "LONG4"}
_TEXTS = {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "SHORT_BINSTRING", "BINSTRING"}
_WHOLE_NUMBER = frozenset(b"0123456789abcdefABCDEFxXoOlL_+- \t\r\v\f\n")
_ANY_NUMBER = frozenset(b"0123456789.eE_+-infatyINFATY \t\r\v\f\n")
_NAMES = {ord(opcode.code): opcode.name for opcode in pickletools.opcodes}


@dataclass(slots=True)
class Walk:
    """One stream's pickles as they are followed. `check` is asked now and then, and raises when it takes too long."""

    stream: IO[bytes]
    size_bytes: int
    check: Callable[[], None]
    imports: set[Import] = field(default_factory=set)
    has_calls: bool = False
    has_protocol: bool = False
    opcodes: int = 0
    deep: int = 0
    reads_arrays: bool = True
    stack: list[object] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    memo: dict[int, object] = field(default_factory=dict)

    def take_one(self) -> object:
        """Follow one pickle and return what is known of its value.

        Raises `EndsHereError` where no unpickler goes on, and `UnclearError` where one could and we cannot say how.
        """
        self.stack, self.marks, self.memo = [], [], {}
        return self._go_on()

    def _go_on(self) -> object:
        for _ in range(MOST_OPCODES):
            code = self.stream.read(1)
            name = _NAMES.get(code[0]) if code else None
            if name is None:
                raise EndsHereError
            self.opcodes += 1
            if self.opcodes > MOST_OPCODES:
                break
            if self.opcodes % CHECKED_EVERY_OPCODES == 0:
                self.check()
            if name == "STOP":
                return self._pop()
            self._follow(name)
        raise UnclearError(f"it has more than {MOST_OPCODES:,} opcodes")

    def _follow(self, name: str) -> None:
        if name in _FIXED_BYTES:
            self._follow_number(name, int.from_bytes(self._exactly(_FIXED_BYTES[name]), "little"))
        elif name in _LENGTH_BYTES:
            self._follow_counted(name)
        elif name in {"GLOBAL", "INST"}:
            self._follow_named(name)
        elif name in _VALUES or name in {"PUT", "GET"}:
            self._follow_line(name)
        elif name in {"REDUCE", "NEWOBJ", "NEWOBJ_EX", "OBJ", "BUILD", "STACK_GLOBAL"}:
            self._follow_call(name)
        else:
            self._follow_plain(name)

    def _follow_number(self, name: str, number: int) -> None:
        if name == "PROTO":
            if number > NEWEST_PROTOCOL:
                if self.opcodes == 1 and number < MOST_PROTOCOLS:
                    raise UnclearError(f"nothing is known of pickle protocol {number}")
                raise EndsHereError
            self.has_protocol = True
        elif name in {"BINGET", "LONG_BINGET"}:
            self._get(number)
        elif name in {"BINPUT", "LONG_BINPUT"}:
            self.memo[number] = self._top()
        elif name in {"EXT1", "EXT2", "EXT4"}:
            self.stack.append(self._import("copyreg", f"extension {number}"))
        elif name != "FRAME":
            self.stack.append(number if name in {"BININT", "BININT1", "BININT2"} else PLAIN)

    def _follow_counted(self, name: str) -> None:
        size = self._exactly(_LENGTH_BYTES[name])
        length = int.from_bytes(size, "little", signed=name in _SIGNED_LENGTHS)
        if length < 0:
            raise EndsHereError
        if length > LONGEST_KEPT_BYTES:
            self._skip(length)
            self.stack.append(ANYTHING if name in _TEXTS else PLAIN)
            return
        body = self._exactly(length)
        if name in _TEXTS:
            self.stack.append(_text(body, is_utf8="UNICODE" in name))
        else:
            self.stack.append(int.from_bytes(body, "little", signed=True) if name.startswith("LONG") else PLAIN)

    def _follow_named(self, name: str) -> None:
        names = [self.stream.readline(LONGEST_NAME_BYTES) for _ in range(2)]
        if not names[1] or len(names[0]) == LONGEST_NAME_BYTES or len(names[1]) == LONGEST_NAME_BYTES:
            raise EndsHereError
        try:
            module, attribute = (line.removesuffix(b"\n").decode() for line in names)
        except UnicodeDecodeError:
            raise EndsHereError from None
        imported = self._import(module, attribute)
        if name == "GLOBAL":
            self.stack.append(imported)
            return
        arguments = self._pop_to_mark()
        self.has_calls = True
        self.stack.append(CallResult(imported, tuple(arguments)))

    def _follow_line(self, name: str) -> None:
        line = self.stream.readline(LONGEST_NUMBER_BYTES)
        if not line:
            raise EndsHereError
        if name == "PUT":
            self.memo[_place(line)] = self._top()
        elif name == "GET":
            self._get(_place(line))
        else:
            self.stack.append(_VALUES[name](line))
        while len(line) == LONGEST_NUMBER_BYTES and not line.endswith(b"\n"):  # bounded: by the stream's end
            self.check()
            line = self.stream.readline(LONGEST_NUMBER_BYTES)

    def _follow_call(self, name: str) -> None:
        if name == "STACK_GLOBAL":
            attribute, module = self._pop(), self._pop()
            if isinstance(module, str) and isinstance(attribute, str):
                self.stack.append(self._import(module, attribute))
                return
            if isinstance(module, Plain | int | tuple | dict) or isinstance(attribute, Plain | int | tuple | dict):
                raise EndsHereError
            raise UnclearError("it hides the names that it imports")
        if name == "BUILD":
            self._build()
            return
        if name == "OBJ":
            arguments = self._pop_to_mark()
            if not arguments:
                raise EndsHereError
            called, given = arguments[0], tuple(arguments[1:])
        else:
            given_names = self._pop() if name == "NEWOBJ_EX" else None
            one, called = self._pop(), self._pop()
            given = one if isinstance(one, tuple) else (one, given_names)
        if not isinstance(called, Import | CallResult | Anything):
            raise EndsHereError
        self.has_calls = True
        self.stack.append(CallResult(called, given) if isinstance(called, Import) else ANYTHING)

    def _build(self) -> None:
        state, built = self._pop(), self._top()
        if isinstance(built, Import):
            raise UnclearError(f"it changes {built.module}.{built.name}, which it imports"[:200])
        self.has_calls = self.has_calls or isinstance(built, CallResult | Anything)
        if isinstance(built, CallResult) and built.maker == _ARRAY_OF_JOBLIB and self.reads_arrays:
            self._pass_array(state)

    def _pass_array(self, state: object) -> None:
        """Pass the numbers that joblib writes behind its wrapper; to other unpicklers they are instructions."""
        if not isinstance(state, dict):
            raise UnclearError("joblib's array is not described")
        item, count = _array_of(state)
        start = self.stream.tell()
        if self._goes_on_from_here() and item is not None:
            raise UnclearError("what joblib takes for numbers are instructions of a pickle")
        self.stream.seek(start)
        if item is None:
            self._pass_objects()
            return
        if isinstance(state.get("numpy_array_alignment_bytes"), int):
            self._skip(self._exactly(1)[0])
        self._skip(item * count)

    def _goes_on_from_here(self) -> bool:
        """Return whether the pickle ends well where nobody knows of joblib's arrays.

        What it imports from packages that are known counts; numbers and the memo of an inner pickle give odd names.
        """
        twin = Walk(
            self.stream,
            self.size_bytes,
            self.check,
            opcodes=self.opcodes,
            reads_arrays=False,
            stack=list(self.stack),
            marks=list(self.marks),
            memo=_Overlay(self.memo),
        )
        try:
            twin._go_on()
        except EndsHereError:
            return False
        finally:
            self.imports |= {one for one in twin.imports if is_known_package(one.module)}
            self.opcodes = twin.opcodes
        return True

    def _pass_objects(self) -> None:
        if self.deep == MOST_DEEP:
            raise UnclearError(f"it has arrays in one another, more than {MOST_DEEP}")
        inner = Walk(self.stream, self.size_bytes, self.check, self.imports, opcodes=self.opcodes, deep=self.deep + 1)
        try:
            inner.take_one()
        finally:
            self.has_calls = self.has_calls or inner.has_calls
            self.opcodes = inner.opcodes

    def _follow_plain(self, name: str) -> None:  # noqa: C901, PLR0912 - one line for each opcode
        match name:
            case "MARK":
                self.marks.append(len(self.stack))
            case "POP":
                if self.marks and self.marks[-1] == len(self.stack):
                    self.marks.pop()
                else:
                    self._pop()
            case "POP_MARK":
                self._pop_to_mark()
            case "DUP":
                self.stack.append(self._top())
            case "MEMOIZE":
                self.memo[len(self.memo)] = self._top()
            case "EMPTY_DICT":
                self.stack.append({})
            case "EMPTY_TUPLE":
                self.stack.append(())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                items = [self._pop() for _ in range(int(name[-1]))]
                self.stack.append(tuple(reversed(items)))
            case "TUPLE":
                self.stack.append(tuple(self._pop_to_mark()))
            case "DICT":
                items = self._pop_to_mark()
                self.stack.append({})
                self._set_items(items)
            case "LIST" | "FROZENSET":
                self._pop_to_mark()
                self.stack.append(PLAIN)
            case "APPEND":
                self._pop()
                self._changed()
            case "SETITEM":
                value, key = self._pop(), self._pop()
                self._set_items([key, value])
            case "SETITEMS":
                self._set_items(self._pop_to_mark())
            case "APPENDS" | "ADDITEMS":
                self._pop_to_mark()
                self._changed()
            case "BINPERSID":
                self._pop()
                self.stack.append(ANYTHING)
            case "READONLY_BUFFER":
                self._top()
            case _:  # NONE, NEWTRUE, NEWFALSE, EMPTY_LIST, EMPTY_SET, NEXT_BUFFER
                self.stack.append(PLAIN)

    def _set_items(self, items: list[object]) -> None:
        target = self._changed()
        if isinstance(target, dict) and len(target) < LONGEST_KEPT_BYTES:
            target.update({key: value for key, value in zip(items[::2], items[1::2], strict=False) if type(key) is str})

    def _changed(self) -> object:
        """Return what is on top, which is given items; that is a call, unless it is a plain container."""
        target = self._top()
        if isinstance(target, Import):
            raise UnclearError(f"it changes {target.module}.{target.name}, which it imports"[:200])
        self.has_calls = self.has_calls or isinstance(target, CallResult | Anything)
        return target

    def _import(self, module: str, name: str) -> Import:
        imported = Import(module, name)
        self.imports.add(imported)
        return imported

    def _get(self, number: int) -> None:
        if number not in self.memo:
            raise EndsHereError
        self.stack.append(self.memo[number])

    def _top(self) -> object:
        value = self._pop()
        self.stack.append(value)
        return value

    def _pop(self) -> object:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise EndsHereError
        return self.stack.pop()

    def _pop_to_mark(self) -> list[object]:
        if not self.marks:
            raise EndsHereError
        mark = self.marks.pop()
        items = self.stack[mark:]
        del self.stack[mark:]
        return items

    def _exactly(self, length: int) -> bytes:
        body = self.stream.read(length)
        if len(body) != length:
            raise EndsHereError
        return body

    def _skip(self, length: int) -> None:
        if length > self.size_bytes - self.stream.tell():
            raise EndsHereError
        self.stream.seek(length, 1)


class _Overlay(dict[int, object]):
    """A memo that begins as another one, which is not copied: there are thousands of arrays in a forest."""

    def __init__(self, below: dict[int, object]) -> None:
        super().__init__()
        self._below = below

        self._replaced = 0

    def __contains__(self, place: object) -> bool:
        return super().__contains__(place) or place in self._below

    def __missing__(self, place: int) -> object:
        return self._below[place]

    def __setitem__(self, place: int, value: object) -> None:
        self._replaced += not super().__contains__(place) and place in self._below
        super().__setitem__(place, value)

    def __len__(self) -> int:
        return super().__len__() + len(self._below) - self._replaced


def _text(body: bytes, *, is_utf8: bool) -> object:
    try:
        return body.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        if is_utf8:
            raise EndsHereError from None
        return ANYTHING  # the unpickler's caller chooses the encoding


def _place(line: bytes) -> int:
    """Return which place of the memo is meant."""
    try:
        place = int(line.partition(b"\x00")[0])
    except ValueError:
        raise EndsHereError from None
    if place < 0:
        raise EndsHereError
    return place


def _whole_number(line: bytes) -> object:
    """Return a number as Python writes it, or that it is one which only some unpicklers read."""
    digits = line.partition(b"\x00")[0]
    if set(digits) - _WHOLE_NUMBER:
        raise EndsHereError
    try:
        return int(digits.strip().rstrip(b"lL"), 0) if len(digits) < LONGEST_KEPT_BYTES else PLAIN
    except ValueError:
        return PLAIN


def _float(line: bytes) -> object:
    if set(line.partition(b"\x00")[0]) - _ANY_NUMBER:
        raise EndsHereError
    return PLAIN


def _quoted(line: bytes) -> object:
    text = line.strip()
    if len(text) < 2 or text[:1] not in {b"'", b'"'} or text[-1:] != text[:1]:
        if len(line) == LONGEST_NUMBER_BYTES and text[:1] in {b"'", b'"'}:
            return ANYTHING
        raise EndsHereError
    if len(text) > LONGEST_KEPT_BYTES or b"\\" in text:
        return ANYTHING
    return _text(text[1:-1], is_utf8=False)


def _escaped(line: bytes) -> object:
    if len(line) > LONGEST_KEPT_BYTES:
        return ANYTHING
    try:
        return codecs.decode(line.removesuffix(b"\n"), "raw-unicode-escape")
    except UnicodeDecodeError:
        raise EndsHereError from None


def _array_of(state: dict[object, object]) -> tuple[int | None, int]:
    """Return how long an item of joblib's array is, None where they are objects, and how many there are."""
    shape, dtype = state.get("shape"), state.get("dtype")
    given = dtype.arguments if isinstance(dtype, CallResult) and dtype.maker == _DTYPE else ()
    text = given[0] if isinstance(given, tuple) and given else None
    if not isinstance(shape, tuple) or not all(type(one) is int and one >= 0 for one in shape) or type(text) is not str:
        raise UnclearError("joblib's array is not described")
    if text.startswith("O"):
        return None, 0
    matched = _ITEM.fullmatch(text)
    if matched is None:
        raise UnclearError("joblib's array has items of an unknown kind")
    return int(matched[2]) * (4 if matched[1] == "U" else 1), math.prod(shape)


_VALUES: dict[str, Callable[[bytes], object]] = {
    "INT": _whole_number,
    "LONG": _whole_number,
    "FLOAT": _float,
    "STRING": _quoted,
    "UNICODE": _escaped,
    "PERSID": lambda _: ANYTHING,
}
"""What each instruction that is a line puts on the stack."""
