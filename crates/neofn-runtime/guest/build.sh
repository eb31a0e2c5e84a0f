#!/bin/sh
# Builds the JavaScript guest. Prints the path of engine.wasm, from the cache when nothing that goes into it changed.
# usage: build.sh <folder of the QuickJS-ng sources>
set -eu
quickjs=$1
here=$(cd "$(dirname "$0")" && pwd)
clang=${NEOFN_CLANG:-clang-22}
cache=${NEOFN_GUEST_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/neofn/guest}

if ! command -v "$clang" >/dev/null 2>&1; then
    echo "the JavaScript engine is built with $clang, which is not installed; on Debian and Ubuntu: apt-get install clang-22 lld-22 libclang-rt-22-dev-wasm32 wasi-libc" >&2
    exit 3
fi

# deterministic: no paths, no dates; SCRIPT_STACK is how much of the stack JavaScript may use before a RangeError
flags="--target=wasm32-wasi --sysroot=/usr -isystem /usr/include/wasm32-wasi -L/usr/lib/wasm32-wasi -mexec-model=reactor
 -std=gnu23 -O3 -fwrapv -w -D_GNU_SOURCE -D_WASI_EMULATED_PROCESS_CLOCKS -D_WASI_EMULATED_SIGNAL -DNDEBUG
 -DWASI_STACK_CHECK -DSCRIPT_STACK=524288
 -Wl,--stack-first -Wl,-z,stack-size=1048576 -Wl,--export=__stack_pointer -Wl,--strip-all"

key=$( { "$clang" --version | head -n 1; echo "$flags"; cd "$here"; cat build.sh ./*.c ./*.h prelude.js
         cd "$quickjs"; cat ./*.c ./*.h; cat /usr/lib/wasm32-wasi/libc.a; } | sha256sum | cut -c 1-32)
out=$cache/$key.wasm
if [ ! -s "$out" ]; then
    mkdir -p "$cache"
    work=$(mktemp -d "$cache/build.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    cp "$quickjs"/*.c "$quickjs"/*.h "$work"
    cp "$here"/*.c "$here"/*.h "$here"/prelude.js "$work"
    # QuickJS has no stack check under WASI; with the stack first in memory it works as anywhere else
    sed -i '/^static void update_stack_limit/,/^}/s/defined(__wasi__)/defined(__wasi__) \&\& !defined(WASI_STACK_CHECK)/' "$work/quickjs.c"
    grep -q WASI_STACK_CHECK "$work/quickjs.c" || { echo "the stack check could not be added to quickjs.c" >&2; exit 4; }
    # QuickJS notes a place for calls and variables alone, so that `this.a.b` failed where its function began: note one
    # for each statement and each property too. Places are no instructions; code and charges stay as they are.
    sed -i \
        -e 's/^    switch(tok = s->token.val) {$/    emit_source_loc(s); \/\* statement \*\/\n&/' \
        -e 's/^        parse_property:$/&\n            emit_source_loc(s);/' \
        -e '/^        } else if (s->token.val == .\[.) {$/,/^        } else {$/{
                s/^            int prev_op;$/            int prev_op, at_line, at_col;/
                s/^        parse_array_access:$/&\n            at_line = s->token.line_num;\n            at_col = s->token.col_num;/
                s/^                emit_op(s, OP_get_array_el);$/                emit_source_loc_at(s, at_line, at_col);\n&/
            }' \
        -e 's/^    s->eol = s->buf_ptr;$/    s->eol = s->buf_ptr - 1;/' "$work/quickjs.c"
    for added in 'emit_source_loc(s); /\* statement' 'at_col = s->' 'loc_at(s, at_line, at_col)' 's->eol = s->buf_ptr - 1'; do
        [ "$(grep -c "$added" "$work/quickjs.c")" = 1 ] || { echo "places could not be added to quickjs.c: $added" >&2; exit 4; }
    done
    grep -A 1 'parse_property:' "$work/quickjs.c" | grep -q emit_source_loc || { echo "places of properties could not be added to quickjs.c" >&2; exit 4; }
    cd "$work"
    # shellcheck disable=SC2086 # flags are words
    "$clang" $flags guest.c libregexp.c libunicode.c dtoa.c -o engine.wasm \
        -lwasi-emulated-process-clocks -lwasi-emulated-signal >&2
    mv engine.wasm "$out.$$" && mv "$out.$$" "$out"
fi
echo "$out"
