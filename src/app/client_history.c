#include "client_history.h"
#include "record_text.h"

#include "adapter_conf.h"
#include "kafka/log_reader.h"

#include <rfm/base/arena.h>
#include <rfm/base/grow.h>
#include <rfm/base/hash.h>
#include <rfm/base/json.h>
#include <rfm/base/table.h>
#include <rfm/base/time.h>
#include <rfm/base/utf8.h>
#include <rfm/event/decode.h>
#include <rfm/rule/decide.h>
#include <rfm/rule/notes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <yyjson.h>

enum { BYTES_MAX = 256 << 20, LINE_MAX_BYTES = 4 << 20, ID_TEXT = 32, PROGRESS_MS = 100 };

/* A client that is asked for. */
struct asked {
    rfm_bytes id;
    bool has_state, has_entry;
};

/* Sorted by client, then time; of one moment as they stand on the topics, what is only in the state after that. */
struct entry {
    uint32_t client;
    uint32_t topic; /* UINT32_MAX: only in the state */
    uint32_t partition;
    int64_t time_ms, offset; /* only in the state: in its order */
    bool sent;
    char id[ID_TEXT];
    rfm_bytes line;
};

struct rfm_client_history {
    const rfm_config *config;
    rfm_arena arena; /* ids and lines */
    struct asked *asked;
    size_t asked_count, asked_size;
    rfm_table by_id;
    struct entry *entries;
    size_t entry_count, entry_size;
    rfm_buffer line;
    const char *topics[RFM_TOPICS_MAX + 1]; /* of triggers, then the audit */
    size_t topic_count;
    int64_t since_ms, shown_ms;
    uint64_t unreadable;
};

/* -- clients */

static uint32_t client_of(const rfm_client_history *history, rfm_bytes id)
{
    uint32_t found;
    size_t cursor = RFM_TABLE_START;
    while ((found = rfm_table_find(&history->by_id, rfm_hash64(id), &cursor)) != RFM_TABLE_NONE)
        if (rfm_bytes_equal(history->asked[found].id, id))
            break;
    return found;
}

void rfm_client_history_ask(rfm_client_history *history, const char *client_id)
{
    rfm_bytes id = rfm_text(client_id);
    if (client_of(history, id) != RFM_TABLE_NONE)
        return;
    history->asked = rfm_grow(history->asked, history->asked_count, &history->asked_size);
    rfm_table_add(&history->by_id, rfm_hash64(id), (uint32_t)history->asked_count);
    history->asked[history->asked_count++] = (struct asked){.id = rfm_arena_copy(&history->arena, id)};
}

/* -- entries */

static int add_entry(rfm_client_history *history, struct entry entry, rfm_error *error)
{
    if (history->line.bad || history->arena.used_bytes + history->line.len > BYTES_MAX)
        return rfm_fail(error, RFM_E_FULL,
                        "more than %d MiB of records: ask for fewer clients at a time, or for less by --since",
                        BYTES_MAX >> 20);
    entry.line = rfm_arena_copy(&history->arena, rfm_buffer_view(&history->line));
    history->entries = rfm_grow(history->entries, history->entry_count, &history->entry_size);
    history->entries[history->entry_count++] = entry;
    history->asked[entry.client].has_entry = true;
    return RFM_OK;
}

static void write_place(rfm_buffer *line, const rfm_log_record *record)
{
    rfm_write_text(line, ",\"topic\":");
    rfm_write_json_string(line, rfm_text(record->topic));
    rfm_write_format(line, ",\"partition\":%u,\"offset\":%lld}\n", record->partition, (long long)record->offset);
}

/* The record's own JSON, on one line and with its numbers as written, and where it stands. */
static bool write_record(rfm_buffer *line, yyjson_val *value, bool sent, const rfm_log_record *record)
{
    size_t len;
    char *text = yyjson_val_write(value, 0, &len);
    if (text == NULL)
        return false;
    rfm_buffer_clear(line);
    rfm_write_bytes(line, rfm_bytes_of(text, len - 1)); /* without the brace */
    free(text);
    if (sent)
        rfm_write_text(line, ",\"suppressed_by\":null,\"status\":\"sent\"");
    else
        rfm_write_text(line, ",\"status\":\"held_back\"");
    write_place(line, record);
    return true;
}

