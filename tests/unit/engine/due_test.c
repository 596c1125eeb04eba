#include "engine/due.h"

#include <stdbool.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void a_moment_stands_in_the_second_that_is_not_before_it(void **state)
{
    (void)state;
    assert_int_equal(rfm__due_second(0), 0);
    assert_int_equal(rfm__due_second(1), 1);
    assert_int_equal(rfm__due_second(1000), 1);
    assert_int_equal(rfm__due_second(1001), 2);
}

/* Against an array with a place for every second. */
static void buckets_are_kept_in_order(void **state)
{
    (void)state;
    enum { SECONDS = 500 };
    uint64_t entries[SECONDS] = {0};
    bool there[SECONDS] = {false};
    uint32_t random = 7;
    rfm__due due = {0};
    for (int i = 0; i < 20000; i++) {
        random = random * 1664525u + 1013904223u;
        int64_t second = (random >> 8) % SECONDS;
        if (random >> 30 == 0) {
            rfm__due_remove(&due, second);
            there[second] = false;
            entries[second] = 0;
        } else {
            rfm__due_bucket(&due, second)->entries++;
            there[second] = true;
            entries[second]++;
        }
    }
    size_t at = 0;
    for (int64_t second = 0; second < SECONDS; second++) {
        const rfm__bucket *found = rfm__due_find(&due, second);
        assert_int_equal(found != NULL, there[second]);
        if (!there[second])
            continue;
        assert_int_equal(due.buckets[at].second, second);
        assert_int_equal(due.buckets[at].entries, entries[second]);
        assert_ptr_equal(found, &due.buckets[at++]);
    }
    assert_int_equal(due.count, at);
    rfm__due_clear(&due);
    assert_int_equal(due.count, 0);
    rfm__due_release(&due);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_moment_stands_in_the_second_that_is_not_before_it),
        cmocka_unit_test(buckets_are_kept_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
