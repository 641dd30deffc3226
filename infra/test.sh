#!/bin/sh
# Set everything up and run all checks and tests. Arguments go to pytest: sh infra/test.sh tests/store -x
set -eu
. "$(dirname "$0")/setup.sh"
setup "[dev]"

if [ $# -eq 0 ]; then
    ruff check
    ruff format --check
    mypy
fi
# Many tests wait for servers, terminals and other processes: four at a time keep two cores busy.
# A test whose outside program is missing is skipped and named in the summary.
status=0
python -m pytest -n 4 --dist loadscope "$@" || status=$?
[ "$status" -eq 1 ] || exit "$status"
# What waits for terminals and processes may be starved by the others: what failed has to pass by itself.
echo "some tests failed beside others; each of them again, one at a time:" >&2
exec python -m pytest --last-failed --last-failed-no-failures none "$@"
