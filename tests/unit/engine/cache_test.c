#include "engine/cache.h"

#include <rfm/base/hash.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TASKS = 2, BYTES_MAX = 64 << 10 };

typedef struct desk {
    rfm__cache cache;
    rfm__cache_owner owner[TASKS];
} desk;

static desk *desk_new(void)
{
    desk *at = calloc(1, sizeof *at);
    assert_non_null(at);
    rfm__cache_init(&at->cache, BYTES_MAX, at->owner);
    return at;
}

static void desk_free(desk *at)
{
    rfm__cache_release(&at->cache);
    free(at);
}

static rfm_bytes key_of(size_t number, char text[24])
{
    return rfm_bytes_of(text, (size_t)snprintf(text, 24, "client-%zu", number));
}

static uint32_t find(desk *at, uint32_t task, size_t number)
{
    char text[24];
    rfm_bytes key = key_of(number, text);
    return rfm__cache_find(&at->cache, task, key, rfm_hash64(key));
}

static uint32_t add(desk *at, uint32_t task, size_t number, bool pressing)
{
    char text[24];
    rfm_bytes key = key_of(number, text);
    return rfm__cache_add(&at->cache, task, key, rfm_hash64(key), pressing);
}

/* Added and loaded: it may go. */
static uint32_t put(desk *at, uint32_t task, size_t number, const char *state)
{
    uint32_t index = add(at, task, number, false);
    if (index == RFM_TABLE_NONE)
        return index;
    rfm__cache_put(&at->cache, index, rfm_text(state));
    rfm__cache_at(&at->cache, index)->loading = false;
    return index;
}

static void a_state_is_found_by_task_and_key(void **state)
{
    (void)state;
    desk *at = desk_new();
    put(at, 0, 1, "of task 0");
    put(at, 1, 1, "of task 1");
    assert_true(rfm_bytes_is(rfm__entry_packed(rfm__cache_at(&at->cache, find(at, 0, 1))), "of task 0"));
    assert_true(rfm_bytes_is(rfm__entry_packed(rfm__cache_at(&at->cache, find(at, 1, 1))), "of task 1"));
    assert_int_equal(find(at, 0, 2), RFM_TABLE_NONE);
    uint32_t index = find(at, 0, 1);
    char large[3000];
    memset(large, 'x', sizeof large);
    rfm__cache_put(&at->cache, index, rfm_bytes_of(large, sizeof large));
    assert_int_equal(find(at, 0, 1), index);
    assert_memory_equal(rfm__entry_packed(rfm__cache_at(&at->cache, index)).at, large, sizeof large);
    desk_free(at);
}

static void a_new_epoch_forgets_a_task(void **state)
{
    (void)state;
    desk *at = desk_new();
    for (size_t i = 0; i < 100; i++) {
        put(at, 0, i, "a");
        put(at, 1, i, "b");
    }
    rfm__cache_at(&at->cache, find(at, 0, 7))->changed_step = 99; /* whatever was to be stored */
    at->owner[0].epoch++;
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(find(at, 0, i), RFM_TABLE_NONE);
        assert_int_not_equal(find(at, 1, i), RFM_TABLE_NONE);
    }
    desk_free(at);
}

static void the_limit_is_kept(void **state)
{
    (void)state;
    desk *at = desk_new();
    for (size_t i = 0; i < 5000; i++) {
        assert_int_not_equal(put(at, 0, i, "a state of some length, as they are"), RFM_TABLE_NONE);
        assert_true(rfm__cache_bytes(&at->cache) <= BYTES_MAX);
        assert_int_not_equal(find(at, 0, i), RFM_TABLE_NONE);
    }
    assert_true(at->cache.evictions > 4000);
    desk_free(at);
}

static void what_is_not_stored_stays(void **state)
{
    (void)state;
    desk *at = desk_new();
    size_t count = 0;
    at->owner[0].stored_step = 4;
    for (uint32_t index; (index = put(at, 0, count, "changed")) != RFM_TABLE_NONE; count++)
        rfm__cache_at(&at->cache, index)->changed_step = 5;
    assert_true(count > 50 && at->cache.evictions == 0 && at->cache.stuck);
    assert_int_equal(add(at, 1, 0, false), RFM_TABLE_NONE);
    assert_int_not_equal(add(at, 1, 0, true), RFM_TABLE_NONE); /* goes beyond the limit */
    at->owner[0].stored_step = 5;
    at->cache.stuck = false;
    assert_int_not_equal(put(at, 0, count, "another"), RFM_TABLE_NONE);
    assert_true(at->cache.evictions > 0);
    desk_free(at);
}

static void what_is_being_loaded_or_changed_stays(void **state)
{
    (void)state;
    desk *at = desk_new();
    uint32_t loading = add(at, 0, 1, false), in_step = put(at, 0, 2, "in the making");
    rfm__cache_at(&at->cache, in_step)->in_step = true;
    for (size_t i = 10; i < 3000; i++)
        put(at, 0, i, "passing by");
    assert_int_equal(find(at, 0, 1), loading);
    assert_int_equal(find(at, 0, 2), in_step);
    desk_free(at);
}

/* Who has event after event outlives who has not, and who is only looked at. */
static void the_recent_get_a_second_chance(void **state)
{
    (void)state;
    desk *at = desk_new();
    put(at, 0, 0, "regular");
    put(at, 0, 1, "looked at");
    for (size_t i = 2; i < 3000; i++) {
        put(at, 0, i, "passing by");
        uint32_t regular = find(at, 0, 0);
        assert_int_not_equal(regular, RFM_TABLE_NONE);
        rfm__cache_at(&at->cache, regular)->recent = true;
        (void)find(at, 0, 1);
    }
    assert_int_equal(find(at, 0, 1), RFM_TABLE_NONE);
    assert_int_equal(find(at, 0, 2), RFM_TABLE_NONE);
    desk_free(at);
}

/* Nobody new comes, but those who are there take more: found by an hour of steady traffic. */
static void states_that_grow_give_way(void **state)
{
    (void)state;
    desk *at = desk_new();
    char large[500];
    memset(large, 'x', sizeof large);
    size_t count = 0;
    while (at->cache.evictions == 0)
        put(at, 0, count++, "small");
    for (size_t i = 1; i < count; i++) {
        uint32_t index = find(at, 0, i);
        if (index == RFM_TABLE_NONE)
            continue;
        rfm__cache_put(&at->cache, index, rfm_bytes_of(large, sizeof large));
        rfm__cache_at(&at->cache, index)->changed_step = 1;
    }
    assert_true(rfm__cache_bytes(&at->cache) > 2 * BYTES_MAX);
    uint64_t evicted = at->cache.evictions;
    for (int i = 0; i < 50; i++)
        rfm__cache_shrink(&at->cache);
    assert_int_equal(at->cache.evictions, evicted); /* none of it is stored */
    assert_false(at->cache.stuck);
    at->owner[0].stored_step = 1;
    for (int i = 0; i < 50; i++)
        rfm__cache_shrink(&at->cache);
    assert_true(rfm__cache_bytes(&at->cache) <= BYTES_MAX && rfm__cache_bytes(&at->cache) > BYTES_MAX - 2000);
    desk_free(at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_state_is_found_by_task_and_key),
        cmocka_unit_test(a_new_epoch_forgets_a_task),
        cmocka_unit_test(the_limit_is_kept),
        cmocka_unit_test(what_is_not_stored_stays),
        cmocka_unit_test(what_is_being_loaded_or_changed_stays),
        cmocka_unit_test(the_recent_get_a_second_chance),
        cmocka_unit_test(states_that_grow_give_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
