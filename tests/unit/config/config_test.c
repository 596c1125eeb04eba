#include "files.h"

#define MONEY "money: {base_currency: EUR}\n"

static void test_defaults(void **state)
{
    (void)state;
    files all = files_of(MONEY);
    rfm_config *config = files_good(&all);
    assert_string_equal(config->kafka.brokers, "localhost:9092");
    assert_string_equal(config->kafka.group, "rfmd");
    assert_string_equal(config->kafka.instance_id, "");
    assert_int_equal(config->kafka.input_count, 3);
    static const char *const inputs[] = {"purchases", "visits", "messages"};
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(config->kafka.input[i].name, inputs[i]);
        assert_string_equal(config->kafka.input[i].topic, inputs[i]);
    }
    assert_int_equal(config->kafka.delivery, RFM_DELIVERY_EXACTLY_ONCE);
    assert_int_equal(config->kafka.partitioner, RFM_PARTITIONER_MURMUR2);
    assert_int_equal(config->kafka.properties.count, 0);
    assert_string_equal(config->redis.prefix, "rfm");
    assert_string_equal(config->redis.password, "");
    assert_int_equal(config->redis.timeout_ms, 5000);
    assert_int_equal(config->engine.workers, 1);
    assert_int_equal(config->engine.cache_bytes_max, 256u << 20);
    assert_int_equal(config->engine.clock, RFM_CLOCK_WALL);
    assert_true(config->margin == 1);
    assert_int_equal(config->client.erase_remember_ms, 30 * RFM_DAY_MS);
    assert_string_equal(config->http.host, "127.0.0.1");
    assert_int_equal(config->http.port, 9464);
    assert_int_equal(config->log.level, RFM_LOG_INFO);
    assert_int_equal(config->rules.count, 0);
    assert_string_equal(config->rules.source, "rfmd/rfmd");
    assert_string_equal(config->rules.type_prefix, "io.rfmd.trigger.");
    assert_true(config->rules.max_trigger_age_ms == INT64_MAX && config->rules.silent_until_ms == INT64_MIN);
    assert_int_equal(config->files.count, 1);
    rfm_config_free(config);
}

/* The client layer's own defaults, which replay and tests use, are the same. */
static void test_defaults_are_those_of_the_client_layer(void **state)
{
    (void)state;
    files all = files_of(MONEY);
    rfm_config *config = files_good(&all);
    rfm_client_conf defaults;
    rfm_client_conf_defaults(&defaults);
    assert_int_equal(rfm_client_conf_version(&config->client), rfm_client_conf_version(&defaults));
    assert_memory_equal(&config->client.money.base, &defaults.money.base, sizeof defaults.money.base);
    assert_int_equal(config->client.rfm.refresh_ms, defaults.rfm.refresh_ms);
    assert_true(config->client.ltv_horizon_days == defaults.ltv_horizon_days);
    assert_null(config->client.zone);
    rfm_config_free(config);
}

