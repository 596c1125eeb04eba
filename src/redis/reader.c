#include "reader.h"

#include "site.h"
#include "wire.h"

#include <rfm/base/hash.h>
#include <rfm/base/table.h>
#include <stdio.h>
#include <stdlib.h>

enum { SCAN_COUNT = 1000, HASHES_AT_ONCE = 64, HOPS_MAX = 8 };

/* The same wire as a worker's, on a loop of its own that runs only while an answer is awaited. */
struct rfm_store_reader {
    uv_loop_t loop;
    uv_timer_t timer;
    rfm_site site;
    rfm_wire *wire;           /* NULL: not connected */
    const rfm_endpoint *peer; /* the wire's, or the last one's: a seed or `node` */
    rfm_endpoint node;        /* where we were sent */
    bool met, moved;          /* meta is ours; what was asked for is at `node` */
    rfm_request *request;     /* the greeting under way, or NULL */
    bool done, broken;
    int code; /* why broken */
    char why[RFM_WHY_MAX];
    rfm_reply reply, *replies; /* replies: where they go */
    size_t expected, seen;
    rfm_arena arena; /* for what the call under way is answered */
};

static void on_ready(void *owner)
{
    rfm_store_reader *reader = owner;
    reader->done = true;
}

static void on_broken(void *owner, const char *why)
{
    rfm_store_reader *reader = owner;
    reader->broken = true;
    reader->code = RFM_E_AWAY;
    snprintf(reader->why, sizeof reader->why, "%s", why);
}

static void on_timer(uv_timer_t *timer)
{
    on_broken(timer->data, "no answer in time");
}

static void take_greeting(rfm_store_reader *reader, const rfm_reply *reply)
{
    char why[RFM_WHY_MAX];
    rfm_verdict verdict = rfm__request_feed(reader->request, reply, why);
    bool denied = reply->kind == RFM_REPLY_ERROR &&
                  (rfm__reply_says(reply->text, "WRONGPASS") || rfm__reply_says(reply->text, "NOAUTH") ||
                   rfm__reply_says(reply->text, "NOPERM"));
    reader->done = reader->request->seen == reader->request->expected;
    if (verdict == RFM_GOES_ON)
        return;
    on_broken(reader, why);
    reader->code = verdict == RFM_REFUSE ? RFM_E_REFUSED : denied ? RFM_E_DENIED : RFM_E_AWAY;
}

static void on_reply(void *owner, const rfm_reply *reply)
{
    rfm_store_reader *reader = owner;
    if (reader->broken || reader->done)
        return;
    if (reply->kind == RFM_REPLY_ERROR && reader->site.address.layout == RFM_CLUSTER &&
        rfm__endpoint_moved(reply->text, reader->peer, &reader->node))
        reader->moved = true;
    if (reader->request && !reader->moved) {
        take_greeting(reader, reply);
        return;
    }
    reader->replies[reader->seen] = *reply;
    reader->done = ++reader->seen == reader->expected;
}

static void hang_up(rfm_store_reader *reader)
{
    if (reader->wire)
        rfm__wire_close(reader->wire);
    reader->wire = NULL;
}

static int fail(const rfm_store_reader *reader, int code, const char *why, rfm_error *error)
{
    bool sentinel = reader->site.address.layout == RFM_SENTINEL && reader->peer != &reader->node;
    return rfm_fail(error, code, "%s at %s: %s", sentinel ? "Sentinel" : "Redis", reader->peer->name, why);
}

/* Until it is done, or the connection is given up. */
static int wait_for(rfm_store_reader *reader, rfm_error *error)
{
    uv_update_time(&reader->loop); /* it has stood still since the last call */
    uv_timer_start(&reader->timer, on_timer, reader->site.timeout_ms, 0);
    while (!reader->done && !reader->broken)
        uv_run(&reader->loop, UV_RUN_ONCE);
    uv_timer_stop(&reader->timer);
    if (!reader->broken)
        return RFM_OK;
    hang_up(reader);
    return fail(reader, reader->code, reader->why, error);
}

static int ask_many(rfm_store_reader *reader, rfm_reply *replies, size_t count, rfm_error *error)
{
    reader->done = reader->broken = reader->moved = false;
    reader->replies = replies;
    reader->expected = count;
    reader->seen = 0;
    rfm__wire_room(reader->wire, &reader->arena);
    rfm__wire_flush(reader->wire);
    return wait_for(reader, error);
}

