#include "topics.h"

#include "admin.h"
#include "client.h"

#include <rfm/base/time.h>
#include <rfm/engine/redo.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    TIMEOUT_MS = 30000,
    PARTITIONS = 8,
    LOOK_AGAIN_MS = 200,
    LOOKS = 25, /* until topics just made have leaders everywhere */
    WAL_MESSAGE_BYTES = RFM_REDO_PART_BYTES_MAX + 64 * 1024,
};

typedef enum use { INPUT = 1, WAL = 2, OUTPUT = 4 } use;

typedef struct check {
    const rfm_kafka_conf *conf;
    const rfm_topics_wish *wish;
    rfm__admin admin;
    rfm__topic_state *states; /* each topic once */
    uint8_t *uses;
    size_t count;
    size_t problems;
    rfm_error first;
    bool compacted; /* the WAL, as what follows */
    int64_t retention_ms, retention_bytes, message_bytes;
} check;

static void problem(check *of, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void problem(check *of, int code, const char *format, ...)
{
    rfm_error error = {.code = code};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error.message, sizeof error.message, format, arguments);
    va_end(arguments);
    if (of->problems++ == 0)
        of->first = error;
    if (of->wish->problem)
        of->wish->problem(of->wish->owner, error.message);
}

/* -- which topics */

static void add_topic(check *of, const char *name, use as)
{
    for (size_t i = 0; i < of->count; i++) {
        if (strcmp(of->states[i].name, name) != 0)
            continue;
        if ((of->uses[i] | (uint8_t)as) != OUTPUT)
            problem(of, RFM_E_REFUSED,
                    "topic '%s' is configured for two purposes; inputs and the WAL need topics of their own", name);
        of->uses[i] |= (uint8_t)as;
        return;
    }
    of->states[of->count] = (rfm__topic_state){.name = name};
    of->uses[of->count++] = (uint8_t)as;
}

static void add_topics(check *of)
{
    const rfm_kafka_conf *conf = of->conf;
    size_t room = conf->input_count + 3 + conf->trigger_topic_count;
    of->states = calloc(room, sizeof *of->states);
    of->uses = calloc(room, sizeof *of->uses);
    RFM_NEED(of->states && of->uses);
    for (size_t i = 0; i < conf->input_count; i++)
        add_topic(of, conf->input_topic[i], INPUT);
    add_topic(of, conf->wal, WAL);
    add_topic(of, conf->dead_letters, OUTPUT);
    add_topic(of, conf->audit, OUTPUT);
    for (size_t i = 0; i < conf->trigger_topic_count; i++)
        add_topic(of, conf->trigger_topics[i], OUTPUT);
}

static const rfm__topic_state *state_of(const check *of, const char *name)
{
    for (size_t i = 0; i < of->count; i++)
        if (strcmp(of->states[i].name, name) == 0)
            return &of->states[i];
    return NULL;
}

/* -- looking */

static bool is_missing(const rfm__topic_state *topic)
{
    return topic->code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || topic->code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
}

static bool all_led(const check *of)
{
    for (size_t i = 0; i < of->count; i++)
        if (!of->states[i].led && (of->states[i].code == RD_KAFKA_RESP_ERR_NO_ERROR || is_missing(&of->states[i])))
            return false;
    return true;
}

/* What is missing may just have been made, or its broker just started: look again for a while. */
static int look(check *of, int looks, rfm_error *error)
{
    int code = rfm__admin_describe(&of->admin, of->states, of->count, error);
    while (code == RFM_OK && --looks > 0 && !all_led(of)) {
        rfm_sleep_ms(LOOK_AGAIN_MS);
        code = rfm__admin_describe(&of->admin, of->states, of->count, error);
    }
    return code;
}

/* The partitions that inputs and WAL should have: as those that are there, or as wished. */
static uint32_t partitions_wanted(const check *of)
{
    uint32_t wanted = 0;
    for (size_t i = 0; i < of->count; i++)
        if ((of->uses[i] & (INPUT | WAL)) && of->states[i].partition_count > wanted)
            wanted = of->states[i].partition_count;
    if (wanted == 0)
        wanted = of->wish->partition_count ? of->wish->partition_count : PARTITIONS;
    return wanted;
}

