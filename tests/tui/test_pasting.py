"""Is a pasted text one text, whatever is in it and in whatever pieces it comes?"""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from textual import events

from bucketry.tui.shell.pasting import PasteParser

BEGIN, END = "\x1b[200~", "\x1b[201~"
HOSTILE = "one\nt\x1bwo\r\x1b[31mthree\x1b\x1b[20\x1b[200~four\x1b[2"


def parsed(sent: list[str]) -> list[tuple[str, str]]:
    """Return what the app is told: pasted texts, and keys by their names."""
    parser = PasteParser()
    told = [event for piece in sent for event in parser.feed(piece)]
    return [
        ("paste", event.text) if isinstance(event, events.Paste) else ("key", event.key)
        for event in told
        if isinstance(event, events.Paste | events.Key)
    ]


def pieces(text: str, seed: int) -> list[str]:
    rng = random.Random(seed)
    cuts = sorted({0, len(text), *(rng.randrange(len(text)) for _ in range(rng.randint(0, len(text))))})
    return [text[begin:end] for begin, end in pairwise(cuts)]


@pytest.mark.parametrize("seed", range(60))
def test_no_key_comes_of_a_paste(seed: int) -> None:
    sent = f"a{BEGIN}{HOSTILE}{END}b\r{BEGIN}x{END}"
    plain = HOSTILE.replace("\x1b", "")
    assert parsed(pieces(sent, seed)) == [
        ("key", "a"),
        ("paste", plain),
        ("key", "b"),
        ("key", "enter"),
        ("paste", "x"),
    ]


@pytest.mark.parametrize("seed", range(20))
def test_keys_are_what_they_were(seed: int) -> None:
    sent = "a\x1b[A\x1b[1;5C\x1bOPz\x1b[3~"
    names = [name for _, name in parsed(pieces(sent, seed))]
    assert names == ["a", "up", "ctrl+right", "f1", "z", "delete"]
