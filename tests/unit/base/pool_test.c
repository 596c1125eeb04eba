#include <rfm/base/pool.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

typedef struct taken {
    uint8_t *at;
    size_t len;
} taken;

static bool intact(const taken *block)
{
    for (size_t i = 0; i < block->len; i++) {
        if (block->at[i] != (uint8_t)((uintptr_t)block->at >> 5))
            return false;
    }
    return true;
}

/* Random takes and gives: blocks never overlap (each is filled with a byte of its own), the count is exact. */
static void blocks_do_not_overlap(void **state)
{
    (void)state;
    enum { BLOCKS = 3000, STEPS = 100000, LIMIT = 3 * 1024 * 1024 };
    static taken blocks[BLOCKS];
    rfm_pool *pool = rfm_pool_new(LIMIT);
    size_t used = 0, refused = 0;
    srand(7);
    for (int step = 0; step < STEPS; step++) {
        taken *block = &blocks[rand() % BLOCKS];
        if (block->at) {
            assert_true(intact(block));
            rfm_pool_give(pool, block->at, block->len);
            used -= rfm_pool_class_bytes(block->len);
            block->at = NULL;
            continue;
        }
        block->len = 1 + (size_t)rand() % (step % 50 == 0 ? RFM_POOL_BLOCK_MAX : 400);
        size_t before = rfm_pool_used_bytes(pool);
        block->at = rfm_pool_take(pool, block->len);
        if (!block->at) {
            refused++;
            continue;
        }
        assert_int_equal((uintptr_t)block->at % RFM_POOL_CLASS_BYTES, 0);
        memset(block->at, (int)(uint8_t)((uintptr_t)block->at >> 5), block->len);
        assert_int_equal(rfm_pool_used_bytes(pool) - before, rfm_pool_class_bytes(block->len));
        used += rfm_pool_class_bytes(block->len);
        assert_true(used <= LIMIT);
    }
    assert_int_equal(rfm_pool_used_bytes(pool), used);
    assert_int_equal(refused, 0);
    for (size_t i = 0; i < BLOCKS; i++)
        rfm_pool_give(pool, blocks[i].at, blocks[i].len);
    assert_int_equal(rfm_pool_used_bytes(pool), 0);
    rfm_pool_free(pool);
    memset(blocks, 0, sizeof blocks);
}

static size_t fill(rfm_pool *pool, size_t len, void **blocks, size_t count_max)
{
    size_t count = 0;
    while (count < count_max && (blocks[count] = rfm_pool_take(pool, len)))
        count++;
    return count;
}

/* A pool full of small blocks can become one of large blocks, and back. */
static void memory_moves_between_classes(void **state)
{
    (void)state;
    enum { LIMIT = 32 * 1024 * 1024, COUNT_MAX = LIMIT / 32 };
    static const size_t lens[] = {100, 8192, 32, 500, 4000, 100};
    void **blocks = calloc(COUNT_MAX, sizeof *blocks);
    rfm_pool *pool = rfm_pool_new(LIMIT);
    for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
        size_t count = fill(pool, lens[i], blocks, COUNT_MAX);
        assert_true(count * rfm_pool_class_bytes(lens[i]) > LIMIT / 100 * 87);
        assert_true(rfm_pool_used_bytes(pool) <= LIMIT);
        while (count > 0)
            rfm_pool_give(pool, blocks[--count], lens[i]);
        assert_int_equal(rfm_pool_used_bytes(pool), 0);
    }
    rfm_pool_free(pool);
    free(blocks);
}

/* With every slab in a large class, a small block is lent from one of them. */
static void larger_classes_lend(void **state)
{
    (void)state;
    enum { LIMIT = 256 * 1024, COUNT_MAX = 64 };
    void *blocks[COUNT_MAX];
    rfm_pool *pool = rfm_pool_new(LIMIT);
    size_t count = fill(pool, 2000, blocks, COUNT_MAX);
    for (size_t i = 0; i < 5; i++)
        rfm_pool_give(pool, blocks[--count], 2000);
    void *lent = rfm_pool_take(pool, 40);
    assert_non_null(lent);
    rfm_pool_give(pool, lent, 40);
    while (count > 0)
        rfm_pool_give(pool, blocks[--count], 2000);
    assert_int_equal(rfm_pool_used_bytes(pool), 0);
    rfm_pool_free(pool);
}

static void limits_hold(void **state)
{
    (void)state;
    rfm_pool *pool = rfm_pool_new(1000);
    assert_null(rfm_pool_take(pool, RFM_POOL_BLOCK_MAX + 1));
    assert_null(rfm_pool_take(pool, 1001));
    void *block = rfm_pool_take(pool, 990);
    assert_non_null(block);
    assert_null(rfm_pool_take(pool, 1));
    rfm_pool_give(pool, block, 990);
    rfm_pool_free(pool);
    rfm_pool_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_do_not_overlap),
        cmocka_unit_test(memory_moves_between_classes),
        cmocka_unit_test(larger_classes_lend),
        cmocka_unit_test(limits_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
