#include "config.h"

#include "keys.h"

#include <rfm/base/hash.h>

#include <stdio.h>
#include <stdlib.h>

#define AT(member) offsetof(rfm_config, member)

static const char *const deliveries[] = {"exactly_once", "at_least_once", NULL};
static const char *const partitioners[] = {"murmur2", "crc32", "none", NULL};
static const char *const clocks[] = {"wall", "record", NULL};
static const char *const amount_fields[] = {
#define X(NAME, name) #name,
    RFM_AMOUNT_FIELDS(X)
#undef X
        NULL};
static const char *const axis_modes[] = {"fixed", "population", NULL};
static const char *const log_levels[] = {"debug", "info", "warn", "error", NULL};
static const char *const log_formats[] = {"logfmt", "json", NULL};
static const char *const outputs[] = {"binary", "structured", NULL};

const char *rfm_log_level_name(rfm_log_level level)
{
    return log_levels[level];
}

/* In the order in which they are read: what depends on another key comes after it. */
static const rfm__key keys[] = {
    {"kafka.brokers", &rfm__brokers, AT(kafka.brokers), "localhost:9092",
     .text = "Where to ask for the cluster: `host:port`, several with commas or as a list"},
    {"kafka.group", &rfm__name, AT(kafka.group), "rfmd", .high = 128,
     .text = "Consumer group; its processes share the partitions. Goes into transactional ids and "
             "triggers' `ce_source`, and belongs to the state in Redis: never change it for a state that "
             "is to be kept"},
    {"kafka.instance_id", &rfm__name, AT(kafka.instance_id), .high = 64,
     .text = "Static membership as `<instance>-<worker>`: a restart within the session time-out moves no "
             "partitions. Each process its own. Without: dynamic members"},
    {"kafka.inputs", &rfm__inputs, AT(kafka.input), "{purchases: {}, visits: {}, messages: {}}",
     .text =
         "`NAME: {topic, format}`, 8 at most, all with the same number of partitions; `topic` is the "
         "name if not given; `format` is `native` (if not given), `segment`, `ga4`, `cloudevents`, or `auto`, which "
         "tells them apart by the record. Any type of event may come on any of them. The names and their order belong "
         "to the state: never change them for a state that is to be kept"},
    {"kafka.wal", &rfm__name, AT(kafka.wal), "rfmd-wal",
     .text = "Topic of the write-ahead log, with as many partitions as the inputs"},
    {"kafka.dead_letters", &rfm__name, AT(kafka.dead_letters), "rfmd-dead-letters",
     .text = "Topic of records that could not be taken, each with its reason"},
    {"kafka.audit", &rfm__name, AT(kafka.audit), "rfmd-audit",
     .text = "Topic of triggers that were held back, each with its reason"},
    {"kafka.profiles", &rfm__name, AT(kafka.profiles),
     .text = "Topic of clients' profiles; reserved: nothing is written to it yet"},
    {"kafka.delivery", &rfm__choice, AT(kafka.delivery), "exactly_once", .choices = deliveries,
     .text =
         "`at_least_once` does without transactions and WAL: faster, triggers may repeat (with the same id). Belongs "
         "to the state in Redis: each way refuses the other's"},
    {"kafka.partitioner", &rfm__choice, AT(kafka.partitioner), "murmur2", .choices = partitioners,
     .text = "How producers of the inputs choose a key's partition: `murmur2` as Java, `crc32` as "
             "librdkafka; `none`: not checked"},
    {"kafka.properties", &rfm__settings, AT(kafka.properties),
     .text = "Any librdkafka property, for all its clients: TLS, SASL, ..."},
    {"kafka.consumer", &rfm__settings, AT(kafka.consumer), .text = "The same, only for consumers"},
    {"kafka.producer", &rfm__settings, AT(kafka.producer), .text = "The same, only for producers"},

    {"redis.url", &rfm__redis_url, AT(redis.url), "redis://127.0.0.1:6379/0",
     .text =
         "`redis://host:port/db`, `unix:///path`, `redis+sentinel://host:port,host:port/name/db`, "
         "`redis+cluster://host:port,host:port`; with TLS `rediss://`, `rediss+sentinel://`, `rediss+cluster://`. A "
         "user and password in it are taken as the keys below"},
    {"redis.prefix", &rfm__redis_prefix, AT(redis.prefix), "rfm",
     .text = "All keys start with it; 64 bytes at most, no `{`, `}`"},
    {"redis.username", &rfm__text, AT(redis.username), .text = "User of the access control list"},
    {"redis.password", &rfm__secret, AT(redis.password), .flags = RFM__SECRET,
     .text = "Only from the environment: `RFMD_REDIS__PASSWORD`"},
    {"redis.password_file", &rfm__password_file, AT(redis.password_file), .text = "File that holds the password"},
    {"redis.sentinel_password", &rfm__secret, AT(redis.sentinel_password), .flags = RFM__SECRET,
     .text = "Only from the environment: `RFMD_REDIS__SENTINEL_PASSWORD`"},
    {"redis.sentinel_password_file", &rfm__sentinel_file, AT(redis.sentinel_password_file),
     .text = "File that holds the password of the Sentinels, if they want one"},
    {"redis.ca_file", &rfm__file, AT(redis.ca_file),
     .text = "Certificates of authorities, for TLS; without: the system's"},
    {"redis.cert_file", &rfm__file, AT(redis.cert_file), .text = "Own certificate, for TLS"},
    {"redis.key_file", &rfm__file, AT(redis.key_file), .text = "Its key"},
    {"redis.timeout", &rfm__duration, AT(redis.timeout_ms), "5s", .low = 0.05, .high = 300,
     .text = "For connecting and for each reply"},

    {"engine.workers", &rfm__integer, AT(engine.workers), "1", .low = 1, .high = RFM_ENGINE_WORKERS_MAX,
     .text = "Threads; each takes its part of the partitions"},
    {"engine.cache_bytes_max", &rfm__size, AT(engine.cache_bytes_max), "256MiB", .low = 1 << 20, .high = 1ull << 40,
     .text = "Memory for cached clients, of the whole process"},
    {"engine.dirty_bytes_max", &rfm__size, AT(engine.dirty_bytes_max), "64MiB", .low = 1 << 20, .high = 1ull << 40,
     .text = "Changes that Redis does not have yet, of the whole process; beyond, the input waits"},
    {"engine.step_events_max", &rfm__integer, AT(engine.step_events_max), "20000", .low = 1, .high = 1000000,
     .text = "Records in one transaction, and as many clients whose timers have come; fewer after one that timed out, "
             "until they are quick again"},
    {"engine.clock", &rfm__choice, AT(engine.clock), "wall", .choices = clocks,
     .text = "`record`: the largest Kafka timestamp read, for tests and back-fills"},

    {"money.base_currency", &rfm__base_currency, AT(client.money.base), .flags = RFM__REQUIRED,
     .text = "ISO 4217 code; every amount is kept in it. Belongs to the state: never change it for a state "
             "that is to be kept"},
    {"money.rates", &rfm__rates, AT(client.money),
     .text = "`CODE: rate`, base units for one unit of the currency, exact decimals; a currency without a "
             "rate is a dead letter"},
    {"money.amount_field", &rfm__choice, AT(amount_field), "revenue", .choices = amount_fields,
     .text =
         "Which of the sums of an order in the format `segment` is its amount: without tax and shipping (`revenue`, "
         "as `value` of `ga4`; `subtotal`), or with them (`total`). Where it is absent, the first of the others"},
    {"money.margin", &rfm__share, AT(margin), "1", .text = "Share of revenue that is profit, for lifetime values"},

    {"rfm.r", &rfm__choice, AT(client.rfm.r), "population", .choices = axis_modes,
     .text = "Recency score: by quintiles of all clients, or by thresholds"},
    {"rfm.f", &rfm__choice, AT(client.rfm.f), "fixed", .choices = axis_modes, .text = "Frequency score"},
    {"rfm.m", &rfm__choice, AT(client.rfm.m), "population", .choices = axis_modes, .text = "Monetary score"},
    {"rfm.population_min", &rfm__integer, AT(client.rfm.population_min), "100", .low = 0, .high = UINT32_MAX,
     .text = "Buyers below which every score is by thresholds"},
    {"rfm.timezone", &rfm__timezone, AT(timezone), "UTC",
     .text = "IANA zone of calendar days. Belongs to the state: never change it for a state that is to be "
             "kept"},
    {"rfm.refresh", &rfm__duration, AT(client.rfm.refresh_ms), "1h", .low = 1, .high = 86400,
     .text = "How often the quintiles are taken anew"},
    {"rfm.thresholds.recency_days", &rfm__day_list, AT(client.rfm.recency_days), "[30, 90, 180, 365]",
     .text = "Four, rising: at most the first: 5, at most the second: 4, ..., above the last: 1"},
    {"rfm.thresholds.frequency", &rfm__count_list, AT(client.rfm.frequency), "[2, 3, 5, 10]",
     .text = "Four, rising: below the first: 1, ..., at least the last: 5"},
    {"rfm.thresholds.monetary", &rfm__money_list, AT(client.rfm.monetary_minor), "[50, 100, 250, 500]",
     .text = "Four, rising, in the base currency: as frequency"},

    {"churn.horizon", &rfm__days, AT(client.churn_horizon_days), "90d", .low = 1, .high = 3650. * 86400,
     .text = "Churn risk is 1 - the probability of a purchase within it"},
    {"lifecycle.at_risk", &rfm__share, AT(client.lifecycle.at_risk), "0.5",
     .text = "At risk from this activity ratio down"},
    {"lifecycle.lapsed", &rfm__share, AT(client.lifecycle.lapsed), "0.2",
     .text = "Lapsed from this activity ratio down"},
    {"ltv.horizon", &rfm__days, AT(client.ltv_horizon_days), "365d", .low = 1, .high = 36500. * 86400,
     .text = "Time for which orders and lifetime value are predicted"},

    {"segments", &rfm__segments, AT(segments_source), "classic-11",
     .text = "`classic-11`, `rf-10`, or a file of segments"},
    {"model", &rfm__model_file, AT(model_file),
     .text = "File of the model's parameters, as `rfmd fit` writes it. Without: parameters of a public "
             "data set, which are not yours, and no spend model: `ltv.predicted` is then null"},
    {"traits", &rfm__traits, AT(traits),
     .text = "`NAME: {type}`; types: string, int, double, bool, date, timestamp. What `profile` events may "
             "set; traits that are not declared, or sent as another type, are dropped and counted"},

    {"promo.secret", &rfm__promo_secret, AT(rules), .flags = RFM__SECRET,
     .text = "Only from the environment: `RFMD_PROMO__SECRET`"},
    {"promo.secret_file", &rfm__promo_secret_file, AT(promo_secret_file),
     .text = "File that holds the secret of promo codes (256 bytes at most); needed once a rule has a "
             "`promo`. The same secret gives the same codes"},
    {"output", &rfm__choice, AT(output), "binary", .choices = outputs,
     .text = "CloudEvents mode of triggers and audit"},
    {"cloudevents.type_prefix", &rfm__type_prefix, AT(rules), "io.rfmd.trigger.",
     .text = "`ce_type` of a trigger is this and the rule's name"},
    {"rules", &rfm__rule_files, AT(rule_files), .text = "Files of rules and policies, 64 at most"},
    {"erase.remember", &rfm__duration, AT(client.erase_remember_ms), "30d", .low = 0, .high = 3650. * 86400,
     .text = "How long earlier events of an erased client are dropped"},

    {"http.listen", &rfm__listen, AT(http), "127.0.0.1:9464",
     .text = "`host:port`, `[address]:port`; port 0: a free one"},
    {"http.token", &rfm__secret, AT(http.token), .flags = RFM__SECRET,
     .text = "Only from the environment: `RFMD_HTTP__TOKEN`; reserved: nothing asks for it yet"},
    {"http.token_file", &rfm__token_file, AT(http.token_file),
     .text = "File that holds the bearer token of `/v1` and `/`; reserved: there is neither yet"},
    {"log.level", &rfm__choice, AT(log.level), "info", .choices = log_levels, .text = "Least serious that is logged"},
    {"log.format", &rfm__choice, AT(log.format), "logfmt", .choices = log_formats, .text = ""},
};
const rfm__table rfm__config_table = {keys, sizeof keys / sizeof *keys};

