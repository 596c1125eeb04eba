#include <rfm/base/pages.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void all_bytes_can_be_written(void **state)
{
    static const size_t sizes[] = {0,
                                   1,
                                   63,
                                   64,
                                   4097,
                                   RFM_HUGE_PAGE_BYTES - 1,
                                   RFM_HUGE_PAGE_BYTES,
                                   RFM_HUGE_PAGE_BYTES + 1,
                                   3 * (size_t)RFM_HUGE_PAGE_BYTES - 7};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint8_t *at = rfm_pages_alloc(sizes[i]);
        assert_non_null(at);
        assert_int_equal((uintptr_t)at % (sizes[i] < RFM_HUGE_PAGE_BYTES ? 64 : RFM_HUGE_PAGE_BYTES), 0);
        memset(at, 0xa5, sizes[i]);
        free(at);
    }
}

static void what_cannot_be_had_is_null(void **state)
{
    (void)state;
    assert_null(rfm_pages_alloc(SIZE_MAX));
    assert_null(rfm_pages_alloc(SIZE_MAX - RFM_HUGE_PAGE_BYTES));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_bytes_can_be_written),
        cmocka_unit_test(what_cannot_be_had_is_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
