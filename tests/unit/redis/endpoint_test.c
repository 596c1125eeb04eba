#include "redis/endpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static void remote_urls(void **state)
{
    static const struct {
        const char *url, *host, *name;
        uint16_t port;
        uint32_t database;
        bool tls;
    } cases[] = {
        {"redis://localhost", "localhost", "localhost:6379", 6379, 0, false},
        {"redis://10.0.0.1:7000/3", "10.0.0.1", "10.0.0.1:7000", 7000, 3, false},
        {"rediss://redis.example:6380", "redis.example", "redis.example:6380", 6380, 0, true},
        {"redis://[::1]:6381/", "::1", "::1:6381", 6381, 0, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rfm_endpoint endpoint;
        assert_int_equal(rfm__endpoint_parse(cases[i].url, &endpoint, NULL), RFM_OK);
        assert_string_equal(endpoint.host, cases[i].host);
        assert_string_equal(endpoint.name, cases[i].name);
        assert_int_equal(endpoint.port, cases[i].port);
        assert_int_equal(endpoint.database, cases[i].database);
        assert_int_equal(endpoint.tls, cases[i].tls);
        assert_false(endpoint.local);
    }
}

static void local_urls(void **state)
{
    (void)state;
    rfm_endpoint endpoint;
    assert_int_equal(rfm__endpoint_parse("unix:///run/redis.sock?db=2", &endpoint, NULL), RFM_OK);
    assert_true(endpoint.local);
    assert_string_equal(endpoint.host, "/run/redis.sock");
    assert_int_equal(endpoint.database, 2);
    char long_url[200] = "unix:///";
    memset(long_url + 8, 'a', 110);
    assert_int_equal(rfm__endpoint_parse(long_url, &endpoint, NULL), RFM_E_MALFORMED);
}

static void wrong_urls(void **state)
{
    static const char *const urls[] = {
        "localhost:6379",          "http://localhost",   "redis://",          "redis://:6379",
        "redis://host:0",          "redis://host:65536", "redis://host:port", "redis://host/x",
        "redis://host?tls=1",      "redis://[::1",       "unix://relative",   "unix:///x?database=1",
        "redis://host:6379/65536", "redis://[::1]x6379",
    };
    (void)state;
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        rfm_endpoint endpoint;
        rfm_error error = {0};
        assert_int_equal(rfm__endpoint_parse(urls[i], &endpoint, &error), RFM_E_MALFORMED);
        assert_non_null(strstr(error.message, "redis.url"));
    }
}

static void unsupported_urls_say_so(void **state)
{
    static const char *const urls[] = {"redis+cluster://a:1", "redis+sentinel://a:1/master"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        rfm_endpoint endpoint;
        rfm_error error = {0};
        assert_int_equal(rfm__endpoint_parse(urls[i], &endpoint, &error), RFM_E_USAGE);
        assert_non_null(strstr(error.message, "not supported yet"));
    }
}

static void secrets_in_urls_are_refused_and_not_repeated(void **state)
{
    (void)state;
    rfm_endpoint endpoint;
    rfm_error error = {0};
    assert_int_equal(rfm__endpoint_parse("redis://user:hunter2@host/0", &endpoint, &error), RFM_E_MALFORMED);
    assert_non_null(strstr(error.message, "redis.password_file"));
    assert_null(strstr(error.message, "hunter2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(remote_urls),
        cmocka_unit_test(local_urls),
        cmocka_unit_test(wrong_urls),
        cmocka_unit_test(unsupported_urls_say_so),
        cmocka_unit_test(secrets_in_urls_are_refused_and_not_repeated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
