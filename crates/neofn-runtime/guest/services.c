//! Functions that the prelude builds its globals from.

static JSValue js_log(JSContext *c, JSValueConst self, int argc, JSValueConst *argv)
{
    int32_t level;
    size_t size;
    if (JS_ToInt32(c, &level, argv[0]))
        return JS_EXCEPTION;
    const char *text = JS_ToCStringLen(c, &size, argv[1]);
    if (!text)
        return JS_EXCEPTION;
    host_log((uint32_t)level, text, size);
    JS_FreeCString(c, text);
    return JS_UNDEFINED;
}

static JSValue js_context(JSContext *c, JSValueConst self, int argc, JSValueConst *argv)
{
    return take_json(host_context(), "<context>");
}

static bool reserve_call(uint32_t seq)
{
    if (seq < calls_capacity)
        return true;
    uint32_t capacity = calls_capacity ? calls_capacity * 2 : 16;
    if (capacity <= seq)
        capacity = seq + 1;
    JSValue(*grown)[2] = realloc(calls, capacity * sizeof *calls);
    if (!grown)
        return false;
    for (uint32_t i = calls_capacity; i < capacity; i++)
        grown[i][0] = grown[i][1] = JS_UNDEFINED;
    calls = grown;
    calls_capacity = capacity;
    return true;
}

static const char asked_too_late[] =
    "a getter or toJSON of the result made a host call: make host calls in the handler, and await them";

/* request(op, json) -> promise, or a negative number that says why not */
static JSValue js_request(JSContext *c, JSValueConst self, int argc, JSValueConst *argv)
{
    int32_t op;
    size_t size;
    JSValue settle[2];
    if (answering) {
        asked_while_answering = true;
        return JS_ThrowTypeError(c, "%s", asked_too_late);
    }
    if (JS_ToInt32(c, &op, argv[0]))
        return JS_EXCEPTION;
    const char *json = JS_ToCStringLen(c, &size, argv[1]);
    if (!json)
        return JS_EXCEPTION;
    JSValue promise = JS_NewPromiseCapability(c, settle);
    if (JS_IsException(promise)) {
        JS_FreeCString(c, json);
        return promise;
    }
    int32_t seq = host_request((uint32_t)op, json, size);
    JS_FreeCString(c, json);
    if (seq >= 0 && reserve_call((uint32_t)seq)) {
        calls[seq][0] = settle[0];
        calls[seq][1] = settle[1];
        calls_outstanding++;
        return promise;
    }
    JS_FreeValue(c, settle[0]);
    JS_FreeValue(c, settle[1]);
    JS_FreeValue(c, promise);
    return seq < 0 ? JS_NewInt32(c, seq) : JS_ThrowOutOfMemory(c);
}

/* service(op, outSize, asText, ...inputs) -> Uint8Array or string, or a negative number that says why not.
   Inputs are strings and Uint8Arrays. */
static JSValue js_service(JSContext *c, JSValueConst self, int argc, JSValueConst *argv)
{
    enum { INPUTS_MAX = 3 };
    struct span in[INPUTS_MAX];
    const char *text[INPUTS_MAX] = { 0 };
    int32_t op;
    uint32_t out_size, count = 0;
    JSValue answer = JS_EXCEPTION;

    if (JS_ToInt32(c, &op, argv[0]) || JS_ToUint32(c, &out_size, argv[1]))
        return JS_EXCEPTION;
    for (int i = 3; i < argc && count < INPUTS_MAX; i++, count++) {
        size_t size;
        if (JS_IsString(argv[i]))
            in[count].data = text[count] = JS_ToCStringLen(c, &size, argv[i]);
        else
            in[count].data = JS_GetUint8Array(c, &size, argv[i]);
        if (!in[count].data) {
            if (text[count] || JS_IsString(argv[i]) || size != 0 || JS_HasException(c))
                goto done;
            in[count].data = ""; /* an empty array has no data */
        }
        in[count].size = (uint32_t)size;
    }
    void *out = malloc(out_size ? out_size : 1);
    if (!out) {
        JS_ThrowOutOfMemory(c);
        goto done;
    }
    int32_t written = host_service((uint32_t)op, in, count, out, out_size);
    if (written < 0)
        answer = JS_NewInt32(c, written);
    else if (JS_ToBool(c, argv[2]))
        answer = JS_NewStringLen(c, out, (size_t)written);
    else
        answer = JS_NewUint8ArrayCopy(c, out, (size_t)written);
    free(out);
done:
    for (uint32_t i = 0; i < INPUTS_MAX; i++)
        if (text[i])
            JS_FreeCString(c, text[i]);
    return answer;
}

