#!/usr/bin/env bash
# The figures of docs/concepts/performance.md. Give names to narrow down: scripts/bench.sh http chain
set -euo pipefail
cd "$(dirname "$0")/.."
NEOFN_SETUP_BENCH=1 scripts/setup.sh

printf '%s, %s cores, %s\n' "$(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2 | xargs)" "$(nproc)" "$(rustc --version)"
if [ "$#" -eq 0 ]; then
    cargo bench --locked --quiet --package neofn-runtime --bench sandbox
    cargo bench --locked --quiet --package neofn-runtime --bench process
    cargo bench --locked --quiet --package neofn-store-sqlite --bench store
fi
# transfers a second of the ledger, durable
if [ "$#" -eq 0 ] || [[ " $* " == *" ledger "* ]]; then
    cargo bench --locked --quiet --package neofn-store-sqlite --bench ledger
fi
# what a thousand triggers cost a block
if [ "$#" -eq 0 ] || [[ " $* " == *" chain "* ]]; then
    cargo bench --locked --quiet --package neofn-trigger --bench matcher
fi
cargo build --locked --release --quiet --package neofn
cargo bench --locked --quiet --package e2e --bench node -- "$@"
