#!/bin/sh
# Set everything up and run all checks and tests: sh infra/test.sh [--deep] [ARGUMENTS OF PYTEST]
#
# Everyday, property tests and the simulation draw some of their examples, and what is marked `deep` is skipped by name.
#   --deep    draw all examples and run all tests, as CI does
#   --help    this text
# With arguments for pytest, only it runs: sh infra/test.sh tests/store -x
set -eu
deep=
case ${1-} in
    -h | --help)
        sed -n '2,/^set -eu/{/^set -eu/d;s/^# \{0,1\}//p;}' "$0"
        exit
        ;;
    --deep)
        deep=--deep
        shift
        ;;
esac
. "$(dirname "$0")/setup.sh"
setup "[dev]"

if [ $# -eq 0 ]; then
    ruff check
    ruff format --check
    mypy
fi
# Many tests wait for servers, terminals and other processes: four at a time keep two cores busy.
# A test whose outside program is missing is skipped and named in the summary.
exec python -m pytest -n 4 --dist loadscope --no-loadscope-reorder $deep "$@"
