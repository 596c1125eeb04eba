#include "wal_reader.h"

#include "clients.h"
#include "position.h"
#include "wal_stream.h"
#include "wal_tail.h"

#include <stdlib.h>

enum { TICK_MS = 50 };

struct rfm_wal_reader {
    rfm_consumer *consumer;
    rfm__wake wake;
    rfm__positions *positions;
    rfm__wal_streams *streams;
    rfm__wal_tails *tails;
};

static void on_woken(void *self)
{
    rfm_wal_reader *reader = self;
    rfm__positions_serve(reader->positions);
    rfm__wal_streams_serve(reader->streams);
    rfm__wal_tails_serve(reader->tails);
}

void rfm_wal_reader_position(rfm_wal_reader *reader, uint32_t task, uint32_t term)
{
    rfm__consumer_hold(reader->consumer, task);
    rfm__wal_streams_forget(reader->streams, task);
    rfm__wal_tails_forget(reader->tails, task);
    rfm__positions_ask(reader->positions, task, term);
    rfm__wake_now(&reader->wake);
}

void rfm_wal_reader_wal(rfm_wal_reader *reader, uint32_t task, uint32_t term, int64_t from, int64_t until)
{
    rfm__wal_streams_ask(reader->streams, task, term, from, until);
    rfm__wake_now(&reader->wake);
}

void rfm_wal_reader_tail(rfm_wal_reader *reader, uint32_t task, uint32_t term)
{
    rfm__wal_tails_ask(reader->tails, task, term);
    rfm__wake_now(&reader->wake);
}

void rfm_wal_reader_forget(rfm_wal_reader *reader, uint32_t task)
{
    rfm__positions_forget(reader->positions, task);
    rfm__wal_streams_forget(reader->streams, task);
    rfm__wal_tails_forget(reader->tails, task);
}

int rfm_wal_reader_new(const rfm_kafka_conf *conf, uv_loop_t *loop, const rfm_kafka_owner *owner,
                       rfm_consumer *consumer, rfm_wal_reader **made, rfm_error *error)
{
    rfm_wal_reader *reader = calloc(1, sizeof *reader);
    RFM_NEED(reader);
    reader->consumer = consumer;
    rd_kafka_t *fetcher = rfm__consumer_fetch_client(consumer), *member = rfm__consumer_member_client(consumer);
    rfm__asker *asker = rfm__consumer_asker(consumer);
    int code = rfm__wake_init(&reader->wake, loop, TICK_MS, on_woken, reader, error);
    if (code != RFM_OK) {
        free(reader);
        return code;
    }
    code = rfm__wal_streams_new(conf, owner, fetcher, asker, &reader->wake, &reader->streams, error);
    if (code != RFM_OK) {
        rfm_wal_reader_free(reader);
        return code;
    }
    reader->positions = rfm__positions_new(conf, owner, member, asker, &reader->wake);
    reader->tails = rfm__wal_tails_new(conf, owner, asker, &reader->wake);
    *made = reader;
    return RFM_OK;
}

static void on_handles_closed(void *self)
{
    free(self);
}

void rfm_wal_reader_free(rfm_wal_reader *reader)
{
    if (reader == NULL)
        return;
    rfm__positions_free(reader->positions);
    rfm__wal_streams_free(reader->streams);
    rfm__wal_tails_free(reader->tails);
    rfm__wake_close(&reader->wake, on_handles_closed);
}
