"""Does the line below a command say how far a transfer is, in the words of the screens, whatever room there is?"""

from __future__ import annotations

from dataclasses import replace

from bucketry.show.figures import bar_text
from bucketry.show.transfers import progress_lines
from bucketry.transfer.pace.progress import ActiveFile, Progress

STATE = Progress(200, 50, 4, 1, active=(), verified_chunks=0, retries=0, bytes_per_second=10.0, eta_seconds=15.0)
FILES = tuple(ActiveFile(f"{n}" * 60 + "\x1b[2J", 5, 10, bytes_per_second=1.0) for n in range(20))


def test_a_bar_is_full_only_when_all_is_done() -> None:
    assert bar_text(0, 100, 12) == "[----------]"
    assert bar_text(55, 100, 12) == "[#####-----]"
    assert bar_text(999, 1000, 12) == "[#########-]"
    assert bar_text(1000, 1000, 12) == bar_text(0, 0, 12) == "[##########]"


def test_the_progress_line_has_rate_rest_and_files() -> None:
    (shown,) = progress_lines("downloading", STATE, width=120, height=24)
    assert shown == "downloading [##--------]  25%  50 of 200 B  10 B/s  ETA 0:15  1/4 files"
    (narrow,) = progress_lines("downloading", STATE, width=50, height=24)
    assert narrow == "downloading [##--------]  25%  50 of 200 B  10 B/s"
    assert [len(shown) for shown in progress_lines("downloading", STATE, width=20, height=24)] == [20]


def test_active_files_have_lines_that_fit_below() -> None:
    state = replace(STATE, active=FILES, eta_seconds=None, connections=16, retries=3)
    lines = progress_lines("downloading", state, width=120, height=5)
    assert lines[0].endswith("10 B/s  1/4 files  16 connections  retries 3")
    assert lines[1] == "  [#####-----]  50%  10 B  1 B/s  …" + "0" * 32 + "\\x1b[2J"
    assert len(lines) == 5
    assert max(map(len, progress_lines("downloading", state, width=40, height=24))) == 40
    assert len(progress_lines("downloading", replace(state, active=FILES[:1]), width=120, height=24)) == 1
