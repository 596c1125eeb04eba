#include "offsets.h"

#include <rfm/base/time.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    TIMEOUT_MS = 5000,
    LEADERS_TIMEOUT_MIN_MS = 50,
    LEADERS_TIMEOUT_MAX_MS = 2000,
    LEADERS_RETRY_MS = 500,
    LEADERS_KNOWN_MS = 60000,
    LEADERS_KEPT_MS = 300000, /* less than librdkafka keeps them (metadata.max.age.ms) */
};

static const char *name_of(const rfm_kafka_conf *conf, size_t topic)
{
    return topic < conf->input_count ? conf->input_topic[topic] : conf->wal;
}

int rfm__asker_init(rfm__asker *asker, const rfm_kafka_conf *conf, rd_kafka_t *client, rfm_error *error)
{
    *asker = (rfm__asker){.conf = conf, .client = client};
    asker->led = calloc((conf->input_count + 1) * conf->partition_count, sizeof *asker->led);
    RFM_NEED(asker->led != NULL);
    for (size_t i = 0; i <= conf->input_count; i++) {
        const char *name = name_of(conf, i);
        asker->topics[i] = rd_kafka_topic_new(client, name, NULL);
        if (asker->topics[i] == NULL)
            return rfm_fail(error, RFM_E_MALFORMED, "topic '%s': %s", name, rd_kafka_err2str(rd_kafka_last_error()));
    }
    return RFM_OK;
}

void rfm__asker_release(rfm__asker *asker)
{
    for (size_t i = 0; i <= RFM_INPUTS_MAX; i++)
        if (asker->topics[i])
            rd_kafka_topic_destroy(asker->topics[i]);
    memset(asker->topics, 0, sizeof asker->topics);
    free(asker->led);
    asker->led = NULL;
}

static const struct rd_kafka_metadata_topic *find_topic(const struct rd_kafka_metadata *metadata, const char *name)
{
    for (int i = 0; i < metadata->topic_cnt; i++)
        if (strcmp(metadata->topics[i].topic, name) == 0)
            return &metadata->topics[i];
    return NULL;
}

/* False: nobody leads any of them. What will not pass is known as well: whoever asks is told. */
static bool take_leaders(rfm__asker *asker, size_t topic, const struct rd_kafka_metadata_topic *told)
{
    uint32_t count = asker->conf->partition_count;
    bool any = false;
    if (told == NULL || rfm__kafka_passes(told->err))
        return false;
    for (uint32_t i = 0; i < count; i++)
        asker->led[topic * count + i] = told->err != RD_KAFKA_RESP_ERR_NO_ERROR;
    for (int i = 0; i < told->partition_cnt; i++)
        if (told->partitions[i].id >= 0 && (uint32_t)told->partitions[i].id < count)
            asker->led[topic * count + (uint32_t)told->partitions[i].id] = told->partitions[i].leader >= 0;
    for (uint32_t i = 0; i < count; i++) {
        any = any || asker->led[topic * count + i];
        asker->all_led = asker->all_led && asker->led[topic * count + i];
    }
    return any;
}

/* Of the topics that the client knows, which are those held. An answer that comes too late is lost, and asking again
 * with as much patience would not help: where brokers are far or slow it takes more. */
static void look_up_leaders(rfm__asker *asker)
{
    const struct rd_kafka_metadata *metadata;
    int64_t timeout_ms = asker->timeout_ms > 0 ? asker->timeout_ms : LEADERS_TIMEOUT_MIN_MS;
    rd_kafka_resp_err_t code = rd_kafka_metadata(asker->client, 0, NULL, &metadata, (int)timeout_ms);
    asker->tried_ms = rfm_clock_steady_ms();
    if (code == RD_KAFKA_RESP_ERR__TIMED_OUT)
        timeout_ms = timeout_ms * 2 < LEADERS_TIMEOUT_MAX_MS ? timeout_ms * 2 : LEADERS_TIMEOUT_MAX_MS;
    asker->timeout_ms = timeout_ms;
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    bool found = asker->all_led = true;
    for (size_t i = 0; i <= asker->conf->input_count; i++)
        found = take_leaders(asker, i, find_topic(metadata, name_of(asker->conf, i))) && found;
    rd_kafka_metadata_destroy(metadata);
    asker->known_ms = found ? asker->tried_ms : 0;
}

static bool is_known(const rfm__asker *asker, int64_t for_ms)
{
    return asker->known_ms != 0 && rfm_clock_steady_ms() - asker->known_ms < for_ms;
}

bool rfm__asker_ready(rfm__asker *asker)
{
    if (is_known(asker, asker->all_led ? LEADERS_KNOWN_MS : LEADERS_RETRY_MS))
        return true;
    /* It blocks the loop: a fifth of the time at most. */
    int64_t pause_ms = asker->timeout_ms * 4 > LEADERS_RETRY_MS ? asker->timeout_ms * 4 : LEADERS_RETRY_MS;
    if (asker->tried_ms == 0 || rfm_clock_steady_ms() - asker->tried_ms >= pause_ms)
        look_up_leaders(asker);
    return is_known(asker, LEADERS_KEPT_MS);
}