static uint32_t topic_of(const rfm_client_history *history, const char *name)
{
    uint32_t i = 0;
    while (i < history->topic_count && strcmp(history->topics[i], name) != 0)
        i++;
    return i;
}

/* Somebody else's record under a client's key is not ours to show. */
static int take_trigger(rfm_client_history *history, uint32_t client, const rfm_log_record *record, yyjson_val *root,
                        rfm_error *error)
{
    struct entry entry = {.client = client,
                          .topic = topic_of(history, record->topic),
                          .partition = record->partition,
                          .offset = record->offset};
    yyjson_val *value = rfm_record_in(root);
    const char *time = yyjson_get_str(yyjson_obj_get(value, "time")), *id = yyjson_get_str(yyjson_obj_get(value, "id"));
    entry.sent = yyjson_get_str(yyjson_obj_get(value, "suppressed_by")) == NULL;
    if (time == NULL || id == NULL || strlen(id) != ID_TEXT || yyjson_obj_get(value, "rule") == NULL ||
        rfm_time_parse(rfm_text(time), &entry.time_ms) != RFM_OK ||
        !write_record(&history->line, value, entry.sent, record)) {
        history->unreadable++;
        return RFM_OK;
    }
    memcpy(entry.id, id, ID_TEXT);
    return add_entry(history, entry, error);
}

static int take_record(void *owner, const rfm_log_record *record, rfm_error *error)
{
    rfm_client_history *history = owner;
    uint32_t client = client_of(history, record->key);
    if (client == RFM_TABLE_NONE)
        return RFM_OK;
    yyjson_doc *document = yyjson_read((const char *)record->value.at, record->value.len, YYJSON_READ_NUMBER_AS_RAW);
    if (document == NULL) {
        history->unreadable++;
        return RFM_OK;
    }
    int code = take_trigger(history, client, record, yyjson_doc_get_root(document), error);
    yyjson_doc_free(document);
    return code;
}

/* -- what the state remembers */

static void write_remembered(const rfm_client_history *history, rfm_buffer *line, uint32_t client, const rfm_note *note,
                             bool sent)
{
    rfm_buffer_clear(line);
    if (note->has_id)
        rfm_write_format(line, "{\"id\":\"%.*s\",\"rule\":", RFM_NOTE_ID_LEN, note->id);
    else
        rfm_write_text(line, "{\"id\":null,\"rule\":");
    rfm_write_json_string(line, note->rule);
    rfm_write_text(line, ",\"class\":null,\"client_id\":");
    rfm_write_json_string(line, history->asked[client].id);
    rfm_write_text(line, ",\"time\":");
    rfm_write_json_time(line, note->time_ms);
    rfm_write_format(line,
                     ",\"cause\":null,\"channel\":null,\"template\":null,\"variant\":null,\"promo\":null,\"data\":null,"
                     "\"client\":null,\"rules_version\":null,\"suppressed_by\":null,\"status\":\"%s\","
                     "\"topic\":null,\"partition\":null,\"offset\":null}\n",
                     sent ? "sent" : "due");
}

static int add_remembered(rfm_client_history *history, uint32_t client, const rfm_note *notes, size_t count, bool sent,
                          rfm_error *error)
{
    int code = RFM_OK;
    for (size_t i = 0; code == RFM_OK && i < count; i++) {
        struct entry entry = {.client = client,
                              .topic = UINT32_MAX,
                              .offset = (int64_t)history->entry_count,
                              .sent = sent,
                              .time_ms = notes[i].time_ms};
        if (notes[i].has_id)
            memcpy(entry.id, notes[i].id, sizeof notes[i].id);
        write_remembered(history, &history->line, client, &notes[i], sent);
        code = add_entry(history, entry, error);
    }
    return code;
}