void rfm_config_errors_init(rfm_config_errors *errors)
{
    errors->items = NULL;
    errors->count = 0;
    errors->files = (rfm_texts){0};
    rfm_arena_init(&errors->arena);
}

void rfm_config_errors_release(rfm_config_errors *errors)
{
    rfm_arena_release(&errors->arena);
    errors->items = NULL;
    errors->count = 0;
    errors->files = (rfm_texts){0};
}

void rfm_config_errors_write(const rfm_config_errors *errors, rfm_buffer *text)
{
    size_t kept = errors->count < RFM_CONFIG_ERRORS_MAX ? errors->count : RFM_CONFIG_ERRORS_MAX;
    for (size_t i = 0; i < kept; i++) {
        const rfm_config_error *error = &errors->items[i];
        rfm_write_format(text, "%s:%u:%u: %s\n", error->file, error->line, error->column, error->message);
    }
    if (errors->count > kept)
        rfm_write_format(text, "and %zu more\n", errors->count - kept);
}

static int compare_errors(const void *a, const void *b)
{
    const rfm_config_error *left = a, *right = b;
    if (left->source != right->source)
        return left->source < right->source ? -1 : 1;
    if (left->line != right->line)
        return left->line < right->line ? -1 : 1;
    if (left->column != right->column)
        return left->column < right->column ? -1 : 1;
    return strcmp(left->message, right->message);
}

