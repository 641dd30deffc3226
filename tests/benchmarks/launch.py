"""What does one command cost? `python -I -S launch.py REPORT COMMAND [ARGUMENT...]` writes it to REPORT as JSON.

It imports next to nothing: Linux counts the memory of the process that starts a program to the program's own peak, so
whoever measures must be small.
"""

import os
import sys
import time

if __name__ == "__main__":
    report, *command = sys.argv[1:]
    began_at = time.monotonic()
    child = os.posix_spawnp(command[0], command, os.environ)
    _, status, used = os.wait4(child, 0)
    seconds = time.monotonic() - began_at
    with open(report, "w", encoding="ascii") as file:  # noqa: PTH123 - pathlib would double what this process holds
        file.write(
            f'{{"exit_code": {os.waitstatus_to_exitcode(status)}, "wall_seconds": {seconds:.6f}, '
            f'"user_seconds": {used.ru_utime:.6f}, "system_seconds": {used.ru_stime:.6f}, '
            f'"peak_bytes": {used.ru_maxrss * 1024}}}\n'
        )
