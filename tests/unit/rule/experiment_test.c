/* Buckets by Python's xxhash: xxh3_64_intdigest(salt + "\x1f" + client) % 10000. */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "rule/experiment.h"

#include <stdio.h>

static void test_buckets(void **state)
{
    (void)state;
    char salt[RFM_SALT_MAX + 1] = "", client[RFM_CLIENT_ID_MAX + 1] = "";
    memset(salt, 'x', RFM_SALT_MAX);
    memset(client, 'y', RFM_CLIENT_ID_MAX);
    assert_int_equal(rfm__bucket_of("global-1", rfm_text("alice")), 54);
    assert_int_equal(rfm__bucket_of("winback-1", rfm_text("alice")), 7403);
    assert_int_equal(rfm__bucket_of("a b", rfm_text("\u00e9")), 5023);
    assert_int_equal(rfm__bucket_of(salt, rfm_text(client)), 9172);
}

static void test_the_hold_out_is_the_first_buckets(void **state)
{
    (void)state;
    rfm_holdout holdout = {"global-1", 54};
    assert_false(rfm__is_held_out(&holdout, rfm_text("alice")));
    holdout.buckets = 55;
    assert_true(rfm__is_held_out(&holdout, rfm_text("alice")));
    holdout.buckets = 0;
    assert_false(rfm__is_held_out(&holdout, rfm_text("alice")));
}

static void test_arms_take_their_shares(void **state)
{
    (void)state;
    rfm_experiment experiment = {.given = true, .salt = "s", .control_buckets = 1000, .variant_count = 3};
    experiment.variant[0] = (rfm_variant){"a", 4500};
    experiment.variant[1] = (rfm_variant){"none", 0};
    experiment.variant[2] = (rfm_variant){"b", 4500};
    int count[4] = {0};
    for (int i = 0; i < 100000; i++) {
        char id[16];
        snprintf(id, sizeof id, "c%d", i);
        int arm = rfm__arm_of(&experiment, rfm_text(id));
        assert_true(arm >= RFM_ARM_CONTROL && arm < 3);
        assert_int_equal(rfm__arm_of(&experiment, rfm_text(id)), arm);
        count[arm + 1]++;
    }
    /* Five standard deviations of a binomial. */
    assert_in_range(count[0], 10000 - 475, 10000 + 475);
    assert_in_range(count[1], 45000 - 790, 45000 + 790);
    assert_int_equal(count[2], 0);
    assert_in_range(count[3], 45000 - 790, 45000 + 790);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buckets),
        cmocka_unit_test(test_the_hold_out_is_the_first_buckets),
        cmocka_unit_test(test_arms_take_their_shares),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
