"""What is a value? A frozen dataclass with slots. Its class is made in a quarter of the time that the library takes.

`@frozen` stands for `@dataclass(frozen=True, slots=True)`: `fields`, `replace` and `match` work, and values compare,
hash, print and pickle alike. The library compiles six functions for each class; for the hundred classes of a short
command that was a third of its time (docs/decisions/0022). Here only `__init__` is compiled, since values are made by
the hundred thousand; the others are written once.
"""

from __future__ import annotations

from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, TypeVar, dataclass_transform

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Made = TypeVar("Made")

_NOT_GIVEN = object()


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[Made]) -> type[Made]:
    """Make a class of values, which are equal if their fields are and never change; use it as a decorator."""
    cls.__doc__ = cls.__doc__ or cls.__name__  # else the library would describe a signature at length
    made = dataclass(init=False, repr=False, eq=False, slots=True)(cls)
    own = fields(made)  # type: ignore[arg-type]  # it has just become a dataclass
    key = _key_of([one.name for one in own if one.compare])
    methods: dict[str, Any] = {
        "__init__": _make_init(made, own),
        "__repr__": _make_repr([one.name for one in own if one.repr]),
        "__eq__": _make_eq(key),
        "__hash__": lambda self: hash(key(self)),
        "__getstate__": _make_getstate([one.name for one in own]),
        "__setstate__": _make_setstate([one.name for one in own]),
        "__setattr__": _refuse_to_set,
        "__delattr__": _refuse_to_delete,
    }
    defined = vars(made)
    for name, method in methods.items():
        if defined.get(name) is None:  # a class with its own `__eq__` has None for `__hash__`
            setattr(made, name, method)
    return made


def _make_init(cls: type, own: Sequence[Field[Any]]) -> Callable[..., None]:
    namespace: dict[str, Any] = {"set_": object.__setattr__, "not_given": _NOT_GIVEN}
    parameters, body = [], []
    for one in own:
        value = one.name
        if one.default is not MISSING:
            namespace[f"default_{one.name}"] = one.default
            parameters.append(f"{one.name}=default_{one.name}")
        elif one.default_factory is not MISSING:
            namespace[f"make_{one.name}"] = one.default_factory
            parameters.append(f"{one.name}=not_given")
            value = f"make_{one.name}() if {one.name} is not_given else {one.name}"
        else:
            parameters.append(one.name)
        body.append(f"set_(self, {one.name!r}, {value})")
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    text = f"def __init__({', '.join(['self', *parameters])}):\n " + "\n ".join(body or ["pass"])
    exec(text, namespace)  # noqa: S102 - made of the names of fields alone, as in the library
    init: Callable[..., None] = namespace["__init__"]
    init.__qualname__, init.__module__ = f"{cls.__qualname__}.__init__", cls.__module__
    return init


def _key_of(names: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    if len(names) > 1:
        return attrgetter(*names)
    return lambda self: tuple([getattr(self, name) for name in names])


def _make_eq(key: Callable[[Any], tuple[Any, ...]]) -> Callable[[Any, object], bool]:
    def is_equal(self: Any, other: object) -> bool:  # noqa: ANN401 - a value of whatever class
        return key(self) == key(other) if other.__class__ is self.__class__ else NotImplemented

    return is_equal


def _make_repr(names: Sequence[str]) -> Callable[[Any], str]:
    def describe(self: Any) -> str:  # noqa: ANN401
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    return recursive_repr()(describe)


def _make_getstate(names: Sequence[str]) -> Callable[[Any], Sequence[Any]]:
    return lambda self: [getattr(self, name) for name in names]


def _make_setstate(names: Sequence[str]) -> Callable[[Any, Sequence[Any]], None]:
    def restore(self: Any, state: Sequence[Any]) -> None:  # noqa: ANN401
        for name, value in zip(names, state, strict=True):
            object.__setattr__(self, name, value)

    return restore


def _refuse_to_set(_self: object, name: str, _value: object) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(_self: object, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")
