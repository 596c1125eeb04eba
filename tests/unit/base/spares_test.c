#include <rfm/base/spares.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { OBJECTS = 1000 };
static int objects[OBJECTS];

static size_t drop_surplus(rfm_spares *spares)
{
    size_t gone = 0;
    for (int *it; (it = rfm_spares_surplus(spares)) != NULL; gone++)
        *it = -1;
    return gone;
}

static size_t drop_all(rfm_spares *spares)
{
    size_t count = 0;
    while (rfm_spares_take(spares) != NULL)
        count++;
    rfm_spares_release(spares);
    return count;
}

static void the_last_one_given_comes_first(void **state)
{
    (void)state;
    rfm_spares spares = {0};
    assert_null(rfm_spares_take(&spares));
    for (int i = 0; i < 3; i++)
        rfm_spares_give(&spares, &objects[i]);
    for (int i = 3; i-- > 0;)
        assert_ptr_equal(rfm_spares_take(&spares), &objects[i]);
    assert_null(rfm_spares_take(&spares));
    rfm_spares_release(&spares);
}

/* One use after the other needs one object, whatever a burst has left: the others go, the one in use never does. */
static void what_a_burst_left_goes(void **state)
{
    (void)state;
    rfm_spares spares = {0};
    size_t kept = OBJECTS;
    for (int i = 0; i < OBJECTS; i++) {
        objects[i] = i;
        rfm_spares_give(&spares, &objects[i]);
        kept -= drop_surplus(&spares);
    }
    assert_int_equal(kept, OBJECTS); /* until now all may have been needed */
    for (int uses = 0; uses < 20000; uses++) {
        int *used = rfm_spares_take(&spares);
        assert_non_null(used);
        assert_true(*used >= 0);
        rfm_spares_give(&spares, used);
        kept -= drop_surplus(&spares);
    }
    assert_int_equal(kept, 1);
    assert_int_equal(drop_all(&spares), 1);
}

/* Some that are used again and again stay, for ever. */
static void what_is_needed_stays(void **state)
{
    (void)state;
    enum { AT_ONCE = 400 };
    rfm_spares spares = {0};
    for (int i = 0; i < 2 * AT_ONCE; i++)
        rfm_spares_give(&spares, &objects[i]);
    size_t gone = 0;
    for (int round = 0; round < 500; round++) {
        void *used[AT_ONCE];
        for (int i = 0; i < AT_ONCE; i++)
            assert_non_null(used[i] = rfm_spares_take(&spares));
        for (int i = 0; i < AT_ONCE; i++) {
            rfm_spares_give(&spares, used[i]);
            gone += drop_surplus(&spares);
        }
    }
    assert_int_equal(gone, AT_ONCE);
    assert_int_equal(drop_all(&spares), AT_ONCE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_one_given_comes_first),
        cmocka_unit_test(what_a_burst_left_goes),
        cmocka_unit_test(what_is_needed_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
