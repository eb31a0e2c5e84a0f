//! Where the heap's memory comes from: a memory of fixed size that is handed out from below.
//!
//! Replaces the C library's sbrk. Nothing is given back during a run, so the break is the high-water mark that is
//! charged; and the memory never grows, so its image can always be restored in place.

extern unsigned char __heap_base, __heap_end;

static uintptr_t heap_break;
/* Set before code is loaded; the initialised engine itself fits into this. */
static size_t heap_max = 16u << 20;
static bool heap_exhausted;

void *sbrk(intptr_t increment)
{
    if (!heap_break)
        heap_break = (uintptr_t)&__heap_end;
    uintptr_t old = heap_break;
    if (increment == 0)
        return (void *)old;
    uintptr_t limit = ((uintptr_t)&__heap_base + heap_max) & ~(uintptr_t)0xffff;
    if (increment < 0 || (increment & 0xffff) || old + (uintptr_t)increment > limit
        || old + (uintptr_t)increment < old) {
        heap_exhausted = true;
        errno = ENOMEM;
        return (void *)-1;
    }
    host_grow((uint32_t)increment >> 16);
    heap_break = old + (uintptr_t)increment;
    return (void *)old;
}

/* One past the heap's last byte: memory beyond it was never used. */
EXPORT("heap_end") uint32_t guest_heap_end(void)
{
    return (uint32_t)heap_break;
}
