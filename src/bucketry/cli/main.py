"""Where does the program begin? With next to nothing: what a signal or a closed stream could break is settled first.

Everything else is imported by `run` alone, because importing takes a tenth of a second, in which Ctrl-C must not end
in a traceback.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from types import FrameType

INTERRUPTED_EXIT_CODE = 130
STANDARD_DESCRIPTORS = 3


def run() -> NoReturn:
    """Run the program; the console script `bucketry`."""
    is_interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # ignored under `nohup`, say
    if is_interruptible:
        signal.signal(signal.SIGINT, _leave)
    _open_missing_descriptors()
    from bucketry.cli.program import run_arguments  # noqa: PLC0415 - see above

    try:
        if is_interruptible:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        code = run_arguments(sys.argv[1:])
        if is_interruptible:  # nothing is left to clean up, and the interpreter takes a moment to end
            signal.signal(signal.SIGINT, _leave)
    except KeyboardInterrupt:  # between two steps, or a second one while the first was answered
        code = INTERRUPTED_EXIT_CODE
    # What is left in memory ends with the process. Without this the interpreter would look through all of it once more,
    # which is a tenth of the time of a small command.
    gc.freeze()
    sys.exit(code)


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    os._exit(INTERRUPTED_EXIT_CODE)


def _open_missing_descriptors() -> None:
    """Open nothing where stdin, stdout or stderr is closed, or the next file that is opened would take its place."""
    for descriptor in range(STANDARD_DESCRIPTORS):
        try:
            os.fstat(descriptor)
        except OSError:
            nothing = os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
            os.set_inheritable(nothing, True)