static void sort_errors(rfm_config_errors *errors)
{
    if (errors->count)
        qsort(errors->items, errors->count < RFM_CONFIG_ERRORS_MAX ? errors->count : RFM_CONFIG_ERRORS_MAX,
              sizeof *errors->items, compare_errors);
}

static rfm_config *config_new(void)
{
    rfm_config *config = calloc(1, sizeof *config);
    RFM_NEED(config);
    rfm_arena_init(&config->arena);
    rfm_client_conf_defaults(&config->client);
    rfm__table_init(&rfm__config_table, config);
    rfm__table_init(&rfm__model_table, config);
    config->rules.rule = rfm_arena_take(&config->arena, RFM_RULES_MAX * sizeof *config->rules.rule);
    config->rules.max_trigger_age_ms = INT64_MAX;
    config->rules.silent_until_ms = INT64_MIN;
    config->http.host = "";
    return config;
}

void rfm_config_free(rfm_config *config)
{
    if (!config)
        return;
    rfm_zone_free(config->zone);
    rfm_zone_free(config->default_zone);
    rfm_zones_free(config->zones);
    rfm_arena_release(&config->arena);
    free(config);
}

/* Where a topic is named, for messages: the inputs' are within their map. */
typedef struct topic_place {
    const char *topic, *path;
} topic_place;