static bool is_led(const rfm__asker *asker, const rd_kafka_topic_partition_t *partition)
{
    RFM_ASSERT((uint32_t)partition->partition < asker->conf->partition_count);
    for (size_t i = 0; i <= asker->conf->input_count; i++)
        if (strcmp(name_of(asker->conf, i), partition->topic) == 0)
            return asker->led[i * asker->conf->partition_count + (uint32_t)partition->partition];
    return true;
}

/* Those that have a leader; if none has, all the same all, since there must be an answer. */
static rd_kafka_topic_partition_list_t *copy_led(const rfm__asker *asker,
                                                 const rd_kafka_topic_partition_list_t *partitions)
{
    rd_kafka_topic_partition_list_t *led = rd_kafka_topic_partition_list_new(partitions->cnt);
    for (int i = 0; i < partitions->cnt; i++)
        if (is_led(asker, &partitions->elems[i]))
            rd_kafka_topic_partition_list_add(led, partitions->elems[i].topic, partitions->elems[i].partition);
    if (led->cnt > 0)
        return led;
    rd_kafka_topic_partition_list_destroy(led);
    return rd_kafka_topic_partition_list_copy(partitions);
}

static int64_t spec_of(rfm__which which)
{
    return which == RFM__LOG_START ? (int64_t)RD_KAFKA_OFFSET_SPEC_EARLIEST : (int64_t)RD_KAFKA_OFFSET_SPEC_LATEST;
}

void rfm__offsets_ask(const rfm__asker *asker, const rd_kafka_topic_partition_list_t *partitions, rfm__which which,
                      uintptr_t tag, rd_kafka_queue_t *queue)
{
    char text[128];
    rd_kafka_topic_partition_list_t *asked = copy_led(asker, partitions);
    for (int i = 0; i < asked->cnt; i++)
        asked->elems[i].offset = spec_of(which);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(asker->client, RD_KAFKA_ADMIN_OP_LISTOFFSETS);
    rd_kafka_AdminOptions_set_request_timeout(options, TIMEOUT_MS, text, sizeof text);
    rd_kafka_AdminOptions_set_opaque(options, (void *)tag);
    rd_kafka_error_destroy(rd_kafka_AdminOptions_set_isolation_level(
        options, which == RFM__STABLE_END ? RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED
                                          : RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED));
    rd_kafka_ListOffsets(asker->client, asked, options, queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_topic_partition_list_destroy(asked);
}

/* librdkafka forgets the topic's leaders with such an answer. */
static bool forgets_leaders(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION || code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
}

const rd_kafka_topic_partition_t *rfm__offsets_at(rfm__asker *asker, rd_kafka_event_t *event, size_t i, size_t *count)
{
    const rd_kafka_ListOffsets_result_t *result = rd_kafka_event_ListOffsets_result(event);
    *count = 0;
    if (result == NULL || rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return NULL;
    const rd_kafka_ListOffsetsResultInfo_t **infos = rd_kafka_ListOffsets_result_infos(result, count);
    if (i >= *count)
        return NULL;
    const rd_kafka_topic_partition_t *partition = rd_kafka_ListOffsetsResultInfo_topic_partition(infos[i]);
    if (forgets_leaders(partition->err))
        asker->known_ms = 0;
    return partition;
}

static uintptr_t tag_of(rd_kafka_event_t *event)
{
    return (uintptr_t)rd_kafka_event_opaque(event);
}

void rfm__round_init(rfm__round *round, rfm__asker *asker, rfm__wake *wake)
{
    *round = (rfm__round){.asker = asker, .queue = rd_kafka_queue_new(asker->client)};
    rfm__wake_watch(wake, round->queue);
}

void rfm__round_release(rfm__round *round)
{
    if (round->queue)
        rd_kafka_queue_destroy(round->queue);
    round->queue = NULL;
}

void rfm__round_ask(rfm__round *round, const rd_kafka_topic_partition_list_t *partitions, const rfm__which *which,
                    size_t which_count)
{
    RFM_ASSERT(round->waiting == 0);
    round->error = RD_KAFKA_RESP_ERR_NO_ERROR;
    for (size_t i = 0; i < which_count; i++)
        rfm__offsets_ask(round->asker, partitions, which[i], (uintptr_t)which[i], round->queue);
    round->waiting = (int)which_count;
}

static void note_error(rfm__round *round, rd_kafka_resp_err_t code, const char *text)
{
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    round->error = code;
    snprintf(round->why, sizeof round->why, "%s", text ? text : rd_kafka_err2str(code));
}

bool rfm__round_take(rfm__round *round,
                     void (*each)(void *self, rfm__which which, const rd_kafka_topic_partition_t *partition),
                     void *self)
{
    bool done = false;
    rd_kafka_event_t *event;
    while ((event = rd_kafka_queue_poll(round->queue, 0)) != NULL) {
        note_error(round, rd_kafka_event_error(event), rd_kafka_event_error_string(event));
        size_t count = 1;
        for (size_t i = 0; i < count; i++) {
            const rd_kafka_topic_partition_t *partition = rfm__offsets_at(round->asker, event, i, &count);
            if (partition == NULL)
                continue;
            note_error(round, partition->err, NULL);
            if (partition->err == RD_KAFKA_RESP_ERR_NO_ERROR && partition->offset >= 0)
                each(self, (rfm__which)tag_of(event), partition);
        }
        done = --round->waiting == 0;
        rd_kafka_event_destroy(event);
    }
    return done;
}
