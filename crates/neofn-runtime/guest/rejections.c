//! Promises that were rejected and that nobody looked at: said in the log at the end of the run, which they do not fail.

enum { REJECTIONS_MAX = 8 };

static JSValue rejected[REJECTIONS_MAX];
static uint32_t rejected_count;
/* Beyond those that are kept. */
static uint32_t rejected_more;

static void on_rejection(JSContext *c, JSValueConst promise, JSValueConst reason, bool handled, void *unused)
{
    if (!handled) {
        if (rejected_count < REJECTIONS_MAX)
            rejected[rejected_count++] = JS_DupValue(c, promise);
        else
            rejected_more++;
        return;
    }
    for (uint32_t i = 0; i < rejected_count; i++) {
        if (!JS_IsStrictEqual(c, rejected[i], promise))
            continue;
        JSValue gone = rejected[i];
        rejected[i] = rejected[--rejected_count];
        JS_FreeValue(c, gone);
        return;
    }
    if (rejected_more)
        rejected_more--;
}

static void track_rejections(void)
{
    JS_SetHostPromiseRejectionTracker(runtime, on_rejection, NULL);
}

static void log_rejection(JSValueConst reason)
{
    static const char prefix[] = "unhandled rejection: ", between[] = ": ";
    enum { SHOWN_MAX = 1000 };
    char line[sizeof prefix + 2 * SHOWN_MAX + sizeof between];
    size_t name_size = 0, message_size = 0, used = sizeof prefix - 1;
    const char *name = NULL, *message = NULL;
    memcpy(line, prefix, used);
    if (JS_IsError(reason)) {
        name = text_of(reason, "name", &name_size);
        message = text_of(reason, "message", &message_size);
    } else {
        message = any_text(reason, &message_size);
    }
    if (name) {
        size_t n = name_size < SHOWN_MAX ? name_size : SHOWN_MAX;
        memcpy(line + used, name, n);
        used += n;
        JS_FreeCString(context, name);
        if (message_size) {
            memcpy(line + used, between, 2);
            used += 2;
        }
    }
    if (message) {
        size_t n = message_size < SHOWN_MAX ? message_size : SHOWN_MAX;
        memcpy(line + used, message, n);
        used += n;
        JS_FreeCString(context, message);
    }
    host_log(LOG_ERROR, line, used);
}

/* After the outcome was told: getters of what was thrown can change nothing any more. */
static void log_rejections(void)
{
    answering = true;
    JS_SetHostPromiseRejectionTracker(runtime, NULL, NULL);
    /* the run's own failure was told as such */
    bool own = JS_PromiseState(context, outcome) == JS_PROMISE_REJECTED;
    for (uint32_t i = 0; i < rejected_count; i++) {
        if (own && JS_IsStrictEqual(context, rejected[i], outcome)) {
            own = false;
            continue;
        }
        JSValue reason = JS_PromiseResult(context, rejected[i]);
        log_rejection(reason);
        JS_FreeValue(context, reason);
    }
    if (own && rejected_more)
        rejected_more--;
    if (rejected_more) {
        char line[64];
        int n = snprintf(line, sizeof line, "%u more unhandled rejections", (unsigned)rejected_more);
        host_log(LOG_ERROR, line, (size_t)n);
    }
}