int rfm_client_history_state(rfm_client_history *history, const char *client_id, rfm_bytes packed,
                             const rfm_names *names, rfm_error *error)
{
    static _Thread_local rfm_client state;
    uint32_t client = client_of(history, rfm_text(client_id));
    RFM_ASSERT(client != RFM_TABLE_NONE);
    if (history->asked[client].has_state)
        return RFM_OK;
    int code = rfm_client_decode(packed, &state);
    if (code == RFM_OK)
        code = rfm_slots_check(rfm_bytes_of(state.slots, state.slots_len));
    if (code != RFM_OK)
        return rfm_fail(error, code, "client '%s': %s", client_id, rfm_error_text(code));
    history->asked[client].has_state = true;
    rfm_notes notes;
    rfm_notes_read(&notes, rfm_text(client_id), &state, names);
    code = add_remembered(history, client, notes.sent, notes.sent_count, true, error);
    return code ? code : add_remembered(history, client, notes.due, notes.due_count, false, error);
}

/* -- reading */

static void show_progress(void *owner, int64_t read, int64_t all)
{
    rfm_client_history *history = owner;
    int64_t now_ms = rfm_clock_steady_ms();
    if (!isatty(STDERR_FILENO) || (read < all && now_ms - history->shown_ms < PROGRESS_MS))
        return;
    history->shown_ms = now_ms;
    if (read < all)
        fprintf(stderr, "\r%lld of %lld records", (long long)read, (long long)all);
    else
        fputs("\r\033[K", stderr);
}

/* A user's own partitioner may put keys anywhere. */
static bool has_own_partitioner(const rfm_kafka_conf *kafka)
{
    const rfm_kafka_properties *all[] = {&kafka->properties, &kafka->producer};
    for (size_t i = 0; i < 2; i++)
        for (size_t k = 0; k < all[i]->count; k++)
            if (strcmp(all[i]->at[k].name, "partitioner") == 0)
                return true;
    return false;
}

/* The service's outputs go by murmur2 of the key, whatever the inputs do. */
static int add_partitions(const rfm_client_history *history, rfm_log_reader *reader, const char *topic, bool every,
                          rfm_error *error)
{
    uint32_t count;
    int code = rfm_log_reader_partitions(reader, topic, &count, error);
    if (code != RFM_OK)
        return code;
    for (uint32_t i = 0; every && i < count; i++)
        rfm_log_reader_add(reader, topic, i);
    for (size_t i = 0; !every && i < history->asked_count; i++)
        rfm_log_reader_add(reader, topic, rfm_partition_of(RFM_PARTITIONER_MURMUR2, history->asked[i].id, count));
    return RFM_OK;
}

static int read_topics(rfm_client_history *history, const rfm_kafka_conf *kafka, const rfm_history_wish *wish,
                       rfm_error *error)
{
    rfm_log_reader *reader = NULL;
    const rfm_log_wish reading = {
        .since_ms = wish->since_ms, .each = take_record, .progress = show_progress, .owner = history};
    bool every = wish->every_partition || has_own_partitioner(kafka);
    int code = rfm_log_reader_new(kafka, &reader, error);
    for (size_t i = 0; code == RFM_OK && i < history->topic_count; i++)
        code = add_partitions(history, reader, history->topics[i], every, error);
    if (code == RFM_OK)
        code = rfm_log_reader_run(reader, &reading, error);
    rfm_log_reader_free(reader);
    return code;
}

static int by_id(const void *a, const void *b)
{
    const struct entry *first = *(const struct entry *const *)a, *second = *(const struct entry *const *)b;
    int order = memcmp(first->id, second->id, ID_TEXT);
    if (order == 0)
        order = (first->topic > second->topic) - (first->topic < second->topic);
    return order;
}

/* What the state remembers and a topic has too is told once: as on the topic. What is older than asked for is not
 * told. */
