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
        rfm_address address;
        assert_int_equal(rfm__address_parse(cases[i].url, &address, NULL), RFM_OK);
        assert_int_equal(address.layout, RFM_ONE_SERVER);
        assert_int_equal(address.seed_count, 1);
        assert_string_equal(address.seed[0].host, cases[i].host);
        assert_string_equal(address.seed[0].name, cases[i].name);
        assert_int_equal(address.seed[0].port, cases[i].port);
        assert_int_equal(address.database, cases[i].database);
        assert_int_equal(address.tls, cases[i].tls);
        assert_false(address.seed[0].local);
    }
}

static void local_urls(void **state)
{
    (void)state;
    rfm_address address;
    assert_int_equal(rfm__address_parse("unix:///run/redis.sock?db=2", &address, NULL), RFM_OK);
    assert_true(address.seed[0].local);
    assert_string_equal(address.seed[0].host, "/run/redis.sock");
    assert_int_equal(address.database, 2);
    char long_url[200] = "unix:///";
    memset(long_url + 8, 'a', 110);
    assert_int_equal(rfm__address_parse(long_url, &address, NULL), RFM_E_MALFORMED);
}

static void wrong_urls(void **state)
{
    static const char *const urls[] = {
        "localhost:6379",
        "http://localhost",
        "redis://",
        "redis://:6379",
        "redis://host:0",
        "redis://host:65536",
        "redis://host:port",
        "redis://host/x",
        "redis://host?tls=1",
        "redis://[::1",
        "unix://relative",
        "unix:///x?database=1",
        "redis://host:6379/65536",
        "redis://[::1]x6379",
        "redis://a,b",
        "redis+sentinel://a",
        "redis+sentinel:///name",
        "redis+sentinel://a/",
        "redis+sentinel://a,/n",
        "redis+sentinel://a/n/x",
        "redis+sentinel://a/n?x",
        "redis+cluster://",
        "redis+cluster://a,",
        "redis+cluster://a/1",
        "redis+cluster://a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q",
    };
    (void)state;
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        rfm_address address;
        rfm_error error = {0};
        assert_int_equal(rfm__address_parse(urls[i], &address, &error), RFM_E_MALFORMED);
        assert_non_null(strstr(error.message, "redis.url"));
    }
}

static void several_hosts(void **state)
{
    (void)state;
    rfm_address address;
    assert_int_equal(rfm__address_parse("redis+sentinel://a,[::2]:5000,c:1/mine/3", &address, NULL), RFM_OK);
    assert_int_equal(address.layout, RFM_SENTINEL);
    assert_false(address.tls);
    assert_int_equal(address.seed_count, 3);
    assert_string_equal(address.seed[0].name, "a:26379");
    assert_string_equal(address.seed[1].host, "::2");
    assert_int_equal(address.seed[1].port, 5000);
    assert_string_equal(address.seed[2].name, "c:1");
    assert_string_equal(address.service, "mine");
    assert_int_equal(address.database, 3);
    assert_int_equal(rfm__address_parse("rediss+cluster://a:7000,b/", &address, NULL), RFM_OK);
    assert_int_equal(address.layout, RFM_CLUSTER);
    assert_true(address.tls);
    assert_int_equal(address.seed_count, 2);
    assert_string_equal(address.seed[1].name, "b:6379");
}

static void as_servers_name_them(void **state)
{
    (void)state;
    rfm_endpoint node;
    assert_true(rfm__endpoint_set(&node, rfm_text("10.1.2.3"), rfm_text("7001")));
    assert_string_equal(node.name, "10.1.2.3:7001");
    assert_true(rfm__endpoint_moved(rfm_text("MOVED 3999 127.0.0.1:6381"), &node, &node));
    assert_string_equal(node.name, "127.0.0.1:6381");
    assert_true(rfm__endpoint_moved(rfm_text("MOVED 3999 :6382"), &node, &node)); /* the host of who said so */
    assert_string_equal(node.name, "127.0.0.1:6382");
    assert_true(rfm__endpoint_moved(rfm_text("MOVED 1 ?:6383"), &node, &node));
    assert_string_equal(node.name, "127.0.0.1:6383");
    assert_true(rfm__endpoint_moved(rfm_text("MOVED 1 fd00::7:6384"), &node, &node));
    assert_string_equal(node.host, "fd00::7");
    assert_int_equal(node.port, 6384);
    static const char *const others[] = {"MOVED",      "MOVED ",        "MOVED 1",       "MOVED 1 a",
                                         "MOVED 1 a:", "MOVED 1 a:0",   "MOVED 1:2",     "MOVED 1 a:65536",
                                         "ASK 1 a:2",  "MOVED 1 a b:7", "MOVED 1 a:2\n", "MOVEDX 1 a:2"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_false(rfm__endpoint_moved(rfm_text(others[i]), &node, &node));
        assert_int_equal(node.port, 6384);
    }
}

static void secrets_in_urls_are_refused_and_not_repeated(void **state)
{
    (void)state;
    rfm_address address;
    rfm_error error = {0};
    assert_int_equal(rfm__address_parse("redis://user:hunter2@host/0", &address, &error), RFM_E_MALFORMED);
    assert_non_null(strstr(error.message, "redis.password_file"));
    assert_null(strstr(error.message, "hunter2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(remote_urls),          cmocka_unit_test(local_urls),
        cmocka_unit_test(wrong_urls),           cmocka_unit_test(several_hosts),
        cmocka_unit_test(as_servers_name_them), cmocka_unit_test(secrets_in_urls_are_refused_and_not_repeated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
