/* Replies as hiredis' reader finds them in the stream, without an allocation each: the text lies in an arena that
 * whoever waits for the reply names. Limits hold while a reply is still coming in. RESP2 only; an array within an array
 * (SCAN) is flattened, and only as the last element. */
#ifndef RFM_REDIS_REPLY_H
#define RFM_REDIS_REPLY_H

#include "store.h"

#include <hiredis/read.h>
#include <rfm/base/arena.h>

typedef enum rfm_reply_kind {
    RFM_REPLY_TEXT, /* a bulk string: text */
    RFM_REPLY_STATUS,
    RFM_REPLY_ERROR,
    RFM_REPLY_NUMBER,
    RFM_REPLY_NIL,
    RFM_REPLY_ARRAY, /* elements; nil at NULL, a number as no bytes */
} rfm_reply_kind;

typedef struct rfm_reply {
    rfm_reply_kind kind;
    rfm_bytes text;
    rfm_bytes *elements;
    size_t count;
    rfm_bytes error; /* the first element that is an error; at NULL: none */
} rfm_reply;

typedef struct rfm_reply_reader {
    redisReader *reader;
    rfm_arena *arena; /* where the next reply's text goes; NULL: scratch, at least until the reply after it begins */
    rfm_arena scratch;
    rfm_store_limits limits;
    size_t reply_bytes; /* of the reply that is coming in */
    size_t flattened;   /* elements before the inner array's */
    const char *refused;
    rfm_reply reply;
} rfm_reply_reader;

void rfm__reply_reader_init(rfm_reply_reader *reader, const rfm_store_limits *limits);
void rfm__reply_reader_release(rfm_reply_reader *reader);
int rfm__reply_feed(rfm_reply_reader *reader, rfm_bytes bytes); /* RFM_E_NO_MEMORY, RFM_E_TOO_LARGE */
/* *reply NULL: not whole yet; else it lasts until the next call. RFM_E_MALFORMED, RFM_E_TOO_LARGE: the stream is
 * lost. */
int rfm__reply_next(rfm_reply_reader *reader, const rfm_reply **reply, rfm_error *error);

static inline bool rfm__reply_is_text(const rfm_reply *reply)
{
    return reply->kind == RFM_REPLY_TEXT || reply->kind == RFM_REPLY_NIL;
}
/* The error's first word is `code`. */
bool rfm__reply_says(rfm_bytes error, const char *code);
/* For messages: printable, short, and without the arguments that some servers repeat. */
void rfm__reply_quote(rfm_bytes error, char *text, size_t size);

#endif