static int ask(rfm_store_reader *reader, rfm_error *error)
{
    return ask_many(reader, &reader->reply, 1, error);
}

static int connect_to(rfm_store_reader *reader, const rfm_endpoint *peer, rfm_error *error)
{
    static const rfm_wire_calls calls = {on_ready, on_reply, on_broken};
    rfm_error why;
    int code = RFM_E_AWAY;
    hang_up(reader);
    reader->peer = peer;
    for (uint32_t attempt = 0; code == RFM_E_AWAY && attempt < 2; attempt++) { /* localhost has two addresses */
        rfm_wire_conf conf = {peer, reader->site.tls, &reader->site.limits, attempt};
        reader->done = reader->broken = false;
        if (rfm__wire_new(&reader->loop, &conf, &calls, reader, &reader->wire, &why)) {
            reader->wire = NULL;
            return fail(reader, why.code, why.message, error);
        }
        code = wait_for(reader, error);
    }
    return code;
}

static int ask_master(rfm_store_reader *reader, rfm_error *error)
{
    rfm_spares spares = {0};
    reader->request = rfm__request_take(&spares, RFM_REQUEST_LOCATE);
    rfm__locate_write(reader->request, &reader->site.identity, rfm__wire_out(reader->wire));
    int code = ask(reader, error);
    if (!code)
        reader->node = reader->request->locating.master;
    rfm__request_give(&spares, reader->request);
    rfm__requests_release(&spares);
    reader->request = NULL;
    return code ? code : connect_to(reader, &reader->node, error);
}

static int no_state(const rfm_store_reader *reader, rfm_error *error)
{
    return rfm_fail(
        error, RFM_E_NOT_FOUND,
        "Redis at %s: no rfmd keeps state under the prefix %s: are redis.url and redis.prefix the service's?",
        reader->peer->name, reader->site.identity.prefix);
}

static int greet(rfm_store_reader *reader, rfm_error *error)
{
    rfm_spares spares = {0};
    reader->request = rfm__request_take(&spares, RFM_REQUEST_GREET);
    rfm__visit_write(reader->request, &reader->site.identity, !reader->met, rfm__wire_out(reader->wire));
    int code = ask(reader, error);
    if (!code && !reader->moved && reader->request->greeting.meta_absent)
        code = no_state(reader, error);
    rfm__request_give(&spares, reader->request);
    rfm__requests_release(&spares);
    reader->request = NULL;
    reader->met = reader->met || (!code && !reader->moved);
    return code;
}

/* Where MOVED sent us, until it does so no more. */
static int follow(rfm_store_reader *reader, uint32_t *hops, rfm_error *error)
{
    int code = RFM_OK;
    while (!code && reader->moved) {
        if (++*hops > HOPS_MAX)
            return fail(reader, RFM_E_AWAY, "its nodes send us from one to the other", error);
        code = connect_to(reader, &reader->node, error);
        if (!code)
            code = greet(reader, error);
    }
    return code;
}

static int connect_once(rfm_store_reader *reader, rfm_error *error)
{
    const rfm_address *address = &reader->site.address;
    int code = RFM_E_AWAY;
    reader->met = false;
    for (size_t i = 0; code == RFM_E_AWAY && i < address->seed_count; i++) {
        uint32_t hops = 0;
        code = connect_to(reader, &address->seed[i], error);
        if (!code && address->layout == RFM_SENTINEL)
            code = ask_master(reader, error);
        if (!code)
            code = greet(reader, error);
        if (!code)
            code = follow(reader, &hops, error);
    }
    return code;
}

static int begin(rfm_store_reader *reader, rfm_error *error)
{
    rfm_arena_reset(&reader->arena);
    int code = reader->wire ? RFM_OK : connect_once(reader, error);
    if (code)
        hang_up(reader);
    return code;
}

static int refuse_reply(rfm_store_reader *reader, const char *command, rfm_error *error)
{
    static const char *const moving[] = {"MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN"};
    char why[RFM_WHY_MAX];
    int code = RFM_E_CORRUPT;
    rfm__unexpected(command, &reader->reply, why);
    for (size_t i = 0; reader->reply.kind == RFM_REPLY_ERROR && i < sizeof moving / sizeof *moving; i++)
        code = rfm__reply_says(reader->reply.text, moving[i]) ? RFM_E_AWAY : code;
    hang_up(reader);
    return fail(reader, code, why, error);
}

