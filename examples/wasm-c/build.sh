#!/bin/sh
# Builds primes.wasm with clang and Debian's wasi-libc. OUT=FILE puts it elsewhere; CC=... takes another clang.
set -eu
cd "$(dirname "$0")"
cc=${CC:-$(command -v clang-22 || command -v clang || true)}
if [ -z "$cc" ]; then
    echo "build.sh: no clang found; on Debian: apt-get install clang-22 lld-22 libclang-rt-22-dev-wasm32 wasi-libc" >&2
    exit 1
fi
exec "$cc" --target=wasm32-wasi --sysroot=/usr -isystem /usr/include/wasm32-wasi -L/usr/lib/wasm32-wasi \
    -O2 -Wall -Wextra -Werror -Wno-deprecated primes.c -o "${OUT:-primes.wasm}" -Wl,--strip-all