static void test_every_key(void **state)
{
    (void)state;
    files all = {
        .file = {{"etc/rfmd.yaml",
                  "kafka:\n"
                  "  brokers: [a:9092, 'b:9093']\n"
                  "  group: g\n"
                  "  instance_id: pod-1\n"
                  "  inputs: {orders: {topic: shop.orders, format: segment}, rest: }\n"
                  "  wal: w\n  dead_letters: d\n  audit: u\n  profiles: p\n"
                  "  delivery: at_least_once\n  partitioner: crc32\n"
                  "  properties: {security.protocol: SSL}\n"
                  "  consumer:\n    session.timeout.ms: 6000\n"
                  "  producer: {linger.ms: '5'}\n"
                  "redis: {url: 'rediss://cache:6380/1', prefix: p, username: me, "
                  "password_file: secrets/redis, ca_file: /ca.pem, cert_file: c, key_file: k, "
                  "sentinel_password_file: secrets/sentinel, timeout: 250ms}\n"
                  "engine: {workers: 4, cache_bytes_max: 1GiB, dirty_bytes_max: 128 MiB, "
                  "step_events_max: 5, clock: record}\n"
                  "money: {base_currency: JPY, rates: {EUR: 161.5, USD: '150'}, margin: 40%, amount_field: total}\n"
                  "rfm:\n  r: fixed\n  f: population\n  m: fixed\n  population_min: 7\n"
                  "  timezone: Europe/Berlin\n  refresh: 1h30m\n"
                  "  thresholds: {recency_days: [1, 2, 3, 4], frequency: [5, 6, 7, 8], "
                  "monetary: [1000, 2000, 3000, 4000]}\n"
                  "churn: {horizon: 36h}\nlifecycle: {at_risk: 60%, lapsed: 0.1}\n"
                  "ltv: {horizon: 730d}\nsegments: rf-10\nmodel: model.yaml\n"
                  "traits: {vip: {type: bool}, birth_date: {type: date}}\n"
                  "promo: {secret_file: secrets/promo}\noutput: binary\n"
                  "cloudevents: {type_prefix: com.shop.}\nrules: []\n"
                  "erase: {remember: 7d}\nhttp: {listen: '[::1]:8080', token_file: /token}\n"
                  "log: {level: debug, format: json}\n"},
                 {"etc/model.yaml", "model: mbg_nbd\nunit: day\nr: 1\nalpha: 2.5\na: 3e-1\nb: 4\n"
                                    "evidence_cap: none\nspend: {p: 1, q: 2, v: 3}\n"
                                    "fitted: {clients: 10, log_likelihood: -5.5, until: 2026-01-01}\n"},
                 {"etc/secrets/redis", "open sesame\n"},
                 {"etc/secrets/sentinel", "halt\n"},
                 {"etc/secrets/promo", "\x01\xff secret\r\n"},
                 {"/token", "token"}}};
    rfm_config *config = files_good(&all);
    assert_string_equal(config->kafka.brokers, "a:9092,b:9093");
    assert_string_equal(config->kafka.instance_id, "pod-1");
    assert_int_equal(config->kafka.input_count, 2);
    assert_string_equal(config->kafka.input[0].name, "orders");
    assert_string_equal(config->kafka.input[0].topic, "shop.orders");
    assert_int_equal(config->kafka.input[0].format, RFM_FORMAT_SEGMENT);
    assert_string_equal(config->kafka.input[1].topic, "rest");
    assert_int_equal(config->kafka.input[1].format, RFM_FORMAT_NATIVE);
    assert_string_equal(config->kafka.profiles, "p");
    assert_int_equal(config->kafka.delivery, RFM_DELIVERY_AT_LEAST_ONCE);
    assert_int_equal(config->kafka.partitioner, RFM_PARTITIONER_CRC32);
    assert_int_equal(config->kafka.consumer.count, 1);
    assert_string_equal(config->kafka.consumer.items[0].name, "session.timeout.ms");
    assert_string_equal(config->kafka.consumer.items[0].value, "6000");
    assert_string_equal(config->redis.url, "rediss://cache:6380/1");
    assert_string_equal(config->redis.password, "open sesame");
    assert_string_equal(config->redis.password_file, "etc/secrets/redis");
    assert_string_equal(config->redis.sentinel_password, "halt");
    assert_string_equal(config->redis.ca_file, "/ca.pem");
    assert_string_equal(config->redis.cert_file, "etc/c");
    assert_int_equal(config->redis.timeout_ms, 250);
    assert_int_equal(config->engine.cache_bytes_max, 1u << 30);
    assert_int_equal(config->engine.dirty_bytes_max, 128u << 20);
    assert_int_equal(config->engine.clock, RFM_CLOCK_RECORD);
    assert_string_equal(config->client.money.base.code, "JPY");
    assert_int_equal(config->client.money.base.digits, 0);
    assert_int_equal(config->client.money.other_count, 2);
    assert_string_equal(config->client.money.other[0].code, "EUR");
    assert_true(config->client.money.other[0].rate.digits == 1615 && config->client.money.other[0].rate.scale == 1);
    assert_true(config->margin == 0.4);
    assert_int_equal(config->client.rfm.r, RFM_AXIS_FIXED);
    assert_int_equal(config->client.rfm.f, RFM_AXIS_POPULATION);
    assert_int_equal(config->client.rfm.refresh_ms, 90 * RFM_MINUTE_MS);
    assert_int_equal(config->client.rfm.recency_days[3], 4);
    assert_int_equal(config->client.rfm.frequency[0], 5);
    assert_int_equal(config->client.rfm.monetary_minor[1], 2000);
    assert_non_null(config->client.zone);
    /* Berlin is two hours ahead in summer: 2026-07-01T22:30Z is the 2nd of July there. */
    assert_int_equal(rfm_zone_day(config->client.zone, INT64_C(1782945000000)), rfm_day_of_civil(2026, 7, 2));
    assert_true(config->client.churn_horizon_days == 1.5);
    assert_true(config->client.lifecycle.at_risk == 0.6 && config->client.lifecycle.lapsed == 0.1);
    assert_true(config->client.model.unit_days == 1 && config->client.model.r == 1 && config->client.model.a == 0.3);
    assert_true(config->client.model.evidence_cap > 1e300 && config->client.model.spend.v == 3);
    assert_int_equal(config->fitted.clients, 10);
    assert_string_equal(config->fitted.until, "2026-01-01");
    assert_int_equal(config->client.segments.count, 11);
    assert_int_equal(config->trait_count, 2);
    assert_int_equal(config->amount_field, RFM_AMOUNT_TOTAL);
    assert_string_equal(config->traits[0].name, "birth_date");
    assert_int_equal(config->traits[0].type, RFM_TRAIT_DATE);
    assert_int_equal(config->rules.secret_len, 9);
    assert_memory_equal(config->rules.secret, "\x01\xff secret", 9);
    assert_string_equal(config->rules.source, "rfmd/g");
    assert_string_equal(config->rules.type_prefix, "com.shop.");
    assert_string_equal(config->http.host, "::1");
    assert_int_equal(config->http.port, 8080);
    assert_string_equal(config->http.token, "token");
    assert_int_equal(config->log.format, RFM_LOG_JSON);
    assert_int_equal(config->files.count, 6);
    rfm_config_free(config);
}

