#!/bin/sh
# Builds sum.wasm with the newest clang that is here and WASI headers as Debian packages them.
set -eu
cd "$(dirname "$0")"
for cc in clang-22 clang-21 clang-20 clang; do command -v "$cc" >/dev/null && break; done
"$cc" --target=wasm32-wasi --sysroot=/usr -isystem /usr/include/wasm32-wasi -L/usr/lib/wasm32-wasi \
    -O2 -Wall -Wl,--strip-all -o sum.wasm src/main.c