typedef struct question {
    const char *command;
    const rfm_bytes *keys;
    size_t count;
    rfm_bytes field; /* at NULL: none */
} question;

/* May be called again, for another node. */
static void write_question(rfm_store_reader *reader, const question *asked, const rfm_keyspace *space)
{
    rfm_buffer *out = rfm__wire_out(reader->wire);
    for (size_t i = 0; i < asked->count; i++) {
        rfm__command_begin(out, asked->field.at ? 3 : 2);
        rfm__command_text(out, asked->command);
        rfm__command_key(out, space, asked->keys[i]);
        if (asked->field.at)
            rfm__command_bytes(out, asked->field);
    }
}

static int ask_task(rfm_store_reader *reader, uint32_t task, const question *asked, rfm_reply *replies,
                    rfm_error *error)
{
    rfm_keyspace space;
    uint32_t hops = 0;
    int code = begin(reader, error);
    rfm__keyspace_init(&space, reader->site.identity.prefix, task, reader->site.partition_count);
    while (!code) {
        write_question(reader, asked, &space);
        code = ask_many(reader, replies, asked->count, error);
        if (code || !reader->moved)
            break;
        code = follow(reader, &hops, error);
    }
    return code;
}

static int ask_text(rfm_store_reader *reader, uint32_t task, const question *asked, rfm_bytes *value, rfm_error *error)
{
    int code = ask_task(reader, task, asked, &reader->reply, error);
    if (!code && !rfm__reply_is_text(&reader->reply))
        code = refuse_reply(reader, asked->command, error);
    *value = code ? RFM_BYTES_NONE : reader->reply.text;
    return code;
}

int rfm_store_reader_get(rfm_store_reader *reader, uint32_t task, rfm_bytes key, rfm_bytes *value, rfm_error *error)
{
    return ask_text(reader, task, &(question){"GET", &key, 1, RFM_BYTES_NONE}, value, error);
}

int rfm_store_reader_field(rfm_store_reader *reader, uint32_t task, rfm_bytes key, rfm_bytes field, rfm_bytes *value,
                           rfm_error *error)
{
    return ask_text(reader, task, &(question){"HGET", &key, 1, field}, value, error);
}

static int check_hashes(rfm_store_reader *reader, const rfm_reply *replies, size_t count, rfm_error *error)
{
    for (size_t i = 0; i < count; i++) {
        if (replies[i].kind == RFM_REPLY_ARRAY && replies[i].count % 2 == 0)
            continue;
        reader->reply = replies[i];
        return refuse_reply(reader, "HGETALL", error);
    }
    return RFM_OK;
}

int rfm_store_reader_hash(rfm_store_reader *reader, uint32_t task, rfm_bytes key, const rfm_bytes **values,
                          size_t *count, rfm_error *error)
{
    int code = ask_task(reader, task, &(question){"HGETALL", &key, 1, RFM_BYTES_NONE}, &reader->reply, error);
    if (!code)
        code = check_hashes(reader, &reader->reply, 1, error);
    *values = code ? NULL : reader->reply.elements;
    *count = code ? 0 : reader->reply.count;
    return code;
}

int rfm_store_reader_hashes(rfm_store_reader *reader, uint32_t task, const rfm_bytes *keys, size_t count,
                            rfm_store_reader_each_hash each, void *owner, rfm_error *error)
{
    rfm_reply replies[HASHES_AT_ONCE];
    int code = RFM_OK;
    for (size_t from = 0, some; !code && from < count; from += some) {
        some = count - from < HASHES_AT_ONCE ? count - from : HASHES_AT_ONCE;
        code = ask_task(reader, task, &(question){"HGETALL", keys + from, some, RFM_BYTES_NONE}, replies, error);
        if (!code)
            code = check_hashes(reader, replies, some, error);
        for (size_t i = 0; !code && i < some; i++)
            if (!each(owner, replies[i].elements, replies[i].count))
                return RFM_OK;
    }
    return code;
}

/* -- scan */

typedef struct key_scan {
    rfm_keyspace space;
    rfm_bytes cursor, start;
    char cursor_text[24];
    rfm_table seen; /* hashes of keys: SCAN may give one twice while others write */
} key_scan;

static void write_quoted(rfm_buffer *pattern, rfm_bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] && strchr("*?[]^\\", text.at[i]))
            rfm_write_u8(pattern, '\\');
        rfm_write_u8(pattern, text.at[i]);
    }
}

