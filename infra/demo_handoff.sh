# Sourced by demo.sh: production is protected now, and a container believes a trust file instead of the bucket.

say "from now on, production asks for small weights, close to the original, and for two reviewers who sign"
cat >"$demo/policy.toml" <<END
approvals_required = 2
separate_duties = true
protected_aliases = ["production"]

[[gate]]
metric = "cosine"
at_least = 0.9999

[[gate]]
metric = "weights_mb"
at_most = 60
END
run bucketry policy set demo/minilm "$demo/policy.toml"
refused bucketry gates demo/minilm:1
run bucketry gates demo/minilm:2
refused bucketry promote demo/minilm:2 production

say "two reviewers approve, each with an SSH key"
mkdir "$demo/keys"
for who in anna bert; do
    ssh-keygen -q -t ed25519 -N "" -C "$who" -f "$demo/keys/$who"
    run env BUCKETRY_IDENTITY="$who@example.org" bucketry review approve demo/minilm:2 --sign "$demo/keys/$who"
done
run bucketry promote demo/minilm:2 production --reason "half the size, and reviewed"

say "a container with a trust file: it takes what the two signed, whatever the bucket says"
registry=$(bucketry init "$BUCKETRY_REGISTRY" --json | python -c 'import json, sys; print(json.load(sys.stdin)["registry"])')
{
    printf 'registry = "%s"\n' "$registry"
    for who in anna bert; do
        printf '[[signer]]\nprincipal = "%s@example.org"\n' "$who"
        printf "allowed = '%s@example.org namespaces=\"review@bucketry\" %s'\n" "$who" "$(cut -d' ' -f1,2 "$demo/keys/$who.pub")"
    done
    printf '[[rule]]\nmodels = ["demo/*"]\naliases = ["production"]\napprovals = 2\n'
    printf 'by = ["anna@example.org", "bert@example.org"]\n'
} >"$demo/trust.toml"
chmod 644 "$demo/trust.toml"
run bucketry pull demo/minilm@production "$demo/trusted" --trust "$demo/trust.toml"

say "anna finds a fault: no container takes that version any more, and nobody can promote it again"
run env BUCKETRY_IDENTITY=anna@example.org bucketry review revoke demo/minilm:2 --comment "wrong tokenizer" \
    --sign "$demo/keys/anna"
refused bucketry pull demo/minilm@production "$demo/trusted" --trust "$demo/trust.toml"
refused bucketry promote demo/minilm:2 production
