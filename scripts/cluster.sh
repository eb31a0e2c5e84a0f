#!/usr/bin/env bash
# `make cluster`: three NATS servers, PostgreSQL, two gateways that run nothing themselves, and three workers, on this
# machine and on free ports. Deploys a function, calls it over HTTP and over NATS, kills a worker, a NATS server and a gateway,
# then serves until Ctrl-C (ONCE=1: ends). What it starts it ends.
set -euo pipefail
cd "$(dirname "$0")/.."

neofn="${NEOFN_BIN:-$PWD/bin/neofn}"
tools="${NEOFN_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/neofn}/tools"
nats_py=("$tools"/nats-py-*)
dir="$(mktemp -d)"
pids=()

stop() {
    trap - EXIT
    # gateways and workers first, then the servers they say goodbye to
    for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
        kill -TERM "${pids[i]}" 2>/dev/null || continue
        wait "${pids[i]}" 2>/dev/null || true
    done
    rm -rf "$dir" ${pg:+"$pg"}
}
trap stop EXIT
trap 'exit 130' INT TERM

say() { printf '\n== %s\n' "$*"; }
wait_for() { # file, process
    for _ in $(seq 1200); do
        [ -s "$1" ] && return
        kill -0 "$2" 2>/dev/null || { echo "it ended: $1" >&2; cat "$1.log" >&2; exit 4; }
        sleep 0.05
    done
    echo "not ready within a minute: $1" >&2
    exit 4
}

say "three NATS servers"
mapfile -t ports < <(python3 - <<'PY'
import socket
held = [socket.socket() for _ in range(7)]
for s in held:
    s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in held), sep="\n")
PY
)
urls=""
for n in 0 1 2; do
    cat >"$dir/n$n.conf" <<CONF
server_name: n$n
listen: "127.0.0.1:${ports[n]}"
max_payload: 8MB
jetstream { store_dir: "$dir/n$n", sync_interval: always }
cluster { name: local, listen: "127.0.0.1:${ports[n + 3]}", routes: [
  "nats://127.0.0.1:${ports[3]}", "nats://127.0.0.1:${ports[4]}", "nats://127.0.0.1:${ports[5]}"] }
CONF
    GOMAXPROCS=1 "$tools/nats-server" --config "$dir/n$n.conf" 2>"$dir/n$n.log" &
    pids+=($!)
    urls="${urls:+$urls,}nats://127.0.0.1:${ports[n]}"
done
echo "$urls"

say "PostgreSQL"
# the server refuses to run as root: the account that its package makes runs it then
as=()
if [ "$(id -u)" = 0 ]; then
    as=(setpriv --reuid postgres --regid postgres --clear-groups --)
fi
pg="$(mktemp -d)"
[ "${#as[@]}" = 0 ] || chown postgres: "$pg"
pg_bin="$(find /usr/lib/postgresql -maxdepth 2 -name bin | sort -V | tail -n 1)"
(cd "$pg" && LC_ALL=C "${as[@]}" "$pg_bin/initdb" --username neofn --auth trust --encoding UTF8 --locale C \
    --no-instructions --pgdata "$pg/data") >"$dir/initdb.log" || { cat "$dir/initdb.log" >&2; exit 4; }
(cd "$pg" && LC_ALL=C exec "${as[@]}" "$pg_bin/postgres" -D "$pg/data" -p "${ports[6]}" -k "$pg" \
    -c listen_addresses=127.0.0.1) >"$dir/postgres.log" 2>&1 &
pids+=($!)
for _ in $(seq 600); do
    "$pg_bin/pg_isready" -q -h 127.0.0.1 -p "${ports[6]}" -U neofn && break
    kill -0 $! 2>/dev/null || { cat "$dir/postgres.log" >&2; exit 4; }
    sleep 0.05
done
"${as[@]}" "$pg_bin/createdb" -h 127.0.0.1 -p "${ports[6]}" -U neofn neofn
database="postgres://neofn@127.0.0.1:${ports[6]}/neofn"
echo "$database"

say "two gateways"
gateways=()
member() { sed -n 's/.*"'"$2"'":"\([^"]*\)".*/\1/p' "$1"; }
for n in 1 2; do
    mkdir -p "$dir/data$n"
    # nodes of one database have the same keys
    [ "$n" = 1 ] || cp "$dir"/data1/{identity,secrets,audit}.key "$dir/data$n/"
    cat >"$dir/gateway$n.toml" <<CONF
listen = "127.0.0.1:0"
data = "$dir/data$n"
[grpc]
listen = "127.0.0.1:0"
[nats]
url = "$urls"
workers = "remote"
[postgres]
url = "$database"
CONF
    "$neofn" up --config "$dir/gateway$n.toml" --json >"$dir/gateway$n" 2>"$dir/gateway$n.log" &
    gateways+=($!)
    pids+=($!)
    wait_for "$dir/gateway$n" $!
    cat "$dir/gateway$n"
done
use() {
    NEOFN_URL="$(member "$dir/gateway$1" url)"
    NEOFN_API_KEY="$(cat "$(member "$dir/gateway$1" admin_key_file)")"
    export NEOFN_URL NEOFN_API_KEY
}
use 1

say "three workers"
workers=()
for n in 1 2 3; do
    "$neofn" worker --nats "$urls" --children 1 --json >"$dir/worker$n" 2>"$dir/worker$n.log" &
    workers+=($!)
    pids+=($!)
    wait_for "$dir/worker$n" $!
done
for _ in $(seq 200); do
    [ "$("$neofn" cluster status --json | grep -o '"role":"worker"' | wc -l)" = 3 ] && break
    sleep 0.05
done
"$neofn" cluster status

say "a function, over HTTP and over NATS"
mkdir -p "$dir/hello"
cat >"$dir/hello/neofn.toml" <<'TOML'
[function.hello]
main = "index.ts"
public = true
TOML
echo 'export const handler = (event: { name: string }) => `Hello, ${event.name}`;' >"$dir/hello/index.ts"
(cd "$dir/hello" && "$neofn" deploy && "$neofn" invoke hello '{"name":"HTTP"}')
request() {
    PYTHONPATH="${nats_py[0]}" python3 - "$urls" "$1" <<'PY'
import asyncio, sys, nats
async def quiet(_):  # a server that is gone: the next one is asked
    pass
async def main():
    nc = await nats.connect(sys.argv[1].split(","), error_cb=quiet)
    print((await nc.request("function.js.hello", sys.argv[2].encode(), timeout=30)).data.decode())
    await nc.close()
asyncio.run(main())
PY
}
request '{"name":"NATS"}'

say "kill -9 of a worker, a NATS server and the first gateway; the function goes on"
kill -KILL "${workers[0]}" "${pids[0]}" "${gateways[0]}"
wait "${workers[0]}" "${pids[0]}" "${gateways[0]}" 2>/dev/null || true
use 2
for n in 1 2 3; do
    "$neofn" invoke hello "{\"name\":\"again $n\"}"
done
request '{"name":"NATS again"}'
sleep 4
"$neofn" cluster status

if [ "${ONCE:-}" = 1 ]; then
    say "ending"
    exit 0
fi
say "serving on $NEOFN_URL and $urls, Ctrl-C to stop"
wait "${gateways[1]}"
