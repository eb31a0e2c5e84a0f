//! What happens before the first run: the engine is built once, then one function is loaded into it.
//! Each leaves an image of the memory behind.

static const char prelude[] = {
#embed "prelude.js"
    , 0
};

/* How deep JavaScript may recurse, in bytes of the C stack in linear memory (1 MiB). */
enum { SCRIPT_STACK_BYTES = SCRIPT_STACK };
/* Garbage that a run may make before the collector looks. */
enum { GARBAGE_BYTES = 1 << 20 };

/* There is nothing to import from: everything was bundled. */
static bool import_refused;

static JSModuleDef *refuse_import(JSContext *c, const char *name, void *unused)
{
    import_refused = true;
    JS_ThrowReferenceError(c, "there is no module '%s' to import", name);
    return NULL;
}

/* A stack trace must not hand out the functions in it: those of the prelude make errors that pass for the host's. */
static void hide_callers(void)
{
    JSAtom name = JS_NewAtom(context, "getFunction");
    JS_DeleteProperty(context, context->class_proto[JS_CLASS_CALL_SITE], name, 0);
    JS_FreeAtom(context, name);
}

static bool run_prelude(void)
{
    JSValue factory = JS_Eval(context, prelude, sizeof prelude - 1, "neofn", JS_EVAL_TYPE_GLOBAL);
    JSValue tools = JS_NewObject(context);
    for (size_t i = 0; i < sizeof natives / sizeof natives[0]; i++)
        JS_SetPropertyStr(context, tools, natives[i].name,
                          JS_NewCFunction(context, natives[i].function, natives[i].name, natives[i].length));
    JSValue parts = JS_Call(context, factory, JS_UNDEFINED, 1, (JSValueConst *)&tools);
    JS_FreeValue(context, factory);
    JS_FreeValue(context, tools);
    if (JS_IsException(parts))
        return false;
    context_proto = JS_GetPropertyStr(context, parts, "contextProto");
    make_host_error = JS_GetPropertyStr(context, parts, "makeHostError");
    host_code_of = JS_GetPropertyStr(context, parts, "hostCodeOf");
    JS_FreeValue(context, parts);
    hide_callers();
    return JS_IsObject(context_proto) && JS_IsFunction(context, make_host_error)
        && JS_IsFunction(context, host_code_of);
}

/* Builds the engine: 0, or the step that failed. */
EXPORT("init") uint32_t guest_init(void)
{
    runtime = JS_NewRuntime();
    if (!runtime)
        return 1;
    JS_SetModuleLoaderFunc(runtime, NULL, refuse_import, NULL);
    JS_SetMaxStackSize(runtime, SCRIPT_STACK_BYTES);
    JS_UpdateStackTop(runtime);
    context = JS_NewContextRaw(runtime);
    if (!context)
        return 2;
    if (JS_AddIntrinsicBaseObjects(context) || JS_AddIntrinsicDate(context) || JS_AddIntrinsicEval(context)
        || JS_AddIntrinsicRegExp(context) || JS_AddIntrinsicJSON(context) || JS_AddIntrinsicProxy(context)
        || JS_AddIntrinsicMapSet(context) || JS_AddIntrinsicTypedArrays(context)
        || JS_AddIntrinsicPromise(context) || JS_AddIntrinsicBigInt(context)
        || JS_AddIntrinsicWeakRef(context) || JS_AddIntrinsicDOMException(context)
        || JS_AddIntrinsicAToB(context))
        return 3;
    handler = outcome = JS_UNDEFINED;
    if (!run_prelude()) {
        fail_with(JS_GetException(context), FAIL_UNCAUGHT);
        return 4;
    }
    context->eval_internal = NULL;
    JS_RunGC(runtime);
    return 0;
}

static JSValue function_of(JSValueConst object, const char *name)
{
    JSValue value = JS_GetPropertyStr(context, object, name);
    if (JS_IsException(value))
        drop_exception();
    if (JS_IsFunction(context, value))
        return value;
    JS_FreeValue(context, value);
    return JS_UNDEFINED;
}

static bool find_handler(JSModuleDef *module)
{
    JSValue exports = JS_GetModuleNamespace(context, module);
    JSValue global = JS_GetGlobalObject(context);
    JSValue found[4] = { function_of(exports, "handler"), function_of(exports, "default"),
                         function_of(exports, "main"), function_of(global, "main") };
    uint32_t count = 0;
    if (JS_IsStrictEqual(context, found[2], found[3])) {
        JS_FreeValue(context, found[3]);
        found[3] = JS_UNDEFINED;
    }
    for (int i = 0; i < 4; i++) {
        if (JS_IsUndefined(found[i]))
            continue;
        if (count++ == 0)
            handler = found[i];
        else
            JS_FreeValue(context, found[i]);
    }
    JS_FreeValue(context, exports);
    JS_FreeValue(context, global);
    if (count == 0)
        fail_with_text(FAIL_NO_HANDLER,
                       "the module exports neither `handler` nor a default function, and defines no global `main`");
    if (count > 1)
        fail_with_text(FAIL_TWO_HANDLERS,
                       "more than one of `handler`, the default export and a global `main` are functions");
    return count == 1;
}

/* The only place that turns text into code. */
static JSValue compile(uint32_t size)
{
    char *code = malloc((size_t)size + 1);
    if (!code)
        return JS_ThrowOutOfMemory(context);
    host_input(code);
    code[size] = 0;
    JS_AddIntrinsicEval(context);
    JSValue module = JS_Eval(context, code, size, "fn.js", JS_EVAL_TYPE_MODULE | JS_EVAL_FLAG_COMPILE_ONLY);
    context->eval_internal = NULL;
    memset(code, 0, size); /* keeps the image small */
    free(code);
    return module;
}

/* Evaluates a module: 0 when it is ready to run, 1 when it was refused and said so. */
EXPORT("load") uint32_t guest_load(uint32_t size, uint32_t memory_bytes)
{
    heap_max = memory_bytes;
    JS_UpdateStackTop(runtime);
    JSValue module = compile(size);
    if (JS_IsException(module)) {
        fail_with(JS_GetException(context), import_refused ? FAIL_IMPORT : FAIL_SYNTAX);
        return 1;
    }
    if (JS_ResolveModule(context, module) < 0) {
        fail_with(JS_GetException(context), FAIL_IMPORT);
        return 1;
    }
    JSModuleDef *definition = JS_VALUE_GET_PTR(module);
    JSValue evaluated = JS_EvalFunction(context, module);
    if (JS_IsException(evaluated) || !run_jobs()) {
        fail_with(JS_GetException(context), FAIL_UNCAUGHT);
        return 1;
    }
    JSPromiseStateEnum state = JS_PromiseState(context, evaluated);
    if (state == JS_PROMISE_REJECTED) {
        fail_with(JS_PromiseResult(context, evaluated), FAIL_UNCAUGHT);
        return 1;
    }
    if (state == JS_PROMISE_PENDING) {
        fail_with_text(FAIL_NEVER_SETTLED, "the module awaits a promise that nothing settles");
        return 1;
    }
    JS_FreeValue(context, evaluated);
    if (!find_handler(definition))
        return 1;
    JS_RunGC(runtime);
    JS_SetGCThreshold(runtime, runtime->malloc_state.malloc_size + GARBAGE_BYTES);
    heap_exhausted = false;
    return 0;
}
