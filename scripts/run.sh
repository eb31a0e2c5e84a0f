#!/usr/bin/env bash
# `make run`: a node with a private Neo N3 net, the examples deployed on it, one of them invoked, a GAS transfer that
# another one reacts to; then it serves until Ctrl-C (ONCE=1: ends).
set -euo pipefail
cd "$(dirname "$0")/.."

neofn="$PWD/bin/neofn"
data="${NEOFN_DATA:-$PWD/data}"
listen="${NEOFN_LISTEN:-127.0.0.1:9000}"
mkdir -p "$data"
ready="$(mktemp)"

"$neofn" up --data "$data" --listen "$listen" --dev-chain --json >"$ready" &
node=$!
stop() {
    kill -TERM "$node" 2>/dev/null || true
    wait "$node" 2>/dev/null || true
    rm -f "$ready"
}
trap stop EXIT
trap 'exit 130' INT TERM

for _ in $(seq 600); do
    [ -s "$ready" ] && break
    kill -0 "$node" 2>/dev/null || { wait "$node"; exit $?; }
    sleep 0.05
done
[ -s "$ready" ] || { echo "the node did not become ready within 30 s" >&2; exit 4; }

NEOFN_URL="$(sed -n 's/.*"url":"\([^"]*\)".*/\1/p' "$ready")"
NEOFN_API_KEY="$(cat "$(sed -n 's/.*"admin_key_file":"\([^"]*\)".*/\1/p' "$ready")")"
export NEOFN_URL NEOFN_API_KEY
echo "node: $NEOFN_URL (data in $data)"

for example in examples/*/; do
    [ -f "$example/neofn.toml" ] || continue
    # WebAssembly examples are built from source where their toolchain is here
    if [ -x "$example/build.sh" ] && ! "$example/build.sh" >/dev/null; then
        echo "skipped $example: it could not be built" >&2
        continue
    fi
    echo "deploy: $example"
    # one that does not deploy says why, and does not keep the others from it
    (cd "$example" && "$neofn" deploy) || echo "not deployed: $example" >&2
done

echo "invoke: hello"
(cd examples/hello && "$neofn" invoke hello '{"name":"Neo"}')

# the second account of the development wallet gets it; gas-watch reacts to every transfer
wallet="$(sed -n 's/.*"wallet":"\([^"]*\)".*/\1/p' "$ready")"
receiver="$(grep -o '"address": *"[^"]*"' "$wallet" | sed -n '2s/.*"\(N[^"]*\)"$/\1/p')"
echo "transfer: 1.5 GAS to $receiver"
tx="$("$neofn" --project demo chain transfer "$receiver" 1.5)"
height="$("$neofn" chain tx "$tx" --json | sed -n 's/.*"included":{"height":\([0-9]*\).*/\1/p')"
fired() { "$neofn" --project demo events --function watch --from "$height" --to "$height"; }
for _ in $(seq 100); do
    if fired 2>/dev/null | grep -q ' succeeded '; then break; fi
    sleep 0.1
done
echo "events of block $height:"
fired
"$neofn" logs demo/watch -n 1

if [ "${ONCE:-}" = 1 ]; then
    exit 0
fi
echo "serving on $NEOFN_URL, Ctrl-C to stop"
echo "  NEOFN_URL=$NEOFN_URL $neofn --project demo events --follow"
echo "  curl -X POST $NEOFN_URL/api/v1/functions/demo/hello -d '{\"name\":\"World\"}'"
wait "$node"
