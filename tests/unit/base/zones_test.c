#include <rfm/base/zones.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <cmocka.h>

/* zoneinfo is a small database of its own; the system's is read besides. */
static void a_database_is_read_whole(void **state)
{
    (void)state;
    setenv("TZDIR", "tests/unit/base/zoneinfo", 1);
    rfm_zones *zones;
    assert_int_equal(rfm_zones_load(&zones, NULL), 0);
    const rfm_zone *berlin = rfm_zones_find(zones, rfm_text("Europe/Berlin"));
    assert_non_null(berlin);
    assert_int_equal(rfm_zone_span_at(berlin, 1767225600).offset_s, 3600);
    assert_int_equal(rfm_zone_span_at(berlin, 1782864000).offset_s, 7200);
    assert_true(rfm_zones_has(zones, rfm_text("UTC")));
    assert_true(rfm_zones_count(zones) > 5);
    static const char *const others[] = {"",          "Europe", "europe/berlin", "Europe/Berlin/", "Mars/Olympus",
                                         "tzdata.zi", "posix"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(rfm_zones_has(zones, rfm_text(others[i])));
    rfm_zones_free(zones);
    unsetenv("TZDIR");
}

static void without_one_there_is_only_utc(void **state)
{
    (void)state;
    assert_true(rfm_zones_has(NULL, rfm_text("UTC")));
    assert_false(rfm_zones_has(NULL, rfm_text("Europe/Berlin")));
    assert_null(rfm_zones_find(NULL, rfm_text("UTC")));
    rfm_zones_free(NULL);
}

/* Without a descriptor no zone can be opened: not the same as there being none. */
static void one_that_cannot_be_read_is_an_error(void **state)
{
    (void)state;
    struct rlimit limit, none;
    rfm_zones *zones = NULL;
    rfm_error error;
    setenv("TZDIR", "tests/unit/base/zoneinfo", 1);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = (struct rlimit){0, limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int code = rfm_zones_load(&zones, &error);
    setrlimit(RLIMIT_NOFILE, &limit);
    unsetenv("TZDIR");
    assert_int_equal(code, RFM_E_IO);
    assert_non_null(strstr(error.message, "Too many open files"));
    assert_null(zones);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_database_is_read_whole),
        cmocka_unit_test(without_one_there_is_only_utc),
        cmocka_unit_test(one_that_cannot_be_read_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
