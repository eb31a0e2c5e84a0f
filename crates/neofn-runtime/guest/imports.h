//! Everything the guest can ask of its host, beside the clock of WASI.

#define EXPORT(name) __attribute__((export_name(name)))
#define IMPORT(name) __attribute__((import_module("neofn"), import_name(name)))

/* Failure codes as in the catalogue: 201 stands for NF0201. */
enum {
    FAIL_SYNTAX = 101,
    FAIL_NO_HANDLER = 102,
    FAIL_TWO_HANDLERS = 103,
    FAIL_IMPORT = 105,
    FAIL_UNCAUGHT = 201,
    FAIL_MEMORY = 204,
    FAIL_STACK = 205,
    FAIL_NOT_SERIALISABLE = 206,
    FAIL_NEVER_SETTLED = 207,
};

/* One piece of input to a service. */
struct span {
    const void *data;
    uint32_t size;
};

/* The heap grew by this many pages of 64 KiB: the host charges them, or stops the run. */
IMPORT("grow") void host_grow(uint32_t pages);
/* Copies what the host has ready (code, event, context, reply) to `out`; its size was told before. */
IMPORT("input") void host_input(void *out);
/* Makes the context ready as input, answers its size. */
IMPORT("context") uint32_t host_context(void);
/* The run succeeded with this JSON. */
IMPORT("result") void host_result(const char *json, size_t size);
/* The run failed. */
IMPORT("fail") void host_fail(uint32_t code, const char *name, size_t name_size, const char *message,
                              size_t message_size, const char *stack, size_t stack_size);
/* Levels of `host_log`, as the prelude numbers them. */
enum { LOG_ERROR = 3 };
IMPORT("log") void host_log(uint32_t level, const char *text, size_t size);
/* Asks for a host call, answers its number, or why not: -1 not granted, -2 too many, -3 too large, -4 not in a call. */
IMPORT("request") int32_t host_request(uint32_t op, const char *json, size_t size);
/* A synchronous service over `count` inputs; answers the bytes written, or -1 bad input, -2 too large, -4 not in a call. */
IMPORT("service") int32_t host_service(uint32_t op, const struct span *in, uint32_t count, void *out, size_t out_size);