static void write_scan(const key_scan *scan, rfm_buffer *out)
{
    rfm_buffer pattern;
    rfm_buffer_init(&pattern, SIZE_MAX / 4);
    write_quoted(&pattern, rfm_bytes_of(scan->space.start, scan->space.start_len));
    write_quoted(&pattern, scan->start);
    rfm_write_u8(&pattern, '*');
    rfm__command_begin(out, 8);
    rfm__command_text(out, "SCAN");
    rfm__command_bytes(out, scan->cursor);
    rfm__command_text(out, "MATCH");
    rfm__command_bytes(out, rfm_buffer_view(&pattern));
    rfm__command_text(out, "COUNT");
    rfm__command_number(out, SCAN_COUNT);
    rfm__command_text(out, "TYPE");
    rfm__command_text(out, "string");
    rfm_buffer_release(&pattern);
}

static int read_values(rfm_store_reader *reader, const rfm_bytes *keys, size_t count, rfm_error *error)
{
    rfm_buffer *out = rfm__wire_out(reader->wire);
    rfm__command_begin(out, 1 + count);
    rfm__command_text(out, "MGET");
    for (size_t i = 0; i < count; i++)
        rfm__command_bytes(out, keys[i]);
    int code = ask(reader, error);
    if (!code && (reader->reply.kind != RFM_REPLY_ARRAY || reader->reply.count != count || reader->reply.error.at))
        code = refuse_reply(reader, "MGET", error);
    return code;
}

static bool is_new(key_scan *scan, rfm_bytes key)
{
    uint64_t hash = rfm_hash64(key);
    size_t cursor = RFM_TABLE_START;
    if (rfm_table_find(&scan->seen, hash, &cursor) != RFM_TABLE_NONE)
        return false;
    rfm_table_add(&scan->seen, hash, 0);
    return true;
}

static bool hand_over(const rfm_store_reader *reader, key_scan *scan, const rfm_bytes *keys, rfm_store_reader_each each,
                      void *owner)
{
    size_t start_len = scan->space.start_len + scan->start.len;
    for (size_t i = 0; i < reader->reply.count; i++) {
        rfm_bytes value = reader->reply.elements[i];
        if (!value.at || keys[i].len < start_len || !is_new(scan, keys[i]))
            continue; /* gone meanwhile, or come again */
        if (!each(owner, rfm_bytes_of(keys[i].at + start_len, keys[i].len - start_len), value))
            return false;
    }
    return true;
}

/* One page; *again: false at the end. */
static int scan_on(rfm_store_reader *reader, key_scan *scan, rfm_store_reader_each each, void *owner, bool *again,
                   rfm_error *error)
{
    rfm_arena_reset(&reader->arena);
    write_scan(scan, rfm__wire_out(reader->wire));
    int code = ask(reader, error);
    if (code)
        return code;
    const rfm_reply *reply = &reader->reply;
    if (reply->kind != RFM_REPLY_ARRAY || reply->count == 0 || reply->error.at ||
        reply->elements[0].len >= sizeof scan->cursor_text)
        return refuse_reply(reader, "SCAN", error);
    memcpy(scan->cursor_text, reply->elements[0].at, reply->elements[0].len);
    scan->cursor = rfm_bytes_of(scan->cursor_text, reply->elements[0].len);
    *again = !rfm_bytes_is(scan->cursor, "0");
    const rfm_bytes *keys = reply->elements + 1;
    size_t count = reply->count - 1;
    if (count == 0)
        return RFM_OK;
    code = read_values(reader, keys, count, error);
    if (!code && !hand_over(reader, scan, keys, each, owner))
        *again = false;
    return code;
}

static int scan_server(rfm_store_reader *reader, uint32_t task, rfm_bytes start, rfm_store_reader_each each,
                       void *owner, rfm_error *error)
{
    key_scan scan = {.start = start, .cursor = rfm_text("0")};
    int code = begin(reader, error);
    if (code)
        return code;
    rfm__keyspace_init(&scan.space, reader->site.identity.prefix, task, reader->site.partition_count);
    rfm_table_init(&scan.seen, SCAN_COUNT);
    bool again = true;
    while (again && !code)
        code = scan_on(reader, &scan, each, owner, &again, error);
    rfm_table_release(&scan.seen);
    return code;
}

/* A node of which some of the task's keys have gone says of a key that it does not have that another may have it
 * (ASK). */
