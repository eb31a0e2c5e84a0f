//! One run: start, then resume for each reply of the host, until it is done.

enum { DONE = 0, PARKED = 1 };

static uint32_t finish(JSValueConst value)
{
    size_t size;
    if (JS_IsUndefined(value)) {
        host_result("null", 4);
        return DONE;
    }
    answering = true;
    JSValue json = JS_JSONStringify(context, value, JS_UNDEFINED, JS_UNDEFINED);
    if (asked_while_answering) {
        drop_exception();
        JS_FreeValue(context, json);
        fail_with_text(FAIL_NOT_SERIALISABLE, asked_too_late);
        return DONE;
    }
    if (JS_IsException(json)) {
        fail_with(JS_GetException(context), FAIL_NOT_SERIALISABLE);
        return DONE;
    }
    if (JS_IsUndefined(json)) {
        fail_with_text(FAIL_NOT_SERIALISABLE, "the result is a function or a symbol, which JSON cannot hold");
        return DONE;
    }
    const char *text = JS_ToCStringLen(context, &size, json);
    JS_FreeValue(context, json);
    if (!text) {
        fail_with(JS_GetException(context), FAIL_NOT_SERIALISABLE);
        return DONE;
    }
    host_result(text, size);
    JS_FreeCString(context, text);
    return DONE;
}

/* Runs all jobs. False when one could not even be run, which only happens when memory is out. */
static bool run_jobs(void)
{
    JSContext *unused;
    int ran;
    while ((ran = JS_ExecutePendingJob(runtime, &unused)) > 0)
        ;
    return ran == 0;
}

static uint32_t go_on(void)
{
    if (!run_jobs()) {
        fail_with(JS_GetException(context), FAIL_UNCAUGHT);
        return DONE;
    }
    switch (JS_PromiseState(context, outcome)) {
    case JS_PROMISE_PENDING:
        if (calls_outstanding)
            return PARKED;
        fail_with_text(FAIL_NEVER_SETTLED,
                       "the handler waits for a promise that nothing is left to settle");
        return DONE;
    case JS_PROMISE_REJECTED:
        fail_with(JS_PromiseResult(context, outcome), FAIL_UNCAUGHT);
        return DONE;
    default:
        break;
    }
    /* What a handler began without awaiting it still belongs to its run. */
    if (calls_outstanding)
        return PARKED;
    if (JS_PromiseState(context, outcome) == JS_PROMISE_FULFILLED) {
        JSValue value = JS_PromiseResult(context, outcome);
        uint32_t status = finish(value);
        JS_FreeValue(context, value);
        return status;
    }
    return finish(outcome);
}

/* A thenable that is no promise is awaited like one. */
static int adopt_thenable(void)
{
    if (!JS_IsObject(outcome) || JS_PromiseState(context, outcome) != JS_PROMISE_NOT_A_PROMISE)
        return 0;
    JSValue then = JS_GetPropertyStr(context, outcome, "then");
    if (JS_IsException(then))
        return -1;
    bool adopt = JS_IsFunction(context, then);
    JS_FreeValue(context, then);
    if (!adopt)
        return 0;
    JSValue settle[2], promise = JS_NewPromiseCapability(context, settle);
    if (JS_IsException(promise))
        return -1;
    JSValue unused = JS_Call(context, settle[0], JS_UNDEFINED, 1, (JSValueConst *)&outcome);
    JS_FreeValue(context, settle[0]);
    JS_FreeValue(context, settle[1]);
    JS_FreeValue(context, outcome);
    outcome = promise;
    if (JS_IsException(unused))
        return -1;
    JS_FreeValue(context, unused);
    return 0;
}

static uint32_t begin(uint32_t event_size)
{
    JSValue arguments[2];
    arguments[0] = take_json(event_size, "<event>");
    if (!JS_IsException(arguments[0])) {
        arguments[1] = JS_NewObjectProto(context, context_proto);
        outcome = JS_Call(context, handler, JS_UNDEFINED, 2, (JSValueConst *)arguments);
        JS_FreeValue(context, arguments[0]);
        JS_FreeValue(context, arguments[1]);
        if (!JS_IsException(outcome) && adopt_thenable() == 0)
            return go_on();
    }
    fail_with(JS_GetException(context), FAIL_UNCAUGHT);
    return DONE;
}

static uint32_t deliver(uint32_t seq, uint32_t failed, uint32_t size)
{
    if (seq >= calls_capacity || JS_IsUndefined(calls[seq][0]))
        return go_on();
    JSValue resolve = calls[seq][0], reject = calls[seq][1];
    calls[seq][0] = calls[seq][1] = JS_UNDEFINED;
    calls_outstanding--;
    JSValue value = take_json(size, "<reply>");
    if (!JS_IsException(value) && failed) {
        JSValue error = JS_Call(context, make_host_error, JS_UNDEFINED, 1, (JSValueConst *)&value);
        JS_FreeValue(context, value);
        value = error;
    }
    JSValue done = JS_EXCEPTION;
    if (!JS_IsException(value)) {
        done = JS_Call(context, failed ? reject : resolve, JS_UNDEFINED, 1, (JSValueConst *)&value);
        JS_FreeValue(context, value);
    }
    JS_FreeValue(context, resolve);
    JS_FreeValue(context, reject);
    if (JS_IsException(done)) {
        fail_with(JS_GetException(context), FAIL_UNCAUGHT);
        return DONE;
    }
    JS_FreeValue(context, done);
    return go_on();
}

EXPORT("start") uint32_t guest_start(uint32_t event_size, uint64_t random)
{
    JS_UpdateStackTop(runtime);
    context->random_state = random | 1;
    track_rejections();
    uint32_t status = begin(event_size);
    if (status == DONE)
        log_rejections();
    return status;
}

EXPORT("resume") uint32_t guest_resume(uint32_t seq, uint32_t failed, uint32_t size)
{
    JS_UpdateStackTop(runtime);
    uint32_t status = deliver(seq, failed, size);
    if (status == DONE)
        log_rejections();
    return status;
}