static void drop_known(rfm_client_history *history)
{
    size_t sent = 0, kept = 0;
    struct entry **sends = malloc((history->entry_count + 1) * sizeof(struct entry *));
    RFM_NEED(sends != NULL);
    for (size_t i = 0; i < history->entry_count; i++)
        if (history->entries[i].sent && history->entries[i].id[0] != 0)
            sends[sent++] = &history->entries[i];
    qsort(sends, sent, sizeof(struct entry *), by_id);
    for (size_t i = 1; i < sent; i++)
        if (sends[i]->topic == UINT32_MAX && memcmp(sends[i]->id, sends[i - 1]->id, ID_TEXT) == 0)
            sends[i]->line.len = 0;
    free(sends);
    for (size_t i = 0; i < history->entry_count; i++) {
        struct entry *entry = &history->entries[i];
        bool early = entry->topic == UINT32_MAX && entry->sent && entry->time_ms < history->since_ms;
        if (entry->line.len > 0 && !early)
            history->entries[kept++] = *entry;
    }
    history->entry_count = kept;
}

static int by_place(const void *a, const void *b)
{
    const struct entry *first = a, *second = b;
#define ORDER_BY(field)                \
    if (first->field != second->field) \
    return first->field < second->field ? -1 : 1
    ORDER_BY(client);
    ORDER_BY(time_ms);
    ORDER_BY(topic);
    ORDER_BY(partition);
    ORDER_BY(offset);
#undef ORDER_BY
    return 0;
}

int rfm_client_history_read(rfm_client_history *history, const rfm_history_wish *wish, rfm_error *error)
{
    const char *trigger_topics[RFM_TOPICS_MAX];
    rfm_kafka_conf kafka;
    rfm_kafka_conf_of(history->config, &kafka, trigger_topics);
    history->topic_count = 0;
    for (size_t i = 0; i < kafka.trigger_topic_count; i++)
        history->topics[history->topic_count++] = kafka.trigger_topics[i];
    history->topics[history->topic_count++] = kafka.audit;
    history->since_ms = wish->since_ms;
    int code = read_topics(history, &kafka, wish, error);
    show_progress(history, 1, 1);
    rfm_kafka_conf_drop(&kafka);
    if (code != RFM_OK)
        return code;
    drop_known(history);
    if (history->entry_count > 0)
        qsort(history->entries, history->entry_count, sizeof *history->entries, by_place);
    if (history->unreadable > 0)
        fprintf(stderr, "rfmd client: %llu records under these keys are not triggers of rfmd, and not shown\n",
                (unsigned long long)history->unreadable);
    return RFM_OK;
}

int rfm_client_history_print(const rfm_client_history *history)
{
    int code = RFM_OK;
    for (size_t i = 0; i < history->entry_count; i++)
        fwrite(history->entries[i].line.at, 1, history->entries[i].line.len, stdout);
    for (size_t i = 0; i < history->asked_count; i++) {
        const struct asked *asked = &history->asked[i];
        if (asked->has_state || asked->has_entry)
            continue;
        fprintf(stderr, "rfmd client: client '%.*s' is not known\n", (int)asked->id.len, (const char *)asked->id.at);
        code = RFM_E_NOT_FOUND;
    }
    return code;
}

/* -- the whole */

rfm_client_history *rfm_client_history_new(const rfm_config *config)
{
    rfm_client_history *history = calloc(1, sizeof *history);
    RFM_NEED(history != NULL);
    history->config = config;
    rfm_arena_init(&history->arena);
    rfm_buffer_init(&history->line, LINE_MAX_BYTES);
    rfm_table_init(&history->by_id, 64);
    return history;
}

void rfm_client_history_free(rfm_client_history *history)
{
    if (history == NULL)
        return;
    rfm_arena_release(&history->arena);
    rfm_buffer_release(&history->line);
    rfm_table_release(&history->by_id);
    free(history->asked);
    free(history->entries);
    free(history);
}
