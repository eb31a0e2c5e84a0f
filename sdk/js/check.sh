#!/bin/sh
# Type-checks templates, examples and the wrong programs; see check.mjs.
exec node "$(dirname "$0")/check.mjs"
