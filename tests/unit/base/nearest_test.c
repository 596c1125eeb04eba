#include <rfm/base/nearest.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void distances(void **state)
{
    (void)state;
    assert_int_equal(rfm_distance("kitten", "sitting"), 3);
    assert_int_equal(rfm_distance("", "abc"), 3);
    assert_int_equal(rfm_distance("abcd", "abdc"), 1);
    assert_int_equal(rfm_distance("same", "same"), 0);
}

static void the_first_of_the_nearest(void **state)
{
    (void)state;
    static const char *const names[] = {"orders", "revenue", "visits", NULL};
    static const char *const none[] = {NULL};
    assert_string_equal(rfm_nearest(names, "order"), "orders");
    assert_string_equal(rfm_nearest(names, "visit"), "visits");
    assert_string_equal(rfm_nearest(names, "xxxxxxxxxxxxxxxxxxxx"), "orders");
    assert_null(rfm_nearest(none, "order"));
}

static void of_long_texts_the_beginning(void **state)
{
    (void)state;
    char a[200], b[200];
    memset(a, 'a', sizeof a);
    memset(b, 'a', sizeof b);
    a[199] = b[199] = 0;
    b[100] = 'b';
    assert_int_equal(rfm_distance(a, b), 0);
    b[10] = 'b';
    assert_int_equal(rfm_distance(a, b), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distances),
        cmocka_unit_test(the_first_of_the_nearest),
        cmocka_unit_test(of_long_texts_the_beginning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
