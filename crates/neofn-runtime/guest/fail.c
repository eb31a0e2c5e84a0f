//! Says why a run failed. Reads whatever was thrown without trusting it: getters may throw, proxies may lie.

static const char *text_of(JSValueConst object, const char *property, size_t *size)
{
    const char *text = NULL;
    *size = 0;
    JSValue value = JS_GetPropertyStr(context, object, property);
    if (JS_IsString(value))
        text = JS_ToCStringLen(context, size, value);
    if (!text) {
        *size = 0;
        drop_exception();
    }
    JS_FreeValue(context, value);
    return text;
}

static const char *any_text(JSValueConst value, size_t *size)
{
    JSValue json = JS_UNDEFINED;
    const char *text = NULL;
    if (JS_IsObject(value))
        json = JS_JSONStringify(context, value, JS_UNDEFINED, JS_UNDEFINED);
    if (JS_IsException(json)) {
        drop_exception();
        json = JS_UNDEFINED;
    }
    text = JS_ToCStringLen(context, size, JS_IsUndefined(json) ? value : json);
    if (!text) {
        *size = 0;
        drop_exception();
    }
    JS_FreeValue(context, json);
    return text;
}

static bool same(const char *text, size_t size, const char *wanted)
{
    return text && size == strlen(wanted) && !memcmp(text, wanted, size);
}

/* The catalogue number of an error that the host made, 0 for any other. Neither its class nor its properties tell:
   functions can reach those. */
static uint32_t host_code(JSValueConst thrown)
{
    uint32_t number = 0;
    size_t size = 0;
    const char *code = NULL;
    JSValue value = JS_Call(context, host_code_of, JS_UNDEFINED, 1, &thrown);
    if (JS_IsException(value))
        drop_exception();
    else if (JS_IsString(value))
        code = JS_ToCStringLen(context, &size, value);
    JS_FreeValue(context, value);
    if (code && size == 6 && code[0] == 'N' && code[1] == 'F')
        for (int i = 2; i < 6; i++)
            number = number * 10 + (uint32_t)(code[i] - '0');
    if (code)
        JS_FreeCString(context, code);
    return number;
}

/* Reports `thrown`, which it takes, under `code` unless the error itself says something more exact. */
static void fail_with(JSValue thrown, uint32_t code)
{
    size_t name_size = 0, message_size = 0, stack_size = 0;
    const char *name = NULL, *message = NULL, *stack = NULL;

    answering = true;
    if (JS_IsObject(thrown)) {
        name = text_of(thrown, "name", &name_size);
        message = text_of(thrown, "message", &message_size);
        stack = text_of(thrown, "stack", &stack_size);
        if (same(message, message_size, "out of memory") && same(name, name_size, "InternalError"))
            code = FAIL_MEMORY;
        else if (same(message, message_size, "Maximum call stack size exceeded")
                 && same(name, name_size, "RangeError"))
            code = FAIL_STACK;
        else if (host_code(thrown))
            code = host_code(thrown);
    } else if (heap_exhausted && (JS_IsNull(thrown) || JS_IsUninitialized(thrown))) {
        code = FAIL_MEMORY; /* not even the error object could be made */
    }
    if (!message && !name) {
        static const char uncaught[] = "Uncaught";
        name = uncaught;
        name_size = sizeof uncaught - 1;
        message = any_text(thrown, &message_size);
        host_fail(code, name, name_size, message, message_size, stack, stack_size);
        name = NULL;
    } else {
        host_fail(code, name, name_size, message, message_size, stack, stack_size);
    }
    if (name)
        JS_FreeCString(context, name);
    if (message)
        JS_FreeCString(context, message);
    if (stack)
        JS_FreeCString(context, stack);
    JS_FreeValue(context, thrown);
}

static void fail_with_text(uint32_t code, const char *message)
{
    host_fail(code, NULL, 0, message, strlen(message), NULL, 0);
}