static void test_errors_are_collected_with_their_places(void **state)
{
    (void)state;
    files all = files_of("kafka:\n"
                         "  brokerz: a:1\n"
                         "  partitioner: dice\n"
                         "  brokers: somewhere\n"
                         "engine: {workers: -1, clock: moon, cache_bytes_max: 5 apples}\n"
                         "redis: [1]\n"
                         "prefix: x\n"
                         "churn: {horizon: a while}\n"
                         "lifecycle: {lapsed: 1.5}\n"
                         "rfm: {timezone: Europe/Nowhere, thresholds: {frequency: [1, 2, 2, 3], monetary: [1, 2]}}\n"
                         "model: nowhere.yaml\n"
                         "segments: classic-12\n"
                         "http: {listen: here}\n");
    files_bad(
        &all,
        "main.yaml:1:1: money.base_currency is missing\n"
        "main.yaml:2:3: unknown key \"brokerz\"; the nearest known one is \"kafka.brokers\"\n"
        "main.yaml:3:16: kafka.partitioner: may be murmur2, crc32, none; not \"dice\"\n"
        "main.yaml:4:12: kafka.brokers: a broker is needed here as host:port, not \"somewhere\"\n"
        "main.yaml:5:19: engine.workers: a whole number from 1 to 64 is needed here, not \"-1\"\n"
        "main.yaml:5:30: engine.clock: may be wall, record; not \"moon\"\n"
        "main.yaml:5:53: engine.cache_bytes_max: a size is needed here, such as 256MiB, not \"5 apples\"\n"
        "main.yaml:6:8: redis must be a map of keys\n"
        "main.yaml:7:1: unknown key \"prefix\"; the nearest known one is \"redis.prefix\"\n"
        "main.yaml:8:18: churn.horizon: a duration is needed here, such as 90d, 12h, 15m or 30s, not \"a while\"\n"
        "main.yaml:9:21: lifecycle.lapsed: a share is needed here, such as 5% or 0.05, from 0 to 1, not \"1.5\"\n"
        "main.yaml:10:17: rfm.timezone: time zone 'Europe/Nowhere' is unknown; names are like Europe/Berlin, and tzdata must "
        "be installed\n"
        "main.yaml:10:64: rfm.thresholds.frequency: the numbers must rise: \"2\" does not\n"
        "main.yaml:10:81: rfm.thresholds.monetary: a list of 4 rising numbers is needed here\n"
        "main.yaml:11:8: model: cannot read nowhere.yaml: it is not there\n"
        "main.yaml:12:11: segments: no such preset \"classic-12\"; the nearest is classic-11, and a file has a slash or a dot "
        "in its name\n"
        "main.yaml:13:16: http.listen: host:port or [address]:port is needed here, not \"here\"\n");
}

static void expect_error(const char *yaml, const char *part)
{
    char text[8192];
    files all = files_of(yaml);
    rfm_config *config = files_load(&all, text, sizeof text);
    if (config || !strstr(text, part))
        fail_msg("%s: \"%s\", not \"%s\"", yaml, text, part);
    rfm_config_free(config);
}

