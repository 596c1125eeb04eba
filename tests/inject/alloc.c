/* Memory that is not given, to the program's own code. */
#include "inject.h"

#include <dirent.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 16, PLACES = 1 << 16, EARLY_BYTES = 1 << 16 };

static struct plan {
    long long number, rate, depth, line;
} plan;
static _Atomic unsigned long long count;
static _Atomic uint64_t places[PLACES]; /* hashes of the stacks that were seen */
static _Thread_local bool inside;

NEXT(malloc)
NEXT(calloc)
NEXT(realloc)
NEXT(aligned_alloc)
NEXT(posix_memalign)
NEXT(free)
NEXT(strdup)
NEXT(strndup)
NEXT(__getdelim)
NEXT(fopen)
NEXT(opendir)

/* What the loader asks for while it looks for the real functions. */
static _Alignas(16) unsigned char early[EARLY_BYTES];
static atomic_size_t early_len;
static _Thread_local bool looking;

static void *early_memory(size_t size)
{
    size_t at = atomic_fetch_add(&early_len, (size + 15) / 16 * 16);
    return at + size <= sizeof early ? early + at : NULL;
}

static bool is_early(const void *memory)
{
    return (uintptr_t)memory >= (uintptr_t)early && (uintptr_t)memory < (uintptr_t)early + sizeof early;
}

static void look_for_all(void)
{
    looking = true;
    (void)malloc_of_system(), (void)calloc_of_system(), (void)realloc_of_system(), (void)free_of_system();
    looking = false;
}

static __attribute__((constructor)) void read_plan(void)
{
    plan.number = inject_number("INJECT_ALLOC", 0);
    plan.rate = inject_number("INJECT_ALLOC_RATE", 0);
    plan.depth = inject_number("INJECT_ALLOC_STACKS", 0);
    plan.line = inject_number("INJECT_LINE", 0);
    if (plan.depth > DEPTH_MAX)
        plan.depth = DEPTH_MAX;
}

/* The callers within the program, whose frames are chained: a frame is followed only where its caller is own code
 * too. */
static size_t walk(const uintptr_t *frame, uintptr_t callers[DEPTH_MAX])
{
    size_t depth = 0;
    while (depth < DEPTH_MAX) {
        uintptr_t caller = frame[1];
        if (!inject_is_own(caller))
            break;
        callers[depth++] = caller;
        if (!inject_is_program(caller))
            break;
        frame = (const uintptr_t *)frame[0];
    }
    return depth;
}

static bool is_new_place(const uintptr_t *callers, size_t depth)
{
    uint64_t hash = 1469598103934665603u;
    for (size_t i = 0; i < depth && i < (size_t)plan.depth; i++)
        hash = (hash ^ callers[i]) * 1099511628211u;
    for (size_t at = hash % PLACES;; at = (at + 1) % PLACES) {
        uint64_t there = atomic_load(&places[at]);
        if (there == 0 && atomic_compare_exchange_strong(&places[at], &there, hash))
            return true;
        if (there == hash)
            return false;
    }
}

/* `frame`: of the function that the program called. */
static bool fails(const uintptr_t *frame)
{
    uintptr_t callers[DEPTH_MAX];
    if (inside || (plan.number == 0 && plan.rate == 0) || !inject_is_own(frame[1]) || !inject_armed())
        return false;
    inside = true;
    size_t depth = walk(frame, callers);
    bool counted = plan.depth == 0 || is_new_place(callers, depth);
    unsigned long long number = counted ? atomic_fetch_add(&count, 1) + 1 : 0;
    bool failing = (plan.number > 0 && number == (unsigned long long)plan.number) || inject_roll((uint32_t)plan.rate);
    if (failing) {
        inject_report("alloc", number, callers, depth);
        errno = ENOMEM;
    }
    inside = false;
    return failing;
}
#define FAILS() fails(__builtin_frame_address(0))

void *malloc(size_t size)
{
    if (looking)
        return early_memory(size);
    if (!next_malloc)
        look_for_all();
    return FAILS() ? NULL : next_malloc(size);
}

void *calloc(size_t number, size_t size)
{
    if (looking)
        return early_memory(number * size); /* never used before */
    if (!next_calloc)
        look_for_all();
    return FAILS() ? NULL : next_calloc(number, size);
}

void *realloc(void *memory, size_t size)
{
    if (!next_realloc)
        look_for_all();
    if (is_early(memory)) {
        void *moved = next_malloc(size);
        size_t left = (size_t)(early + sizeof early - (unsigned char *)memory);
        return moved ? memcpy(moved, memory, size < left ? size : left) : NULL;
    }
    return FAILS() ? NULL : next_realloc(memory, size);
}

void free(void *memory)
{
    if (is_early(memory))
        return;
    if (!next_free)
        look_for_all();
    next_free(memory);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return FAILS() ? NULL : aligned_alloc_of_system()(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
    return FAILS() ? ENOMEM : posix_memalign_of_system()(memory, alignment, size);
}

char *strdup(const char *text)
{
    return FAILS() ? NULL : strdup_of_system()(text);
}

char *strndup(const char *text, size_t len)
{
    return FAILS() ? NULL : strndup_of_system()(text, len);
}

/* What an optimised getline calls at once. */
ssize_t __getdelim(char **line, size_t *size, int end, FILE *file)
{
    static long long number;
    if (plan.line > 0 && ++number == plan.line) {
        inject_report("line", (unsigned long long)number, NULL, 0);
        errno = ENOMEM;
        return -1;
    }
    return FAILS() ? -1 : __getdelim_of_system()(line, size, end, file);
}

ssize_t getline(char **line, size_t *size, FILE *file)
{
    return __getdelim(line, size, '\n', file);
}

FILE *fopen(const char *path, const char *mode)
{
    return FAILS() ? NULL : fopen_of_system()(path, mode);
}

DIR *opendir(const char *path)
{
    return FAILS() ? NULL : opendir_of_system()(path);
}