static int all_keys_here(rfm_store_reader *reader, uint32_t task, rfm_error *error)
{
    rfm_bytes value;
    return rfm_store_reader_get(reader, task, rfm_text("no such key"), &value, error);
}

/* SCAN has no key by which MOVED could tell that it came to the wrong node. */
static int scan_node(rfm_store_reader *reader, uint32_t task, rfm_bytes start, rfm_store_reader_each each, void *owner,
                     rfm_error *error)
{
    int code = all_keys_here(reader, task, error);
    const rfm_endpoint node = *reader->peer;
    if (!code)
        code = scan_server(reader, task, start, each, owner, error);
    if (!code)
        code = all_keys_here(reader, task, error);
    if (!code && strcmp(node.name, reader->peer->name) != 0)
        code = fail(reader, RFM_E_AWAY, "keys have moved here while they were read: try again", error);
    return code;
}

int rfm_store_reader_scan(rfm_store_reader *reader, uint32_t task, rfm_bytes start, rfm_store_reader_each each,
                          void *owner, rfm_error *error)
{
    if (reader->site.address.layout == RFM_CLUSTER)
        return scan_node(reader, task, start, each, owner, error);
    return scan_server(reader, task, start, each, owner, error);
}

/* -- made and freed */

int rfm_store_reader_new(const rfm_store_conf *conf, rfm_store_reader **reader, rfm_error *error)
{
    *reader = NULL;
    rfm_store_reader *made = calloc(1, sizeof *made);
    RFM_NEED(made);
    int code = uv_loop_init(&made->loop);
    if (code != 0) {
        free(made);
        return rfm_fail(error, RFM_E_IO, "no event loop: %s", uv_strerror(code));
    }
    uv_timer_init(&made->loop, &made->timer);
    made->timer.data = made;
    rfm_arena_init(&made->arena);
    code = rfm__site_init(&made->site, conf, error);
    made->peer = &made->site.address.seed[0];
    if (!code)
        code = begin(made, error);
    if (code) {
        rfm_store_reader_free(made);
        return code;
    }
    *reader = made;
    return RFM_OK;
}

void rfm_store_reader_free(rfm_store_reader *reader)
{
    if (!reader)
        return;
    hang_up(reader);
    uv_close((uv_handle_t *)&reader->timer, NULL);
    uv_run(&reader->loop, UV_RUN_DEFAULT);
    RFM_ASSERT(uv_loop_close(&reader->loop) == 0);
    rfm__site_release(&reader->site);
    rfm_arena_release(&reader->arena);
    free(reader);
}

static int ask_meta(rfm_store_reader *reader, rfm_error *error)
{
    uint32_t hops = 0;
    int code = begin(reader, error);
    while (!code) {
        rfm_buffer *out = rfm__wire_out(reader->wire);
        rfm__command_begin(out, 2);
        rfm__command_text(out, "HGETALL");
        rfm__meta_key_write(&reader->site.identity, out);
        code = ask(reader, error);
        if (code || !reader->moved)
            break;
        code = follow(reader, &hops, error);
    }
    if (!code && reader->reply.kind != RFM_REPLY_ARRAY)
        code = refuse_reply(reader, "HGETALL", error);
    return code;
}

/* What a newer program has made is not to be guessed at. */
static int check_format(const rfm_store_reader *reader, rfm_error *error)
{
    rfm_bytes rest, text = rfm__meta_value(reader->reply.elements, reader->reply.count, "format");
    uint32_t format = rfm__format_of(text, &rest);
    if (format <= reader->site.format || reader->site.format == 0)
        return RFM_OK;
    return rfm_fail(error, RFM_E_VERSION,
                    "Redis at %s: %s:meta says format=%u, which a newer rfmd has made; this one, %s, knows up to %u: "
                    "run the newer one",
                    reader->peer->name, reader->site.identity.prefix, format, RFM_VERSION, reader->site.format);
}

int rfm_store_reader_partitions(rfm_store_reader *reader, uint32_t *count, rfm_error *error)
{
    int code = ask_meta(reader, error);
    if (code)
        return code;
    int64_t found;
    rfm_bytes partitions = rfm__meta_value(reader->reply.elements, reader->reply.count, "partitions");
    if (rfm_integer_parse(partitions, &found) != RFM_OK || found < 1 || found > RFM_TASKS_MAX)
        return no_state(reader, error);
    *count = reader->site.partition_count = (uint32_t)found;
    return check_format(reader, error);
}