static int create_missing(check *of, rfm_error *error)
{
    uint32_t wanted = partitions_wanted(of);
    for (size_t i = 0; i < of->count; i++) {
        if (!is_missing(&of->states[i]))
            continue;
        int code = rfm__admin_create(&of->admin, of->states[i].name, wanted, of->uses[i] & WAL, error);
        if (code == RFM_E_AWAY)
            return code;
        if (code != RFM_OK)
            problem(of, code, "%s", error->message);
        else
            rfm__kafka_log(of->conf, RFM_KAFKA_LOG_INFO, "created topic '%s' with %u partitions", of->states[i].name,
                           wanted);
    }
    return look(of, LOOKS, error);
}

static bool any_missing(const check *of)
{
    for (size_t i = 0; i < of->count; i++)
        if (is_missing(&of->states[i]))
            return true;
    return false;
}

/* -- judging */

static void judge_presence(check *of, size_t i)
{
    const rfm__topic_state *topic = &of->states[i];
    bool is_wal = of->uses[i] & WAL;
    if (is_missing(topic))
        problem(of, RFM_E_REFUSED,
                "topic '%s' does not exist: start with --create-topics, or create it: kafka-topics.sh "
                "--bootstrap-server %s --create --topic %s --partitions %u%s",
                topic->name, of->conf->brokers, topic->name, partitions_wanted(of),
                is_wal ? " --config cleanup.policy=delete" : "");
    else if (rfm__kafka_denied(topic->code))
        problem(of, RFM_E_DENIED, "topic '%s': %s: grant DESCRIBE and %s on it", topic->name,
                rd_kafka_err2str(topic->code),
                of->uses[i] & INPUT ? "READ"
                : is_wal            ? "READ and WRITE"
                                    : "WRITE");
    else if (topic->code != RD_KAFKA_RESP_ERR_NO_ERROR)
        problem(of, RFM_E_REFUSED, "topic '%s': %s", topic->name, rd_kafka_err2str(topic->code));
}

static void judge_permission(check *of, size_t i)
{
    const rfm__topic_state *topic = &of->states[i];
    if ((of->uses[i] & (INPUT | WAL)) && !topic->can_read)
        problem(of, RFM_E_DENIED, "topic '%s' may not be read: grant READ on it", topic->name);
    if ((of->uses[i] & (WAL | OUTPUT)) && !topic->can_write)
        problem(of, RFM_E_DENIED, "topic '%s' may not be written: grant WRITE on it", topic->name);
}

static void judge_partitions(check *of, size_t i)
{
    const rfm__topic_state *topic = &of->states[i];
    uint32_t wanted = partitions_wanted(of);
    if ((of->uses[i] & (INPUT | WAL)) == 0)
        return;
    if (topic->partition_count > RFM_TASKS_MAX)
        problem(of, RFM_E_REFUSED, "topic '%s' has %u partitions; at most %d are supported", topic->name,
                topic->partition_count, RFM_TASKS_MAX);
    else if (topic->partition_count != wanted)
        problem(of, RFM_E_REFUSED,
                "topic '%s' has %u partitions, but another input or the WAL has %u; all need the same number%s",
                topic->name, topic->partition_count, wanted,
                of->uses[i] & WAL ? " (a WAL that holds nothing yet may be deleted and created anew)"
                                  : " (adding partitions to a topic in use moves keys: better create it anew)");
}

static void take_setting(void *self, const char *name, const char *value)
{
    check *of = self;
    if (strcmp(name, "cleanup.policy") == 0)
        of->compacted = strstr(value, "compact") != NULL;
    else if (strcmp(name, "retention.ms") == 0)
        rfm_integer_parse(rfm_text(value), &of->retention_ms);
    else if (strcmp(name, "retention.bytes") == 0)
        rfm_integer_parse(rfm_text(value), &of->retention_bytes);
    else if (strcmp(name, "max.message.bytes") == 0)
        rfm_integer_parse(rfm_text(value), &of->message_bytes);
}

/* An idle task writes often enough for a retention by time; how fast the WAL grows, nobody knows beforehand. */
static void warn_of_retention(const check *of)
{
    if (of->retention_bytes < 0)
        return;
    rfm__kafka_log(
        of->conf, RFM_KAFKA_LOG_WARNING,
        "topic '%s' keeps %lld bytes of a partition: under load, records that a take-over or a Redis restored "
        "from a backup needs may be deleted early; better let time alone decide: kafka-configs.sh "
        "--bootstrap-server %s --alter --topic %s --add-config retention.bytes=-1",
        of->conf->wal, (long long)of->retention_bytes, of->conf->brokers, of->conf->wal);
}