static void test_bad_values(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *part;
    } rows[] = {
        {MONEY "kafka: {group: 'a b'}", "1 kafka.group: a name of letters"},
        {MONEY "kafka: {wal: audit, audit: audit}", "kafka.audit: topic audit is that of kafka.wal already"},
        {MONEY "kafka: {inputs: {a: {topic: t}, b: {topic: t}}}", "topic t is that of kafka.inputs already"},
        {MONEY "kafka: {inputs: {}}", "at least one input"},
        {MONEY "kafka: {inputs: {a: {format: xml}}}",
         "format: may be native, segment, ga4, cloudevents, auto; not \"xml\""},
        {"money: {base_currency: EUR, amount_field: tax}", "amount_field: may be revenue, subtotal, total"},
        {MONEY "kafka: {inputs: {a: {form: native}}}", "nearest known one is \"format\""},
        {MONEY "kafka: {inputs: {a: , b: , c: , d: , e: , f: , g: , h: , i: }}", "more than 8 inputs"},
        {MONEY "kafka: {brokers: []}", "the list is empty"},
        {MONEY "kafka: {brokers: 'a:1,,b:2'}", "host:port"},
        {MONEY "kafka: {brokers: 'http://a:1'}", "host:port"},
        {MONEY "kafka: {brokers: 'a:1,ssl://:2'}", "host:port"},
        {MONEY "kafka: {consumer: [a]}", "a map of librdkafka properties"},
        {MONEY "redis: {url: gopher://x}", "redis.url: redis://host:port/db"},
        {MONEY "redis: {url: 'redis://host:99999'}", "redis.url: redis://host:port/db"},
        {MONEY "redis: {url: 'redis://host:0/1'}", "redis.url: redis://host:port/db"},
        {MONEY "redis: {url: 'redis://:6379'}", "redis.url: redis://host:port/db"},
        {MONEY "redis: {url: 'redis://host/main'}", "redis.url: redis://host:port/db"},
        {MONEY "redis: {url: 'rediss://user:word@host:port'}", "redis.url: redis://host:port/db"},
        {MONEY "redis: {url: 'redis://[::1:6379'}", "redis.url: redis://host:port/db"},
        {MONEY "redis: {url: 'redis://[::1]x:6379'}", "redis.url: redis://host:port/db"},
        {MONEY "redis: {url: 'redis+cluster://a:1,b:x'}", "redis.url: redis://host:port/db"},
        {MONEY "redis: {url: 'redis+sentinel://a:1,/main/0'}", "redis.url: redis://host:port/db"},
        {MONEY "redis: {url: 'redis+sentinel://a:1/main/zero'}", "redis.url: redis://host:port/db"},
        {MONEY "redis: {url: 'redis+sentinel://a:1,b:2'}", "the master's name among the Sentinels is missing"},
        {MONEY "redis: {url: 'rediss+sentinel://a:1//0'}", "the master's name among the Sentinels is missing"},
        {MONEY "redis: {url: 'redis+cluster://'}", "redis+cluster://hosts is needed here"},
        {MONEY "redis: {sentinel_password: x}", "use redis.sentinel_password_file or "},
        {MONEY "redis: {prefix: 'a{b}'}", "redis.prefix: 1 to 64 bytes"},
        {MONEY "redis: {password: x}",
         "redis.password: may not stand in a file such as this: use redis.password_file or "
         "the variable RFMD_REDIS__PASSWORD"},
        {MONEY "redis: {cert_file: x}", "go together"},
        {MONEY "redis: {timeout: 1h}", "redis.timeout: must be from 50ms to 5m"},
        {MONEY "redis: {password_file: x}", "cannot read x"},
        {MONEY "engine: {cache_bytes_max: 10}", "must be from 1MiB to 1TiB"},
        {MONEY "engine: {workers: 1.5}", "engine.workers"},
        {MONEY "engine: {workers: 99999999999999999999}", "engine.workers"},
        {"money: {base_currency: euro}", "three capital letters"},
        {"money: {base_currency: EUR, rates: {EUR: 1.01}}", "EUR is the base currency: its rate is 1"},
        {"money: {base_currency: EUR, rates: {USD: 0}}", "a rate is needed here"},
        {"money: {base_currency: EUR, rates: {dollar: 1}}", "three capital letters"},
        {"money: {base_currency: JPY}\nrfm: {thresholds: {monetary: [1.5, 2, 3, 4]}}", "an amount in JPY"},
        {MONEY "rfm: {thresholds: {recency_days: [4, 3, 2, 1]}}", "the numbers must rise"},
        {MONEY "segments: no-such", "no such preset \"no-such\"; the nearest is"},
        {MONEY "segments: ./none.yaml", "cannot read ./none.yaml"},
        {MONEY "traits: {a: {type: text}}", "type: may be string"},
        {MONEY "traits: {a: }", "type is missing"},
        {MONEY "http: {listen: 'a:70000'}", "host:port or [address]:port"},
        {MONEY "http: {listen: '::1:80'}", "host:port or [address]:port"},
        {MONEY "log: {level: loud}", "may be debug, info, warn, error; not \"loud\""},
        {MONEY "rules: {a: b}", "a list of files is needed"},
        {MONEY "kafka.brokers: a:1", "unknown key \"kafka.brokers\""},
        {"- a\n", "a map of keys is needed here, not a list"},
        {"just text", "a map of keys is needed here"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect_error(rows[i].yaml, rows[i].part + (rows[i].part[0] == '1' && rows[i].part[1] == ' ' ? 2 : 0));
}

static void test_many_errors_are_bounded(void **state)
{
    (void)state;
    char text[1 << 16], yaml[1 << 16];
    size_t len = 0;
    for (int i = 0; i < 300; i++)
        len += (size_t)sprintf(yaml + len, "wrong_%d: 1\n", i);
    files all = files_of(yaml);
    assert_null(files_load(&all, text, sizeof text));
    assert_non_null(strstr(text, "\nand 201 more\n"));
    assert_non_null(strstr(text, "main.yaml:1:1: "));
}

static void test_a_missing_main_file(void **state)
{
    (void)state;
    rfm_config *config = NULL;
    rfm_config_errors errors;
    rfm_config_errors_init(&errors);
    assert_int_equal(rfm_config_load("/nowhere/rfmd.yaml", NULL, &config, &errors), RFM_E_MALFORMED);
    assert_int_equal(errors.count, 1);
    assert_string_equal(errors.items[0].message, "cannot read /nowhere/rfmd.yaml: No such file or directory");
    assert_int_equal(rfm_config_load("/", NULL, &config, &errors), RFM_E_MALFORMED);
    assert_int_equal(errors.count, 1);
    assert_null(config);
    rfm_config_errors_release(&errors);
}

static void test_a_large_file_is_refused(void **state)
{
    (void)state;
    char path[] = "/tmp/rfm-config-test-XXXXXX";
    int fd = mkstemp(path);
    FILE *file = fdopen(fd, "w");
    rfm_config *config = NULL;
    rfm_config_errors errors;
    rfm_config_errors_init(&errors);
    fputs(MONEY "#", file);
    for (int i = (int)sizeof MONEY; i < RFM_CONFIG_FILE_BYTES_MAX; i++)
        fputc('x', file);
    fflush(file);
    assert_int_equal(rfm_config_load(path, NULL, &config, &errors), 0);
    rfm_config_free(config);
    config = NULL;
    fputc('x', file);
    fclose(file);
    assert_int_equal(rfm_config_load(path, NULL, &config, &errors), RFM_E_MALFORMED);
    assert_non_null(strstr(errors.items[0].message, "larger than 1048576 bytes"));
    rfm_config_errors_release(&errors);
    remove(path);
}

static rfm_config *load_with(const char *yaml, char *const *environment)
{
    files all = {.file = {{"d/main.yaml", yaml}, {"secret", "from a file"}}, .environment = environment};
    return files_good(&all);
}

static char variable[15][128];

static char *const *environment_of(const char *const *variables)
{
    static char *list[sizeof variable / sizeof *variable + 1];
    size_t i = 0;
    for (; variables[i]; i++) {
        snprintf(variable[i], sizeof variable[i], "%s", variables[i]);
        list[i] = variable[i];
    }
    list[i] = NULL;
    return list;
}

static void test_brokers_with_a_protocol(void **state)
{
    (void)state;
    rfm_config *config = load_with(MONEY "kafka: {brokers: 'SASL_SSL://a.b:9092,plaintext://[::1]:1'}\n", NULL);
    assert_string_equal(config->kafka.brokers, "SASL_SSL://a.b:9092,plaintext://[::1]:1");
    rfm_config_free(config);
}

static void test_environment(void **state)
{
    (void)state;
    static const char *const variables[] = {"RFMD_KAFKA__BROKERS=c:1,d:2",
                                            "RFMD_KAFKA__INPUTS={visits: {topic: other}}",
                                            "RFMD_KAFKA__INPUTS__MORE__TOPIC=more",
                                            "RFMD_KAFKA__PROPERTIES={sasl.password: x}",
                                            "RFMD_REDIS__PASSWORD=a: {#\"",
                                            "RFMD_MONEY__BASE_CURRENCY=SEK",
                                            "RFMD_MONEY__RATES__EUR=11.5",
                                            "RFMD_MONEY__RATES__SEK=1.00",
                                            "RFMD_RFM__THRESHOLDS__FREQUENCY=[1, 2, 3, 4]",
                                            "RFMD_SEGMENTS=rf-10",
                                            "OTHER=1",
                                            NULL};
    rfm_config *config = load_with(
        "kafka: {inputs: {visits: {topic: v}, a: }, brokers: 'x:1',\n"
        "  properties: {sasl.username: me, sasl.password: no}}\n"
        "redis: {password_file: ../secret}\n",
        environment_of((const char *const[]){
            "RFMD_KAFKA__BROKERS=c:1", "RFMD_PORT=tcp://1:2", "RFMD_SERVICE_HOST=10.0.0.1", "RFMD=1",
            "RFMD_=", "RFMD_MONEY__BASE_CURRENCY=SEK", "RFMD_REDIS__PASSWORD_FILE=secret", NULL}));
    assert_string_equal(config->redis.password, "from a file");
    rfm_config_free(config);
    config = load_with("kafka: {inputs: {visits: {topic: v}, a: }, brokers: 'x:1',\n"
                       "  properties: {sasl.username: me, sasl.password: no}}\n"
                       "money: {base_currency: EUR}\n",
                       environment_of(variables));
    assert_string_equal(config->kafka.brokers, "c:1,d:2");
    assert_int_equal(config->kafka.input_count, 3);
    assert_string_equal(config->kafka.input[0].topic, "other");
    assert_string_equal(config->kafka.input[2].name, "more");
    assert_string_equal(config->kafka.input[2].topic, "more");
    assert_int_equal(config->kafka.properties.count, 2);
    assert_string_equal(config->kafka.properties.items[1].value, "x");
    assert_string_equal(config->redis.password, "a: {#\"");
    assert_string_equal(config->client.money.base.code, "SEK");
    assert_int_equal(config->client.money.other_count, 1); /* a rate of 1 for the base currency is none */
    assert_string_equal(config->client.money.other[0].code, "EUR");
    assert_int_equal(config->client.rfm.frequency[3], 4);
    assert_string_equal(config->segments_source, "rf-10");
    rfm_config_free(config);
}

static void test_environment_errors(void **state)
{
    (void)state;
    files all = files_of(MONEY);
    all.environment = environment_of((const char *const[]){"RFMD_KAFKA__BROKERZ=a:1", "RFMD_KAFKA_BROKERS=a:1",
                                                           "RFMD_ENGINE__WORKERS=many", "RFMD_RULES=[a", "RFMD_X__Y=1",
                                                           "RFMD_MODEL__R=1", "RFMD_LOG={level: debug}",
                                                           "RFMD_RFM__THRESHOLDS={frequency: [1, 2, 3, 4]}", NULL});
    files_bad(&all,
              "RFMD_ENGINE__WORKERS:1:1: engine.workers: a whole number from 1 to 64 is needed here, not \"many\"\n"
              "RFMD_KAFKA_BROKERS:1:1: two underscores stand for a level: this is kafka.brokers\n"
              "RFMD_KAFKA__BROKERZ:1:1: unknown key \"kafka.brokerz\"; the nearest known one is \"kafka.brokers\"\n"
              "RFMD_LOG:1:1: log is a section, not a key: set its keys, such as RFMD_LOG__LEVEL\n"
              "RFMD_MODEL__R:1:1: unknown key \"model.r\"; the nearest known one is \"model\"\n"
              "RFMD_RFM__THRESHOLDS:1:1: rfm.thresholds is a section, not a key: set its keys, such as "
              "RFMD_RFM__THRESHOLDS__RECENCY_DAYS\n"
              "RFMD_RULES:2:1: not YAML: did not find expected ',' or ']' while parsing a flow sequence\n"
              "RFMD_X__Y:1:1: unknown key \"x.y\"; the nearest known one is \"rfm\"\n");
}

static void test_secrets_are_not_printed(void **state)
{
    (void)state;
    files all = files_of(MONEY
                         "kafka: {properties: {sasl.password: hush1, ssl.key.pem: hush2, sasl.username: me,\n"
                         "  ssl.key.location: /key.pem, sasl.oauthbearer.assertion.private.key.passphrase: hush7},\n"
                         "  consumer: {ssl.keystore.password: hush3}}\n"
                         "redis: {url: 'redis://user:hu%73h4@host:1/0'}\n");
    all.environment = environment_of((const char *const[]){"RFMD_PROMO__SECRET=hush5", "RFMD_HTTP__TOKEN=hush6", NULL});
    rfm_config *config = files_good(&all);
    assert_string_equal(config->redis.username, "user");
    assert_string_equal(config->redis.password, "hush4");
    assert_string_equal(config->redis.url, "redis://host:1/0");
    assert_string_equal(config->http.token, "hush6");
    assert_int_equal(config->rules.secret_len, 5);
    rfm_buffer yaml;
    rfm_buffer_init(&yaml, 1 << 20);
    rfm_config_print(config, &yaml);
    rfm_write_u8(&yaml, 0);
    const char *text = (const char *)yaml.at;
    assert_null(strstr(text, "hush"));
    assert_null(strstr(text, "%73"));
    assert_non_null(strstr(text, "\"sasl.username\": \"me\""));
    assert_non_null(strstr(text, "\"ssl.key.location\": \"/key.pem\""));
    assert_non_null(strstr(text, "\"sasl.password\": \"(redacted)\""));
    assert_non_null(strstr(text, "# promo.secret: redacted\n"));
    rfm_buffer_release(&yaml);
    rfm_config_free(config);
}

/* A container's --env-file keeps the quotes that a shell would take away. */
static void test_errors_tell_no_secrets(void **state)
{
    (void)state;
    files all = files_of(MONEY "redis: redis://:hush1@host:6379/0\n");
    all.environment = environment_of((const char *const[]){"RFMD_KAFKA__PROPERTIES=\"{sasl.password: hush2}\"", NULL});
    files_bad(&all, "main.yaml:2:8: redis must be a map of keys\n"
                    "RFMD_KAFKA__PROPERTIES:1:1: kafka.properties: a map of librdkafka properties is needed here, "
                    "{NAME: VALUE, ...}\n");
}

static void print(const rfm_config *config, rfm_buffer *yaml)
{
    rfm_buffer_init(yaml, 1 << 20);
    rfm_config_print(config, yaml);
    rfm_write_u8(yaml, 0);
}

/* What is printed loads again and prints the same. */
static void test_print_loads_again(void **state)
{
    (void)state;
    files all = files_of("kafka: {brokers: [a:1, b:2], inputs: {x: {topic: y}}, consumer: {\"a\\\"b\": \"c\\nd\"}}\n"
                         "money: {base_currency: KWD, rates: {EUR: 0.3345, USD: 0.0001}, margin: 33%}\n"
                         "redis: {url: unix:///run/redis.sock, timeout: 1500ms}\n"
                         "engine: {cache_bytes_max: 1048577}\n"
                         "rfm: {refresh: 90s, timezone: Europe/Berlin, thresholds: {monetary: [0.005, 1, 2.5, 1e3]}}\n"
                         "churn: {horizon: 25h}\nlifecycle: {at_risk: 0.323456789012345}\n"
                         "traits: {a: {type: int}}\nhttp: {listen: '[::]:0'}\n");
    rfm_config *config = files_good(&all);
    rfm_buffer first, second;
    print(config, &first);
    files again = files_of((const char *)first.at);
    rfm_config *reloaded = files_good(&again);
    print(reloaded, &second);
    assert_string_equal((const char *)second.at, (const char *)first.at);
    assert_int_equal(config->client.version, reloaded->client.version);
    assert_non_null(strstr((const char *)first.at, "\n    monetary: [0.005, 1.000, 2.500, 1000.000]\n"));
    assert_non_null(strstr((const char *)first.at, "\n  horizon: 25h\n"));
    rfm_buffer_release(&first);
    rfm_buffer_release(&second);
    rfm_config_free(config);
    rfm_config_free(reloaded);
}

static const char model_head[] = "model: mbg_nbd\nunit: week\nr: 1\nalpha: 1\na: 1\nb: 1\n";

static void expect_model_error(const char *yaml, const char *line)
{
    files all = {.file = {{"main.yaml", MONEY "model: m.yaml\n"}, {"m.yaml", yaml}}};
    files_bad(&all, line);
}

static void test_model_files(void **state)
{
    (void)state;
    char yaml[256];
    files all = {.file = {{"main.yaml", MONEY "model: m.yaml\n"}, {"m.yaml", model_head}}};
    rfm_config *config = files_good(&all);
    assert_true(config->client.model.evidence_cap == 5);
    rfm_config_free(config);
    expect_model_error("model: mbg_nbd\nunit: week\nr: 1\nalpha: 0\na: x\n",
                       "m.yaml:1:1: b is missing\n"
                       "m.yaml:4:8: alpha: a number above 0 is needed here, not \"0\"\n"
                       "m.yaml:5:4: a: a number is needed here, not \"x\"\n");
    snprintf(yaml, sizeof yaml, "%sspend: {p: 1, q: 2}\nalfa: 1\n", model_head);
    expect_model_error(yaml, "m.yaml:7:8: spend.v is missing\n"
                             "m.yaml:8:1: unknown key \"alfa\"; the nearest known one is \"alpha\"\n");
    expect_model_error("model: bg_nbd\nunit: month\nr: 1\nalpha: nan\na: 1e999\nb: 1\n",
                       "m.yaml:1:8: model: bg_nbd is not supported in this version\n"
                       "m.yaml:2:7: unit: may be day, week; not \"month\"\n"
                       "m.yaml:4:8: alpha: a number is needed here, not \"nan\"\n"
                       "m.yaml:5:4: a: a number is needed here, not \"1e999\"\n");
}

static void test_segment_files(void **state)
{
    (void)state;
    files all = {.file = {{"main.yaml", MONEY "segments: s.yaml\n"},
                          {"s.yaml", "segments:\n  low: [\"[1-3]\"]\n  high: [555]\n  odd: [666, 555]\n  Big: [1]\n"}}};
    char text[4096];
    assert_null(files_load(&all, text, sizeof text));
    assert_non_null(strstr(text, "s.yaml:2:9: segment 'low': '[1-3]' is no cell"));
    assert_non_null(strstr(text, "s.yaml:4:9: segment 'odd': '666' is no cell"));
    assert_non_null(strstr(text, "s.yaml:4:14: cell 555 belongs to 'high' already"));
    assert_non_null(strstr(text, "s.yaml:5:3: segment 'Big'"));
    all.file[1].content = "segments:\n  one: [\"[1-5][1-4]\"]\n  two: \"[1-5]5[1-4]\"\n";
    files_bad(&all, "s.yaml:1:1: cell 155 belongs to no segment: add it to one\n");
    all.file[1].content = "segments:\n  one: [\"[1-5][1-4]\"]\n  two: \"[1-5]5\"\n";
    rfm_config *config = files_good(&all);
    assert_int_equal(config->client.segments.count, 3);
    assert_string_equal(config->segments_source, "s.yaml");
    rfm_config_free(config);
    all.file[1].content = "segment: {}\n";
    files_bad(&all, "s.yaml:1:1: a file of segments has one key, segments: {NAME: [cells]}\n");
}

static void test_nearest_names(void **state)
{
    (void)state;
    char path[128];
    assert_string_equal(rfm__table_nearest(&rfm__config_table, "", "enigne", path), "engine");
    assert_string_equal(rfm__table_nearest(&rfm__config_table, "engine.", "worker", path), "engine.workers");
    assert_string_equal(rfm__table_nearest(&rfm__config_table, "", "brokers", path), "kafka.brokers");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_defaults_are_those_of_the_client_layer),
        cmocka_unit_test(test_every_key),
        cmocka_unit_test(test_errors_are_collected_with_their_places),
        cmocka_unit_test(test_bad_values),
        cmocka_unit_test(test_many_errors_are_bounded),
        cmocka_unit_test(test_a_missing_main_file),
        cmocka_unit_test(test_a_large_file_is_refused),
        cmocka_unit_test(test_brokers_with_a_protocol),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_environment_errors),
        cmocka_unit_test(test_errors_tell_no_secrets),
        cmocka_unit_test(test_secrets_are_not_printed),
        cmocka_unit_test(test_print_loads_again),
        cmocka_unit_test(test_model_files),
        cmocka_unit_test(test_segment_files),
        cmocka_unit_test(test_nearest_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
