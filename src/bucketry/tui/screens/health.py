"""The health of the store and of the way to it, what may be written, this machine, and this terminal."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, ClassVar, Literal

from bucketry.index.damage import load_damage
from bucketry.index.views import list_models_by
from bucketry.maintenance.doctor.examine import examine
from bucketry.maintenance.health import GETS, measure_health
from bucketry.show.figures import age_text, count_of, size_text, span_text, time_text
from bucketry.show.spans import Line, Role, Span, line, wrapped
from bucketry.tui.drawing.clipboard import way_to_copy
from bucketry.tui.drawing.marks import damage_words
from bucketry.tui.drawing.terminal import LEAST_COLUMNS, LEAST_ROWS
from bucketry.tui.screens.text import SCROLLING, TextView
from bucketry.tui.shell.asking import Question
from bucketry.tui.shell.commands import Command
from bucketry.tui.shell.view import LOADING_WORD_SECONDS

if TYPE_CHECKING:
    from bucketry.errors import BucketryError
    from bucketry.maintenance.doctor.examine import Examination
    from bucketry.maintenance.doctor.findings import Grade
    from bucketry.maintenance.health import Health
    from bucketry.tui.shell.view import Shell

SLOW_SECONDS = 0.25
LONGEST_SKEW_TOLD_SECONDS = 600
"""A store whose small reads take longer makes everything feel slow, whatever the client does."""
SIGN_COLUMNS = 6
PROMPT_WORD = "probe"

Sign = Literal["ok", "WARN", "FAIL", "-"]
_ROLES: dict[Sign, Role] = {"ok": "good", "WARN": "warn", "FAIL": "bad", "-": "dim"}
_SIGNS: dict[Grade, Sign] = {"ok": "ok", "unknown": "-", "warning": "WARN", "failure": "FAIL"}


class HealthView(TextView):
    """What was measured of the store, and what is known of this machine and terminal."""

    CALLED = "the health of the store (:doctor)"
    crumbs = ("health",)

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell)
        self._health: Health | None = None
        self._at = ""
        self._fault: BucketryError | None = None
        self._found: Examination | None = None
        self._is_slow_to_come = False

    @property
    def notice(self) -> Line:
        """What went wrong, else when it was measured."""
        if self._fault is not None:
            advice = f"; {self._fault.advice}" if self._fault.advice else ""
            stays = f"; this is from {time_text(self._at, self.shell.zone)}" if self._health is not None else ""
            return line(" ", Span(f"{self._fault.message}{advice}{stays}, r tries again", "bad"))
        if self._health is None:
            return ()
        return line(f" measured {time_text(self._at, self.shell.zone)}; ", Span("r measures again", "dim"))

    def shown(self) -> None:
        """Measure; what needs no bucket is there at once."""
        self.draw()
        self._measure()

    def _measure(self) -> None:
        self._is_slow_to_come = False
        self.set_timer(LOADING_WORD_SECONDS, self._say_loading)

        def done(health: Health) -> None:
            self._health, self._fault = health, None
            self._at = self.shell.session.clock.timestamp()
            self.draw()

        def failed(error: BucketryError) -> None:
            self._fault = error
            self.draw()

        self.shell.read("health", ("doctor",), measure_health, done, failed)

    def _measure_again(self, _: str) -> None:
        self._measure()
        self.shell.refreshing.start(forced=True)

    def _say_loading(self) -> None:
        self._is_slow_to_come = True
        if self._health is None and self._fault is None:
            self.draw()

    def _ask_probe(self, _: str) -> None:
        shell = self.shell
        panel = (
            line(f"The probe writes below probe/ in {shell.session.store.name}, and removes what it wrote."),
            line("What it finds is recorded in registry.json, by which all writers go."),
            line(Span("same as:  " + shell.command_line("doctor"), "dim")),
        )

        def done(found: Examination) -> None:
            self._found = found
            shell.flash(*_outcome(found))
            self._measure()

        shell.ask(
            Question(
                f"type  {PROMPT_WORD}  to go on:",
                lambda _: shell.write(("doctor",), examine, done),
                panel=panel,
                panel_title="PROBE",
                why_not=lambda text: "" if text == PROMPT_WORD else f"not {PROMPT_WORD} yet",
                enter="probe",
            )
        )

    def draw(self) -> None:
        """Lay out what is known now."""
        width = self.size.width
        if not self.is_attached or not width:
            return
        lines = [*self._store_lines(width), *self._found_lines(width)]
        lines += [line(), *self._machine_lines(width), line(), *self._terminal_lines(width)]
        self.text.show(lines, keep_place=True)
        self.shell.update_frame()

    def _store_lines(self, width: int) -> list[Line]:
        store = self.shell.session.store
        named = store.name if store.endpoint in store.name else f"{store.name} at {store.endpoint}"
        lines = [line(Span(" STORE", "header")), *_entry("-", named, width)]
        health = self._health
        if health is None:
            if self._fault is not None:
                advice = f"; {self._fault.advice}" if self._fault.advice else ""
                lines += _entry("FAIL", f"{self._fault.message}{advice}", width)
            elif self._is_slow_to_come:
                lines += _entry("-", "measuring ...", width)
            return lines
        if self._fault is not None:
            lines += _entry("FAIL", f"now: {self._fault.message}; below is what was measured before", width)
        created = time_text(health.document.created_at, self.shell.zone)
        lines += _entry("-", f"registry {health.document.registry}, since {created}", width)
        lines += _entry(*self._promises(health), width)
        for other in health.document.conformance:
            if other.endpoint != health.endpoint:
                kept = "kept its promises" if other.passed else f"BROKEN: {'; '.join(other.broken)}"
                at = time_text(other.at, self.shell.zone)
                lines += _entry("-", f"elsewhere: {other.endpoint} {kept}, {at}", width)
        quickest, slowest = (f"{health.latencies_seconds[place] * 1000:.0f} ms" for place in (0, -1))
        told = f"a small read takes {health.median_seconds * 1000:.0f} ms ({GETS} reads: {quickest} to {slowest})"
        lines += _entry("WARN" if health.median_seconds > SLOW_SECONDS else "ok", told, width)
        skew = health.clock_skew_seconds
        by = f"{abs(skew):.0f} s" if abs(skew) < LONGEST_SKEW_TOLD_SECONDS else span_text(round(abs(skew)))
        if health.is_clock_wrong:
            wrong = f"the store's clock is {by} {'ahead of' if skew > 0 else 'behind'} this machine's"
            lines += _entry("WARN", wrong, width)
        else:
            lines += _entry("ok", "the store's clock agrees with this machine's, to the second or so", width)
        return lines + _entry(*self._rights(health), width)

    def _promises(self, health: Health) -> tuple[Sign, str]:
        product = f" ({health.product})" if health.product else ""
        found = health.document.find_conformance(health.endpoint)
        if found is None:
            return "FAIL", f"nobody has probed this endpoint{product}, so nothing is written here; P probes it"
        at = time_text(found.at, self.shell.zone)
        if not found.passed:
            return "FAIL", f"probed {at}{product}: BROKEN: {'; '.join(found.broken)}"
        return "ok", f"probed {at}{product}: it keeps the promises that writing needs"

    def _rights(self, health: Health) -> tuple[Sign, str]:
        session = self.shell.session
        reason = self.shell.why_not_write() or health.write_refusal
        if reason:
            return "-", f"{session.actor} writes nothing from here: {reason}"
        return (
            "ok",
            f"{session.actor} may write, as far as the registry knows; the bucket's own rights show when one does",
        )

    def _found_lines(self, width: int) -> list[Line]:
        found = self._found
        if found is None:
            return []
        lines = [line(), line(Span(" PROBE, just now", "header"))]
        checks = () if found.probe is None else found.probe.checks
        for check in sorted(checks, key=lambda check: check.passed):
            lines += _entry("ok" if check.passed else "FAIL", f"{check.promise}: {check.detail}", width)
        lines += [line(), line(Span(" EXAMINED, just now", "header"))]
        for finding in found.findings:
            advice = f"; {finding.advice}" if finding.advice and finding.grade in {"warning", "failure"} else ""
            lines += _entry(_SIGNS[finding.grade], f"{finding.name}: {finding.message}{advice}", width)
        return lines

    def _machine_lines(self, width: int) -> list[Line]:
        index = self.shell.source.index
        at, damage, models = index.refreshed_at(), load_damage(index), count_of(list_models_by(index).total, "model")
        age = "" if at is None else age_text(at.isoformat(), self.shell.session.clock.now())
        was = "is now" if age == "now" else f"was {age} ago"
        filled = "never filled" if at is None else f"as the bucket {was}"
        try:
            size_bytes = index.path.stat().st_size
        except OSError:
            size_bytes = 0
        lines = [
            line(Span(" THIS MACHINE", "header")),
            *_entry("-", f"index of {models}, {size_text(size_bytes)}, {filled}", width),
        ]
        if damage.count:  # that nothing is damaged, only `bucketry fsck` can say
            lines += _entry("FAIL", damage_words(damage), width)
            lines += _entry("-", "bucketry fsck names all that is damaged, and what to do about it", width)
        cache = self._health.cache if self._health is not None else None
        if cache is not None:
            held = f"{count_of(cache.versions, 'version')} and {count_of(cache.blobs, 'blob')}"
            lines += _entry("-", f"cache {cache.root}: {held}, {size_text(cache.size_bytes)}", width)
        elif self._health is not None:
            lines += _entry("WARN", "the cache of this machine cannot be read", width)
        return lines

    def _terminal_lines(self, width: int) -> list[Line]:
        terminal, shell = self.shell.terminal, self.shell
        count = "true colour" if terminal.colours > 256 else f"{terminal.colours} colours"
        colours = "no colours (NO_COLOR is set)" if os.environ.get("NO_COLOR") else count
        text = "UTF-8" if terminal.is_unicode else "ASCII alone, as the locale is not UTF-8"
        size, least = f"{shell.size.width}x{shell.size.height}", f"{LEAST_COLUMNS}x{LEAST_ROWS}"
        between = (("tmux", terminal.is_tmux), ("SSH", terminal.is_ssh), ("a browser", terminal.is_browser))
        over = [name for name, is_so in between if is_so]
        return [
            line(Span(" TERMINAL", "header")),
            *_entry(
                "-", f"TERM {terminal.name}, {size} (at least {least}), {colours}, theme {shell.painter.theme}", width
            ),
            *_entry("-", f"text in {text}; times {'in UTC' if shell.zone == 'utc' else 'local'}", width),
            *_entry("-", f"inside {' and '.join(over)}" if over else "neither tmux nor SSH between", width),
            *_entry("-", f"y copies by {_CLIPBOARD.get(way := way_to_copy(terminal), way)}", width),
            *(each for fault in shell.key_faults.said for each in _entry("WARN", fault, width)),
        ]

    COMMANDS: ClassVar[tuple[Command[HealthView], ...]] = (
        Command("measure", ("r",), "Measure again", _measure_again, hint="measure again", group="Read"),
        Command(
            "probe",
            ("P",),
            "Probe whether the store keeps its promises",
            _ask_probe,
            lambda view: view.shell.why_not_write(),
            "probe the store",
            "Write",
            writes=True,
        ),
        *SCROLLING,
    )


def _outcome(found: Examination) -> tuple[str, Role]:
    """Return what is said when the probe is over, and in which role."""
    if found.probe is None:
        return found.findings[0].message, "warn"
    failed, total = len(found.probe.failures), len(found.probe.checks)
    if failed:
        return f"{failed} of {total} promises are BROKEN", "bad"
    if not found.is_sound:
        return f"all {total} promises were kept, but see below what endangers the registry", "bad"
    return f"all {total} promises were kept", "good"


_CLIPBOARD = {
    "tmux": "tmux (load-buffer -w)",
    "terminal": "the terminal itself (OSC 52), which not every terminal obeys",
}


def _entry(sign: Sign, text: str, width: int) -> list[Line]:
    """Return a finding: its sign, and the text beside it."""
    first, *rest = wrapped(text, width - SIGN_COLUMNS - 3)
    margin = " " * (SIGN_COLUMNS + 2)
    return [
        line(Span(f"  {sign:<{SIGN_COLUMNS}}", _ROLES[sign]), *first),
        *(line(margin, *more) for more in rest),
    ]