static size_t own_topics(const rfm_config *config, topic_place places[RFM_INPUTS_MAX + 4])
{
    size_t count = 0;
    for (size_t i = 0; i < config->kafka.input_count; i++)
        places[count++] = (topic_place){config->kafka.input[i].topic, "kafka.inputs"};
    places[count++] = (topic_place){config->kafka.wal, "kafka.wal"};
    places[count++] = (topic_place){config->kafka.dead_letters, "kafka.dead_letters"};
    places[count++] = (topic_place){config->kafka.audit, "kafka.audit"};
    if (*config->kafka.profiles)
        places[count++] = (topic_place){config->kafka.profiles, "kafka.profiles"};
    return count;
}

/* What is written must not be read again, nor mixed with something else. */
static void check_topics(rfm__loader *loader, const rfm_yaml *root)
{
    const rfm_config *config = loader->config;
    topic_place place[RFM_INPUTS_MAX + 4];
    size_t count = own_topics(config, place);
    for (size_t i = 0; i < count; i++) {
        const rfm_yaml *node = rfm__find_path(root, place[i].path);
        for (size_t j = 0; j < i; j++) {
            if (strcmp(place[i].topic, place[j].topic) == 0)
                rfm__report(loader, node ? node : root, "%s: topic %s is that of %s already", place[i].path,
                            place[i].topic, place[j].path);
        }
        for (size_t j = 0; j < config->rules.topic_count; j++) {
            if (strcmp(place[i].topic, config->rules.topic[j]) == 0)
                rfm__report(loader, node ? node : root, "%s: topic %s is one that rules send triggers to",
                            place[i].path, place[i].topic);
        }
    }
}

static void check_together(rfm__loader *loader, const rfm_yaml *root)
{
    const rfm_config *config = loader->config;
    check_topics(loader, root);
    const rfm_yaml *lifecycle = rfm_yaml_find(root, rfm_text("lifecycle"));
    if (!(config->client.lifecycle.at_risk > config->client.lifecycle.lapsed && config->client.lifecycle.lapsed > 0))
        rfm__report(loader, lifecycle ? lifecycle : root, "lifecycle.at_risk must be above lapsed, and that above 0");
    const rfm_yaml *cert = rfm__find_path(root, "redis.cert_file"), *key = rfm__find_path(root, "redis.key_file");
    if (!*config->redis.cert_file != !*config->redis.key_file)
        rfm__report(loader, cert ? cert : key ? key : root, "redis.cert_file and redis.key_file go together");
}

static void set_client_version(rfm_config *config)
{
    uint8_t bytes[4 + 32];
    rfm_buffer buffer = rfm_buffer_over(bytes, sizeof bytes);
    rfm_write_u32(&buffer, rfm_client_conf_version(&config->client));
    rfm_write_bytes(&buffer, rfm_bytes_of(config->rules.version, 32));
    config->client.version = (uint32_t)rfm_hash64(rfm_buffer_view(&buffer));
}