/* Without permission to see the settings we must take them for what they should be. */
static int judge_wal(check *of, rfm_error *error)
{
    const char *wal = of->conf->wal;
    of->message_bytes = INT64_MAX;
    int code = rfm__admin_settings(&of->admin, wal, take_setting, of, error);
    if (code == RFM_E_DENIED) {
        rfm__kafka_log(of->conf, RFM_KAFKA_LOG_WARNING,
                       "the settings of the WAL topic '%s' cannot be checked: grant "
                       "DESCRIBE_CONFIGS on it",
                       wal);
        of->retention_ms = 4 * RFM_HOUR_MS;
        return RFM_OK;
    }
    if (code == RFM_OK && of->compacted)
        problem(of, RFM_E_REFUSED,
                "topic '%s' is compacted, which removes records that a take-over needs: kafka-configs.sh "
                "--bootstrap-server %s --alter --topic %s --add-config cleanup.policy=delete",
                wal, of->conf->brokers, wal);
    if (code == RFM_OK && of->message_bytes < WAL_MESSAGE_BYTES)
        problem(of, RFM_E_REFUSED,
                "topic '%s' takes messages of at most %lld bytes, but %d are needed: kafka-configs.sh "
                "--bootstrap-server %s --alter --topic %s --add-config max.message.bytes=1048588",
                wal, (long long)of->message_bytes, WAL_MESSAGE_BYTES, of->conf->brokers, wal);
    if (code == RFM_OK)
        warn_of_retention(of);
    return code;
}

static void judge_topics(check *of)
{
    for (size_t i = 0; i < of->count; i++) {
        judge_presence(of, i);
        if (of->states[i].code != RD_KAFKA_RESP_ERR_NO_ERROR)
            continue;
        judge_permission(of, i);
        judge_partitions(of, i);
    }
}

/* -- the whole */

static int run_check(check *of, rfm_topics *topics, rfm_error *error)
{
    int code = rfm__admin_cluster_id(&of->admin, topics->cluster_id, error);
    if (code == RFM_OK)
        code = look(of, 3, error);
    if (code == RFM_OK && of->wish->create && any_missing(of))
        code = create_missing(of, error);
    if (code != RFM_OK)
        return code;
    judge_topics(of);
    const rfm__topic_state *wal = state_of(of, of->conf->wal);
    return wal->code == RD_KAFKA_RESP_ERR_NO_ERROR ? judge_wal(of, error) : RFM_OK;
}

static void fill_in(const check *of, rfm_topics *topics)
{
    topics->partition_count = partitions_wanted(of);
    for (size_t i = 0; i < of->conf->input_count; i++)
        memcpy(topics->input_id[i], state_of(of, of->conf->input_topic[i])->id, RFM_TOPIC_ID_TEXT);
    memcpy(topics->wal_id, state_of(of, of->conf->wal)->id, RFM_TOPIC_ID_TEXT);
    topics->wal_idle_ms = of->retention_ms < 0 || of->retention_ms / 4 > RFM_DAY_MS ? RFM_DAY_MS : of->retention_ms / 4;
    if (topics->wal_idle_ms < RFM_SECOND_MS)
        topics->wal_idle_ms = RFM_SECOND_MS;
}

int rfm_topics_check(const rfm_kafka_conf *conf, const rfm_topics_wish *wish, rfm_topics *topics, rfm_error *error)
{
    check of = {.conf = conf, .wish = wish, .retention_ms = -1, .retention_bytes = -1};
    *topics = (rfm_topics){0};
    int code = rfm__admin_open(&of.admin, conf, wish->timeout_ms ? wish->timeout_ms : TIMEOUT_MS, error);
    if (code == RFM_OK) {
        add_topics(&of);
        code = run_check(&of, topics, error);
    }
    if (code == RFM_OK && of.problems > 0) {
        code = of.first.code;
        if (error)
            *error = of.first;
    }
    if (code == RFM_OK)
        fill_in(&of, topics);
    rfm__admin_close(&of.admin);
    free(of.states);
    free(of.uses);
    return code;
}
