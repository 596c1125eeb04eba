#include "driver.h"

#include "redis/reader.h"

static test_server server;
static test_driver world;
static char ca[128], cert[128], key[128], other_ca[128];

static void run(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void run(const char *format, ...)
{
    char command[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    if (system(command) != 0)
        fail_msg("%s", command);
}

static void make_certificates(const char *alternative_name)
{
    const char *folder = server.folder;
    snprintf(ca, sizeof ca, "%s/ca.pem", folder);
    snprintf(other_ca, sizeof other_ca, "%s/other-ca.pem", folder);
    snprintf(cert, sizeof cert, "%s/cert.pem", folder);
    snprintf(key, sizeof key, "%s/key.pem", folder);
    static const char make_ca[] =
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=%s -keyout %s.key "
        "-out %s 2>/dev/null";
    run(make_ca, "authority", ca, ca);
    run(make_ca, "other", other_ca, other_ca);
    run("openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=redis -keyout %s -out %s.csr "
        "2>/dev/null",
        key, cert);
    run("printf 'subjectAltName=%s' > %s.ext", alternative_name, cert);
    run("openssl x509 -req -in %s.csr -CA %s -CAkey %s.key -CAcreateserial -days 2 -extfile %s.ext -out %s "
        "2>/dev/null",
        cert, ca, ca, cert, cert);
}

static void start(const char *alternative_name)
{
    char port[16];
    server_init(&server);
    make_certificates(alternative_name);
    snprintf(port, sizeof port, "%d", server.port);
    server_start(&server, (const char *const[]){"--port", "0", "--tls-port", port, "--tls-cert-file", cert,
                                                "--tls-key-file", key, "--tls-ca-cert-file", ca, NULL});
    driver_init(&world, &server);
    snprintf(world.url, sizeof world.url, "rediss://127.0.0.1:%d", server.port);
    world.conf.ca_file = ca;
    world.conf.cert_file = cert;
    world.conf.key_file = key;
}

static int tear_down(void **state)
{
    (void)state;
    driver_stop(&world);
    server_release(&server);
    return 0;
}

static void store_and_load(void)
{
    enum { COUNT = 20000 };
    static rfm_redo_item items[COUNT];
    static rfm_bytes keys[COUNT];
    static char names[COUNT][16], filler[500];
    memset(filler, 'v', sizeof filler);
    for (size_t i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof names[i], "c:%zu", i);
        keys[i] = rfm_text(names[i]);
        items[i] = (rfm_redo_item){RFM_REDO_SET, keys[i], {NULL, 0}, rfm_bytes_of(filler, sizeof filler)};
    }
    for (int i = 0; i < 3; i++) {
        driver_stored(&world, items, COUNT, "1 1");
        driver_load(&world, RFM_LOAD_VALUES, keys, COUNT, 0, 0);
        assert_int_equal(driver_expect(&world, RFM_IN_LOADED, RFM_DONE)->input.loaded.count, COUNT);
    }
}

static void with_a_client_certificate(void **state)
{
    (void)state;
    start("IP:127.0.0.1");
    driver_start(&world);
    driver_opened(&world);
    store_and_load();
    rfm_store_reader *reader;
    rfm_bytes value;
    assert_int_equal(rfm_store_reader_new(&world.conf, &reader, NULL), RFM_OK);
    assert_int_equal(rfm_store_reader_get(reader, TASK, rfm_text("c:7"), &value, NULL), RFM_OK);
    assert_int_equal(value.len, 500);
    rfm_store_reader_free(reader);
}

static void a_name(void **state)
{
    (void)state;
    start("DNS:localhost");
    snprintf(world.url, sizeof world.url, "rediss://localhost:%d", server.port);
    driver_start(&world);
    driver_opened(&world);
}

static void expect_trouble(const char *message)
{
    driver_start(&world);
    driver_open(&world);
    assert_null(driver_next(&world, 1500));
    if (!strstr(world.log, message))
        fail_msg("%s", world.log);
}

static void another_host_is_refused(void **state)
{
    (void)state;
    start("DNS:redis.example");
    expect_trouble("IP address mismatch");
}

static void another_authority_is_refused(void **state)
{
    (void)state;
    start("IP:127.0.0.1");
    world.conf.ca_file = other_ca;
    expect_trouble("TLS: the server's certificate: ");
}

static void without_a_client_certificate(void **state)
{
    (void)state;
    start("IP:127.0.0.1");
    world.conf.cert_file = world.conf.key_file = NULL;
    expect_trouble("redis.cert_file");
}

static void no_tls_there(void **state)
{
    (void)state;
    start("IP:127.0.0.1");
    server_kill(&server);
    server_start(&server, NULL);
    world.conf.timeout_ms = 400;
    expect_trouble("Redis at 127.0.0.1");
}

static void wrong_files(void **state)
{
    (void)state;
    start("IP:127.0.0.1");
    rfm_store *store;
    rfm_error error = {0};
    const rfm_store_calls calls = {driver__answer, NULL, NULL, &world};
    world.conf.ca_file = "/nowhere/ca.pem";
    assert_int_equal(rfm_store_new(&world.loop, &world.conf, &calls, &store, &error), RFM_E_IO);
    assert_non_null(strstr(error.message, "/nowhere/ca.pem"));
    world.conf.ca_file = ca;
    world.conf.key_file = other_ca;
    assert_int_equal(rfm_store_new(&world.loop, &world.conf, &calls, &store, &error), RFM_E_IO);
    assert_non_null(strstr(error.message, "redis.key_file"));
    world.conf.key_file = NULL;
    assert_int_equal(rfm_store_new(&world.loop, &world.conf, &calls, &store, &error), RFM_E_USAGE);
    world.conf.key_file = key;
    driver_start(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(with_a_client_certificate, tear_down),
        cmocka_unit_test_teardown(a_name, tear_down),
        cmocka_unit_test_teardown(another_host_is_refused, tear_down),
        cmocka_unit_test_teardown(another_authority_is_refused, tear_down),
        cmocka_unit_test_teardown(without_a_client_certificate, tear_down),
        cmocka_unit_test_teardown(no_tls_there, tear_down),
        cmocka_unit_test_teardown(wrong_files, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
