#include <rfm/base/arena.h>
#include <rfm/base/error.h>

#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define RFM_ARENA_POISON 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RFM_ARENA_POISON 1
#endif
#endif
#ifdef RFM_ARENA_POISON
#include <sanitizer/asan_interface.h>
#define POISON(at, len)   ASAN_POISON_MEMORY_REGION(at, len)
#define UNPOISON(at, len) ASAN_UNPOISON_MEMORY_REGION(at, len)
#else
#define POISON(at, len)   ((void)(at), (void)(len))
#define UNPOISON(at, len) ((void)(at), (void)(len))
#endif

/* A chunk that none of so many resets has used goes. So an arena never holds more than what it needed of late, and what
 * one large step took does not stay for ever. */
enum { CHUNK_BYTES_MIN = 64 * 1024, ALIGNMENT = 16, RESETS_KEPT = 64 };

struct rfm_arena_chunk {
    rfm_arena_chunk *next;
    size_t size, used;
    bool lately; /* used since the last look */
    _Alignas(ALIGNMENT) uint8_t bytes[];
};

void rfm_arena_init(rfm_arena *arena)
{
    *arena = (rfm_arena){0};
}

void rfm_arena_release(rfm_arena *arena)
{
    for (rfm_arena_chunk *chunk = arena->first, *next; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    rfm_arena_init(arena);
}

void rfm_arena_reset(rfm_arena *arena)
{
    bool look = ++arena->resets % RESETS_KEPT == 0;
    for (rfm_arena_chunk **link = &arena->first, *chunk; (chunk = *link) != NULL;) {
        POISON(chunk->bytes, chunk->used);
        chunk->used = 0;
        if (look && !chunk->lately) {
            *link = chunk->next;
            arena->held_bytes -= chunk->size;
            free(chunk);
            continue;
        }
        chunk->lately = chunk->lately && !look;
        link = &chunk->next;
    }
    arena->current = NULL;
    arena->used_bytes = 0;
}

/* Powers of two, so that a chunk fits what is a little larger the next time. */
static size_t chunk_size(size_t size_needed)
{
    size_t size = CHUNK_BYTES_MIN;
    while (size < size_needed)
        size *= 2;
    return size;
}

static rfm_arena_chunk *chunk_new(size_t size)
{
    rfm_arena_chunk *chunk = malloc(sizeof *chunk + size);
    RFM_NEED(chunk);
    chunk->size = size;
    chunk->used = 0;
    POISON(chunk->bytes, size);
    return chunk;
}

/* The chunks after the current one are empty. One of the right size becomes the next, wherever it stands; a larger one
 * is left alone, or it would seem to be needed. */
static void next_chunk(rfm_arena *arena, size_t size_needed)
{
    rfm_arena_chunk **link = arena->current ? &arena->current->next : &arena->first;
    rfm_arena_chunk **place = link;
    size_t size = chunk_size(size_needed);
    while (*link && (*link)->size != size)
        link = &(*link)->next;
    rfm_arena_chunk *chunk = *link;
    if (chunk)
        *link = chunk->next;
    else
        chunk = chunk_new(size), arena->held_bytes += size;
    chunk->lately = true;
    chunk->next = *place;
    *place = chunk;
    arena->current = chunk;
}

void *rfm_arena_take(rfm_arena *arena, size_t len)
{
    RFM_ASSERT(len < SIZE_MAX / 4);
    size_t size = (len + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (size == 0)
        size = ALIGNMENT;
    if (!arena->current || arena->current->size - arena->current->used < size)
        next_chunk(arena, size);
    rfm_arena_chunk *chunk = arena->current;
    void *at = chunk->bytes + chunk->used;
    chunk->used += size;
    arena->used_bytes += size;
    UNPOISON(at, len);
    return at;
}

rfm_bytes rfm_arena_copy(rfm_arena *arena, rfm_bytes bytes)
{
    uint8_t *at = rfm_arena_take(arena, bytes.len);
    if (bytes.len)
        memcpy(at, bytes.at, bytes.len);
    return rfm_bytes_of(at, bytes.len);
}