static rfm_texts copy_files(const rfm__loader *loader, rfm_arena *arena)
{
    const char **files = rfm_arena_take(arena, (loader->file_count + 1) * sizeof *files);
    for (size_t i = 0; i < loader->file_count; i++)
        files[i] = (const char *)rfm_arena_copy(arena, rfm_bytes_of(loader->file[i], strlen(loader->file[i]) + 1)).at;
    return (rfm_texts){files, loader->file_count};
}

static void load_root(rfm__loader *loader, const rfm_yaml *loaded, char *const *environment)
{
    rfm_yaml root = *loaded;
    if (root.kind == RFM_YAML_MAP)
        rfm__environment_apply(loader, &root, environment);
    rfm__table_read(loader, &rfm__config_table, &root, loader->config);
    check_together(loader, &root);
    rfm__rules_finish(loader);
    set_client_version(loader->config);
}

static void load_path(rfm__loader *loader, const char *path, char *const *environment)
{
    rfm_yaml_source *command = rfm_arena_take(&loader->scratch, sizeof *command);
    *command = (rfm_yaml_source){.name = path, .directory = ""};
    const rfm_yaml *node = rfm_yaml_scalar(&loader->scratch, command, path);
    const rfm_yaml *loaded = rfm__load_named(loader, node, rfm__keep(loader, path, strlen(path)));
    if (loaded)
        load_root(loader, loaded, environment);
}

/* From a file, or from a tree if `path` is NULL. */
static int load(rfm__read read, void *read_context, const char *path, const rfm_yaml *map, char *const *environment,
                rfm_config **config, rfm_config_errors *errors)
{
    const rfm_yaml *rule_node[RFM_RULES_MAX];
    rfm__loader loader = {
        .config = config_new(), .errors = errors, .read = read, .read_context = read_context, .rule_node = rule_node};
    rfm_config_errors_release(errors);
    rfm_arena_init(&loader.scratch);
    if (path)
        load_path(&loader, path, environment);
    else
        load_root(&loader, map, environment);
    rfm_arena_release(&loader.scratch);
    sort_errors(errors);
    if (errors->count) {
        errors->files = copy_files(&loader, &errors->arena);
        rfm_config_free(loader.config);
        return RFM_E_MALFORMED;
    }
    loader.config->files = copy_files(&loader, &loader.config->arena);
    *config = loader.config;
    return RFM_OK;
}

int rfm__config_load(rfm__read read, void *read_context, const char *path, char *const *environment,
                     rfm_config **config, rfm_config_errors *errors)
{
    return load(read, read_context, path, NULL, environment, config, errors);
}

static int take_zones(rfm_config **config, rfm_config_errors *errors)
{
    rfm_error error;
    rfm__loader loader = {.errors = errors};
    const rfm_yaml_source system = {.name = "(time zones)", .directory = ""};
    int code = rfm_zones_load(&(*config)->zones, &error);
    (*config)->client.zones = (*config)->zones;
    if (code != RFM_OK) {
        rfm__report(&loader, &(rfm_yaml){.source = &system}, "%s", error.message);
        rfm_config_free(*config);
        *config = NULL;
    }
    return code;
}

int rfm_config_load(const char *path, char *const *environment, rfm_config **config, rfm_config_errors *errors)
{
    int code = rfm__config_load(rfm__read_file, NULL, path, environment, config, errors);
    return code == RFM_OK ? take_zones(config, errors) : code;
}

int rfm_config_load_map(const rfm_yaml *map, char *const *environment, rfm_config **config, rfm_config_errors *errors)
{
    int code = load(rfm__read_file, NULL, NULL, map, environment, config, errors);
    return code == RFM_OK ? take_zones(config, errors) : code;
}

void rfm_config_print(const rfm_config *config, rfm_buffer *yaml)
{
    rfm_write_format(yaml, "# %zu rules, version %s\n", config->rules.count, config->rules.version);
    for (size_t i = 0; i < config->rules.count; i++)
        rfm_write_format(yaml, "#   %s\n", config->rules.rule[i].name);
    if (*config->redis.password)
        rfm_write_text(yaml, "# redis.password: redacted\n");
    if (*config->redis.sentinel_password)
        rfm_write_text(yaml, "# redis.sentinel_password: redacted\n");
    if (config->rules.secret_len)
        rfm_write_text(yaml, "# promo.secret: redacted\n");
    if (*config->http.token)
        rfm_write_text(yaml, "# http.token: redacted\n");
    rfm__table_print(&rfm__config_table, config, config, 0, yaml);
}
