"""Is a value of ours what the library's frozen dataclass with slots is?"""

from __future__ import annotations

import copy
import math
import pickle
from dataclasses import FrozenInstanceError, dataclass, field, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bucketry.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

library: Callable[[type], Any] = dataclass(frozen=True, slots=True)


def define(make: Callable[[type], Any]) -> Any:
    class Point:
        """Where?"""

        kind: ClassVar[str] = "point"
        x: Any
        y: Any = 2
        names: list[str] = field(default_factory=list)
        secret: str = field(default="", repr=False)
        weight: int = field(default=1, compare=False)

        def __post_init__(self) -> None:
            if self.x == "bad":
                raise ValueError(self.x)

        @property
        def both(self) -> tuple[Any, Any]:
            return self.x, self.y

    return make(Point)


OURS, THEIRS = define(frozen), define(library)


@frozen
class Pair:
    """At the top of a module, so that it can be pickled."""

    left: object
    right: object = None


@frozen
class One:
    value: object


@frozen
class Nothing:
    pass


@frozen
class Folded:
    text: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Folded) and other.text.lower() == self.text.lower()

    def __hash__(self) -> int:
        return hash(self.text.lower())

    def __repr__(self) -> str:
        return f"<{self.text}>"


VALUES = st.none() | st.integers(-2, 2) | st.sampled_from(["", "a", math.nan, 1.0]) | st.tuples(st.integers(0, 1))
GIVEN = st.fixed_dictionaries(
    {"x": VALUES}, optional={"y": VALUES, "secret": st.sampled_from(["", "s"]), "weight": st.integers(0, 2)}
)


@given(GIVEN, GIVEN)
def test_two_values_compare_hash_and_print_as_the_library_s(one: dict[str, Any], other: dict[str, Any]) -> None:
    ours, theirs = [OURS(**one), OURS(**other)], [THEIRS(**one), THEIRS(**other)]
    assert (ours[0] == ours[1]) is (theirs[0] == theirs[1])
    assert list(map(repr, ours)) == list(map(repr, theirs))
    assert [value.both for value in ours] == [value.both for value in theirs]
    pairs = [Pair(given["x"], given.get("y")) for given in (one, other)]
    assert (hash(pairs[0]) == hash(pairs[1])) or pairs[0] != pairs[1]
    assert hash(pairs[0]) == hash((one["x"], one.get("y")))


def test_what_the_library_knows_of_a_class_it_knows_of_ours() -> None:
    assert [(each.name, each.repr, each.compare, each.default) for each in fields(OURS)] == [
        (each.name, each.repr, each.compare, each.default) for each in fields(THEIRS)
    ]
    assert OURS.__match_args__ == THEIRS.__match_args__
    assert OURS.__slots__ == THEIRS.__slots__
    assert OURS.__doc__ == "Where?"
    assert OURS.kind == "point"
    changed = replace(OURS(1, names=["a"]), y=5)
    assert is_dataclass(OURS(1))
    assert (changed.x, changed.y, changed.names) == (1, 5, ["a"])
    match Pair(1, 2):
        case Pair(left, right):
            assert (left, right) == (1, 2)


def test_defaults_are_made_anew_for_each_value() -> None:
    assert OURS(1).names == []
    assert OURS(1).names is not OURS(1).names
    given_names = ["a"]
    assert OURS(1, names=given_names).names is given_names


def test_a_value_never_changes() -> None:
    value = Pair(1)
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'left'"):
        value.left = 2  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError, match="cannot delete field 'left'"):
        del value.left
    with pytest.raises(FrozenInstanceError):
        value.other = 2  # type: ignore[attr-defined]
    assert not hasattr(value, "__dict__")
    assert value == Pair(1)


def test_what_is_wrong_is_refused_when_a_value_is_made() -> None:
    with pytest.raises(ValueError, match="bad"):
        OURS("bad")
    with pytest.raises(TypeError, match="x"):
        OURS()
    with pytest.raises(TypeError, match="z"):
        OURS(1, z=2)
    with pytest.raises(TypeError, match="z"):
        replace(OURS(1), z=2)


def test_values_are_copied_and_pickled() -> None:
    value = Pair([1], One(2))
    for other in (copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value))):
        assert other == value
        assert type(other) is Pair
    assert copy.deepcopy(value).left is not value.left


def test_values_of_other_classes_are_others() -> None:
    others: list[object] = [Pair(1), (1,), 1]
    assert One(1) not in others
    assert One(math.nan) != One(float("nan"))
    assert One(math.nan) == One(math.nan)  # as in a tuple: the very same object
    assert Nothing() == Nothing()
    assert repr(Nothing()) == "Nothing()"


def test_a_value_that_holds_itself_can_be_printed() -> None:
    held: list[object] = []
    value = One(held)
    held.append(value)
    assert repr(value) == "One(value=[...])"


def test_what_a_class_defines_itself_stays() -> None:
    assert Folded("A") == Folded("a")
    assert len({Folded("A"), Folded("a")}) == 1
    assert repr(Folded("A")) == "<A>"
