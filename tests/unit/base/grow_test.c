#include <rfm/base/grow.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void items_stay_while_the_array_grows(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    uint64_t *items = NULL;
    size_t count = 0, size = 0;
    while (count < COUNT) {
        items = rfm_grow(items, count, &size);
        items[count] = count * count;
        count++;
        assert_true(size >= count);
    }
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(items[i], i * i);
    assert_true(size < 2 * COUNT);
    free(items);
}

static void an_array_with_room_is_left_as_it_is(void **state)
{
    (void)state;
    size_t size = 0;
    char(*items)[3] = NULL;
    items = rfm_grow(items, 0, &size);
    size_t first = size;
    assert_true(first > 0);
    assert_ptr_equal(rfm_grow(items, first - 1, &size), items);
    assert_int_equal(size, first);
    items = rfm_grow(items, first, &size);
    assert_int_equal(size, 2 * first);
    free(items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_stay_while_the_array_grows),
        cmocka_unit_test(an_array_with_room_is_left_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
