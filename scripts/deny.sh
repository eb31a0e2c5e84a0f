#!/usr/bin/env bash
# Licences, sources, duplicate bans and the vendor fences of deny.toml. Advisories need a database that only the
# open internet has: they are checked where it can be fetched, and said to be skipped where it cannot.
set -euo pipefail
cd "$(dirname "$0")/.."

tools="${XDG_CACHE_HOME:-$HOME/.cache}/neofn/tools"
export PATH="$PATH:$tools/bin"
if ! command -v cargo-deny >/dev/null 2>&1; then
    echo "deny: installing cargo-deny, once" >&2
    # it runs for a second: built to compile fast, not to run fast
    CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        CARGO_TARGET_DIR="$tools/build" cargo install --quiet --locked --root "$tools" cargo-deny
    rm -rf "$tools/build"
fi
cargo-deny --log-level error check bans licenses sources
if timeout 60 cargo-deny --log-level off fetch db >/dev/null 2>&1; then
    cargo-deny --log-level error check advisories
else
    echo "deny: advisories skipped, their database cannot be reached from here" >&2
fi
