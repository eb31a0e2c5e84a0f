//! The guest's state. All of it lies in linear memory, so a restored image restores it too.

static JSRuntime *runtime;
static JSContext *context;

/* What the prelude hands over. */
static JSValue context_proto;
static JSValue make_host_error;
/* What the host made an error with: its code as a string, nothing for any other value. */
static JSValue host_code_of;

static JSValue handler;
/* What the handler returned: a promise or a value. */
static JSValue outcome;

/* Resolve and reject of every host call, by its number; both undefined once settled. */
static JSValue (*calls)[2];
static uint32_t calls_capacity;
static uint32_t calls_outstanding;

/* The answer is being read: what a getter or a toJSON asks of the host now would be charged and never done. */
static bool answering;
/* Somebody asked all the same. */
static bool asked_while_answering;

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
