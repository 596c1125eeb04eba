#include <rfm/base/pool.h>

#include <rfm/base/error.h>
#include <rfm/base/pages.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* Memory comes in chunks, cut into aligned slabs. A slab serves one class until all its blocks are back, then any: so
 * the limit is never stuck in classes that nobody asks for any more. Where the limit is reached, a larger class may
 * lend a block; a block's slab, not its length, says where it goes back to. */
enum {
    CLASS_COUNT = RFM_POOL_BLOCK_MAX / RFM_POOL_CLASS_BYTES,
    SLAB_BYTES_LARGE = 64 * 1024,
    SLAB_BYTES_SMALL = 16 * 1024, /* so that a small pool, too, can serve several classes */
    SLABS_PER_CHUNK = 32,         /* of large slabs: a huge page */
};

typedef struct free_block {
    struct free_block *next;
} free_block;

typedef struct slab {
    struct slab *next, *prev; /* among its class's slabs that have room, or (next only) among the free ones */
    free_block *free;
    uint32_t class_, taken, carved, capacity; /* blocks: out, ever cut since it got its class, that fit */
    _Alignas(RFM_POOL_CLASS_BYTES) uint8_t bytes[];
} slab;

typedef struct chunk {
    struct chunk *next;
    void *slabs;
} chunk;

struct rfm_pool {
    size_t bytes_max, used_bytes, slab_bytes, slabs_left;
    chunk *chunks;
    uint8_t *uncut; /* slabs of the newest chunk that were never used */
    size_t uncut_count;
    slab *free;
    slab *with_room[CLASS_COUNT];
};

rfm_pool *rfm_pool_new(size_t bytes_max)
{
    rfm_pool *pool = calloc(1, sizeof *pool);
    RFM_NEED(pool);
    pool->bytes_max = bytes_max;
    pool->slab_bytes = bytes_max < (size_t)SLAB_BYTES_LARGE * CLASS_COUNT ? SLAB_BYTES_SMALL : SLAB_BYTES_LARGE;
    pool->slabs_left = bytes_max / pool->slab_bytes + (bytes_max % pool->slab_bytes != 0);
    return pool;
}

void rfm_pool_free(rfm_pool *pool)
{
    if (!pool)
        return;
    for (chunk *it = pool->chunks, *next; it; it = next) {
        next = it->next;
        free(it->slabs);
        free(it);
    }
    free(pool);
}

static bool add_chunk(rfm_pool *pool)
{
    size_t count = pool->slabs_left < SLABS_PER_CHUNK ? pool->slabs_left : SLABS_PER_CHUNK;
    chunk *added = count ? malloc(sizeof *added) : NULL;
    size_t size = count * pool->slab_bytes;
    void *slabs = NULL;
    if (added)
        slabs = size < RFM_HUGE_PAGE_BYTES ? aligned_alloc(pool->slab_bytes, size) : rfm_pages_alloc(size);
    if (!slabs)
        return free(added), false;
    *added = (chunk){pool->chunks, slabs};
    pool->chunks = added;
    pool->uncut = slabs;
    pool->uncut_count = count;
    pool->slabs_left -= count;
    return true;
}

static slab *take_slab(rfm_pool *pool)
{
    slab *taken = pool->free;
    if (taken) {
        pool->free = taken->next;
    } else if (pool->uncut_count > 0 || add_chunk(pool)) {
        taken = (slab *)(void *)pool->uncut;
        pool->uncut += pool->slab_bytes;
        pool->uncut_count--;
    }
    return taken;
}

static void link_slab(rfm_pool *pool, slab *it)
{
    slab **head = &pool->with_room[it->class_];
    it->prev = NULL;
    it->next = *head;
    if (*head)
        (*head)->prev = it;
    *head = it;
}

static void unlink_slab(rfm_pool *pool, slab *it)
{
    if (it->prev)
        it->prev->next = it->next;
    else
        pool->with_room[it->class_] = it->next;
    if (it->next)
        it->next->prev = it->prev;
}

static size_t block_bytes(uint32_t class_)
{
    return ((size_t)class_ + 1) * RFM_POOL_CLASS_BYTES;
}

static slab *slab_for(rfm_pool *pool, uint32_t class_)
{
    if (pool->with_room[class_])
        return pool->with_room[class_];
    slab *fresh = take_slab(pool);
    if (fresh) {
        uint32_t capacity = (uint32_t)((pool->slab_bytes - sizeof(slab)) / block_bytes(class_));
        *fresh = (slab){.class_ = class_, .capacity = capacity};
        link_slab(pool, fresh);
        return fresh;
    }
    while (++class_ < CLASS_COUNT) {
        if (pool->with_room[class_])
            return pool->with_room[class_];
    }
    return NULL;
}

static void *take_block(rfm_pool *pool, slab *from)
{
    void *block = from->free;
    if (block)
        from->free = from->free->next;
    else
        block = from->bytes + block_bytes(from->class_) * from->carved++;
    if (++from->taken == from->capacity)
        unlink_slab(pool, from);
    pool->used_bytes += block_bytes(from->class_);
    return block;
}

void *rfm_pool_take(rfm_pool *pool, size_t len)
{
    if (len > RFM_POOL_BLOCK_MAX)
        return NULL;
    uint32_t class_ = len ? (uint32_t)((len - 1) / RFM_POOL_CLASS_BYTES) : 0;
    if (pool->bytes_max - pool->used_bytes < block_bytes(class_))
        return NULL;
    slab *from = slab_for(pool, class_);
    if (!from || pool->bytes_max - pool->used_bytes < block_bytes(from->class_))
        return NULL;
    return take_block(pool, from);
}

static slab *home_of(const rfm_pool *pool, const void *block)
{
    return (slab *)((uintptr_t)block & ~(uintptr_t)(pool->slab_bytes - 1));
}

/* Slabs are aligned, so that their heads share few sets of a processor's cache and are seldom there. */
void rfm_pool_prefetch(const rfm_pool *pool, const void *block)
{
    __builtin_prefetch(home_of(pool, block), 1);
}

void rfm_pool_give(rfm_pool *pool, void *block, size_t len)
{
    if (!block)
        return;
    slab *home = home_of(pool, block);
    RFM_ASSERT(home->taken > 0 && len <= block_bytes(home->class_));
    free_block *freed = block;
    freed->next = home->free;
    home->free = freed;
    pool->used_bytes -= block_bytes(home->class_);
    if (home->taken-- == home->capacity)
        link_slab(pool, home);
    if (home->taken == 0) {
        unlink_slab(pool, home);
        home->next = pool->free;
        pool->free = home;
    }
}

size_t rfm_pool_used_bytes(const rfm_pool *pool)
{
    return pool->used_bytes;
}
