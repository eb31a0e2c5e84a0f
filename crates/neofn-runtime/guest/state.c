//! The guest's state. All of it lies in linear memory, so a restored image restores it too.

static JSRuntime *runtime;
static JSContext *context;

/* What the prelude hands over. */
static JSValue context_proto;
static JSValue make_host_error;
static JSValue host_error_class;

static JSValue handler;
/* What the handler returned: a promise or a value. */
static JSValue outcome;

/* Resolve and reject of every host call, by its number; both undefined once settled. */
static JSValue (*calls)[2];
static uint32_t calls_capacity;
static uint32_t calls_outstanding;

static void drop_exception(void)
{
    JS_FreeValue(context, JS_GetException(context));
}

/* Takes `size` bytes of JSON that the host has ready. */
static JSValue take_json(uint32_t size, const char *name)
{
    if (size == 0)
        return JS_NULL;
    char *text = malloc((size_t)size + 1);
    if (!text)
        return JS_ThrowOutOfMemory(context);
    host_input(text);
    text[size] = 0;
    JSValue value = JS_ParseJSON(context, text, size, name);
    free(text);
    return value;
}
