//! The JavaScript guest: QuickJS-ng behind a handful of exports, one translation unit.
//! It knows nothing of projects or HTTP; all it can reach is what `imports.h` declares.
//!
//! QuickJS is included rather than linked because two of its fields have no setter: `eval_internal`, taken away
//! after the module was compiled so that no code can be made at run time, and `random_state`.

#include "quickjs.c"

#include <errno.h>

#include "imports.h"
#include "memory.c"
#include "state.c"
#include "services.c"
#include "fail.c"
#include "rejections.c"
#include "call.c"
#include "load.c"