static JSValue js_utf8_encode(JSContext *c, JSValueConst self, int argc, JSValueConst *argv)
{
    size_t size;
    const char *text = JS_ToCStringLen(c, &size, argv[0]);
    if (!text)
        return JS_EXCEPTION;
    JSValue bytes = JS_NewUint8ArrayCopy(c, (const uint8_t *)text, size);
    JS_FreeCString(c, text);
    return bytes;
}

/* Length of the longest prefix of a valid sequence at `p`; negative when it is cut short or broken there. */
static int utf8_sequence(const uint8_t *p, size_t left)
{
    uint8_t b = p[0], low = 0x80, high = 0xbf;
    int more;
    if (b < 0x80)
        return 1;
    if (b >= 0xc2 && b <= 0xdf)
        more = 1;
    else if (b >= 0xe0 && b <= 0xef) {
        more = 2;
        if (b == 0xe0)
            low = 0xa0;
        if (b == 0xed)
            high = 0x9f;
    } else if (b >= 0xf0 && b <= 0xf4) {
        more = 3;
        if (b == 0xf0)
            low = 0x90;
        if (b == 0xf4)
            high = 0x8f;
    } else
        return -1;
    for (int i = 1; i <= more; i++) {
        if ((size_t)i >= left || p[i] < low || p[i] > high)
            return -i;
        low = 0x80;
        high = 0xbf;
    }
    return more + 1;
}

/* utf8Decode(bytes, fatal) -> string, or null when fatal and broken */
static JSValue js_utf8_decode(JSContext *c, JSValueConst self, int argc, JSValueConst *argv)
{
    size_t size, at = 0, used = 0;
    const uint8_t *bytes = JS_GetUint8Array(c, &size, argv[0]);
    if (!bytes)
        return JS_HasException(c) ? JS_EXCEPTION : JS_NewString(c, "");
    while (at < size) {
        int n = utf8_sequence(bytes + at, size - at);
        if (n < 0)
            break;
        at += (size_t)n;
    }
    if (at == size)
        return JS_NewStringLen(c, (const char *)bytes, size);
    if (JS_ToBool(c, argv[1]))
        return JS_NULL;
    uint8_t *mended = malloc(size * 3); /* a broken byte becomes the three of U+FFFD */
    if (!mended)
        return JS_ThrowOutOfMemory(c);
    for (at = 0; at < size;) {
        int n = utf8_sequence(bytes + at, size - at);
        if (n > 0) {
            memcpy(mended + used, bytes + at, (size_t)n);
            at += (size_t)n;
            used += (size_t)n;
        } else {
            memcpy(mended + used, "\xef\xbf\xbd", 3);
            at += (size_t)-n;
            used += 3;
        }
    }
    JSValue text = JS_NewStringLen(c, (const char *)mended, used);
    free(mended);
    return text;
}

static JSValue js_hex(JSContext *c, JSValueConst self, int argc, JSValueConst *argv)
{
    static const char digits[] = "0123456789abcdef";
    size_t size;
    const uint8_t *bytes = JS_GetUint8Array(c, &size, argv[0]);
    if (!bytes)
        return JS_HasException(c) ? JS_EXCEPTION : JS_NewString(c, "");
    char *text = malloc(size * 2 + 1);
    if (!text)
        return JS_ThrowOutOfMemory(c);
    for (size_t i = 0; i < size; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    JSValue value = JS_NewStringLen(c, text, size * 2);
    free(text);
    return value;
}

static const struct {
    const char *name;
    JSCFunction *function;
    int length;
} natives[] = {
    { "log", js_log, 2 },
    { "context", js_context, 0 },
    { "request", js_request, 2 },
    { "service", js_service, 3 },
    { "utf8Encode", js_utf8_encode, 1 },
    { "utf8Decode", js_utf8_decode, 2 },
    { "hex", js_hex, 1 },
};
