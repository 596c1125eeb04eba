#include "run.h"

#include <stdlib.h>

/* The JSON text is copied into the arena and parsed in place, so that texts are views into the copy; the parser's nodes
 * live in scratch memory that the next event uses again, and stays near. */

const char *rfm_reason_name(rfm_reason reason)
{
    static const char *const names[] = {"none",
#define X(NAME, name, text) #name,
                                        RFM_DEAD_LETTER_REASONS(X)
#undef X
    };
    return (unsigned)reason < RFM_REASON_COUNT ? names[reason] : "unknown";
}

const char *rfm_reason_text(rfm_reason reason)
{
    static const char *const texts[] = {"nothing is wrong",
#define X(NAME, name, text) text,
                                        RFM_DEAD_LETTER_REASONS(X)
#undef X
    };
    return (unsigned)reason < RFM_REASON_COUNT ? texts[reason] : "unknown";
}

const char *rfm_format_name(rfm_format format)
{
    static const char *const names[] = {
#define X(NAME, name) #name,
        RFM_FORMATS(X)
#undef X
    };
    return (unsigned)format < RFM_FORMAT_COUNT ? names[format] : "unknown";
}

const char *rfm_amount_field_name(rfm_amount_field field)
{
    static const char *const names[] = {
#define X(NAME, name) #name,
        RFM_AMOUNT_FIELDS(X)
#undef X
    };
    return (unsigned)field < RFM_AMOUNT_FIELD_COUNT ? names[field] : "unknown";
}

/* The parser takes one block for all nodes, and grows it: it is the decoder's scratch. */

static void *scratch_resize(void *context, void *block, size_t bytes_before, size_t bytes)
{
    rfm_decoder *decoder = context;
    (void)block, (void)bytes_before;
    if (bytes <= decoder->scratch_bytes)
        return decoder->scratch;
    void *scratch = realloc(decoder->scratch, bytes);
    RFM_NEED(scratch);
    decoder->scratch = scratch;
    decoder->scratch_bytes = bytes;
    return scratch;
}

static void *scratch_take(void *context, size_t bytes)
{
    return scratch_resize(context, NULL, 0, bytes);
}

static void scratch_give(void *context, void *block)
{
    (void)context, (void)block;
}

rfm_decoder *rfm_decoder_new(const rfm_money_conf *money)
{
    rfm_decoder *decoder = calloc(1, sizeof *decoder);
    RFM_NEED(decoder);
    decoder->money = money;
    decoder->allocator = (yyjson_alc){scratch_take, scratch_resize, scratch_give, decoder};
    rfm_arena_init(&decoder->arena);
    rfm__names_init(decoder);
    return decoder;
}

void rfm_decoder_free(rfm_decoder *decoder)
{
    if (!decoder)
        return;
    rfm_arena_release(&decoder->arena);
    free(decoder->scratch);
    free(decoder);
}

void rfm_decoder_reset(rfm_decoder *decoder)
{
    rfm_arena_reset(&decoder->arena);
}

/* The value with zeroes behind it, as the parser and `name_word` want them. */
static char *copy_padded(rfm_decoder *decoder, rfm_bytes value)
{
    enum { PADDING = YYJSON_PADDING_SIZE + NAME_WORD_BYTES };
    char *copy = rfm_arena_take(&decoder->arena, value.len + PADDING);
    memcpy(copy, value.at, value.len);
    memset(copy + value.len, 0, PADDING);
    return copy;
}

/* Field by field: the compiler would clear the whole with a string instruction, which takes longer to start. */
static inline void clear(rfm_event *event)
{
    event->id = event->client_id = event->order_id = event->channel = event->cart_id = RFM_BYTES_NONE;
    event->campaign = event->action = event->sku = event->category = event->trigger_id = RFM_BYTES_NONE;
    event->currency = RFM_BYTES_NONE;
    event->type = RFM_EVENT_PURCHASE, event->status = RFM_STATUS_SENT, event->class_ = RFM_CLASS_MARKETING;
    event->time_ms = event->amount_minor = 0;
    event->id48 = event->order_id48 = 0;
    event->amount = (rfm_decimal){0, 0};
    event->has_amount = event->permanent = event->granted = false;
    event->page = event->coupon = event->case_id = event->source = event->reason = RFM_BYTES_NONE;
    event->timezone = event->language = RFM_BYTES_NONE;
    event->categories = NULL, event->items = NULL, event->traits = NULL;
    event->category_count = event->item_count = event->trait_count = 0;
    event->has_margin = event->has_score = false;
    event->margin_minor = event->delta = 0;
    event->feedback = RFM_FEEDBACK_NPS, event->score = 0;
}

static inline yyjson_val *parse_object(decode_run *run, rfm_bytes text, const char *what)
{
    yyjson_read_err error;
    rfm_decoder *decoder = run->decoder;
    yyjson_doc *doc = yyjson_read_opts(copy_padded(decoder, text), text.len,
                                       YYJSON_READ_INSITU | YYJSON_READ_NUMBER_AS_RAW, &decoder->allocator, &error);
    if (!doc)
        refuse(run, RFM_REASON_MALFORMED, "%s%s at byte %zu", what, error.msg, error.pos);
    else if (yyjson_is_obj(yyjson_doc_get_root(doc)))
        return yyjson_doc_get_root(doc);
    else
        refuse(run, RFM_REASON_MALFORMED, "%sthe value is not an object", what);
    return NULL;
}

yyjson_val *rfm__parse_object(decode_run *run, rfm_bytes text, const char *what)
{
    return parse_object(run, text, what);
}

static inline void decode_root(decode_run *run, yyjson_val *root)
{
    switch (run->reading->format) {
    case RFM_FORMAT_NATIVE: rfm__decode_native(run, root); break;
    case RFM_FORMAT_SEGMENT: rfm__decode_segment(run, root); break;
    case RFM_FORMAT_GA4: rfm__decode_ga4(run, root); break;
    case RFM_FORMAT_CLOUDEVENTS: rfm__decode_cloudevent(run, root); break;
    case RFM_FORMAT_AUTO:
    case RFM_FORMAT_COUNT: rfm__decode_any(run, root); break;
    }
}

rfm_reason rfm_decode_as(rfm_decoder *decoder, const rfm_reading *reading, rfm_bytes value, rfm_bytes headers,
                         int64_t append_ms, rfm_event *event, rfm_fault *fault)
{
    decode_run run;
    run.decoder = decoder, run.event = event, run.fault = fault, run.reason = RFM_REASON_NONE;
    run.reading = reading, run.headers = headers, run.append_ms = append_ms;
    clear(event);
    if (value.len == 0) {
        refuse(&run, RFM_REASON_MALFORMED, "the record has no value");
        return run.reason;
    }
    if (value.len > RFM_EVENT_BYTES_MAX) {
        refuse(&run, RFM_REASON_TOO_LARGE, "the value has %zu bytes, at most %d are read", value.len,
               RFM_EVENT_BYTES_MAX);
        return run.reason;
    }
    yyjson_val *root = parse_object(&run, value, "");
    if (root)
        decode_root(&run, root);
    return run.reason;
}

rfm_reason rfm_decode(rfm_decoder *decoder, rfm_bytes value, int64_t append_ms, rfm_event *event, rfm_fault *fault)
{
    static const rfm_reading native = {0};
    return rfm_decode_as(decoder, &native, value, RFM_BYTES_NONE, append_ms, event, fault);
}
