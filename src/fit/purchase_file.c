#include "purchase_file.h"
#include "columns.h"
#include "csv.h"

#include <errno.h>
#include <rfm/base/hash.h>
#include <rfm/base/utf8.h>
#include <rfm/event/decode.h>
#include <stdio.h>
#include <stdlib.h>
#include <yyjson.h>

enum { PROGRESS_ROWS = 65536 };

/* Tells of a bad row; RFM_E_MALFORMED: it is one too many. */
static int pass_bad_row(rfm_purchase_file *file, uint64_t line, const char *message, rfm_error *error)
{
    file->bad_row(file->owner, line, message);
    if (++file->bad_rows <= file->bad_rows_max)
        return RFM_OK;
    return rfm_fail(error, RFM_E_MALFORMED, "%s: more than %llu rows cannot be read; --bad-rows N passes over more",
                    file->name, (unsigned long long)file->bad_rows_max);
}

static void count_row(rfm_purchase_file *file)
{
    if (++file->rows % PROGRESS_ROWS == 0)
        file->progress(file->owner, file->rows);
}

/* CSV. */

struct source {
    FILE *stream;
    size_t marks, marks_given; /* bytes of a byte order mark, or of what begins like one, that have been read ahead */
};

static int read_bytes(void *owner, uint8_t *at, size_t size, size_t *len, rfm_error *error)
{
    struct source *source = owner;
    FILE *stream = source->stream;
    for (*len = 0; *len < size && source->marks_given < source->marks; ++*len)
        at[*len] = (uint8_t)RFM_UTF8_MARK[source->marks_given++];
    *len += fread(at + *len, 1, size - *len, stream);
    return ferror(stream) ? rfm_fail(error, RFM_E_IO, "%s", strerror(errno)) : RFM_OK;
}

static int take_client(rfm_bytes cell, rfm_bytes *client_id, rfm_error *error)
{
    *client_id = rfm_cell_trim(cell);
    if (client_id->len == 0)
        return rfm_fail(error, RFM_E_MALFORMED, "the client is empty");
    return client_id->len <= RFM_CLIENT_ID_MAX
               ? RFM_OK
               : rfm_fail(error, RFM_E_TOO_LARGE, "the client has %zu bytes, more than %d", client_id->len,
                          RFM_CLIENT_ID_MAX);
}

/* Rows of one order and day count once where they have one amount, as an export does that was joined with itself; those
 * of several amounts are its parts. 0: the order is not told. */
static uint64_t order_of(const rfm_csv_record *record, const size_t at[RFM_COLUMN_COUNT])
{
    if (at[RFM_COLUMN_ORDER] >= record->count)
        return 0;
    rfm_bytes order = rfm_cell_trim(record->fields[at[RFM_COLUMN_ORDER]]);
    rfm_bytes amount = rfm_cell_trim(record->fields[at[RFM_COLUMN_AMOUNT]]);
    return order.len == 0 ? 0 : (rfm_hash64(order) ^ rfm_hash64(amount) * UINT64_C(0x9e3779b97f4a7c15)) | 1;
}

static int read_row(const rfm_purchase_file *file, const rfm_csv_record *record, const size_t at[RFM_COLUMN_COUNT],
                    rfm_purchases *purchases, rfm_error *error)
{
    rfm_bytes client_id;
    int32_t day;
    double amount;
    if (record->problem)
        return rfm_fail(error, RFM_E_MALFORMED, "%s", record->problem);
    for (size_t i = 0; i < RFM_COLUMN_ORDER; i++)
        if (at[i] >= record->count)
            return rfm_fail(error, RFM_E_MALFORMED, "the row has %zu fields, the one needed is number %zu",
                            record->count, at[i] + 1);
    int code = take_client(record->fields[at[RFM_COLUMN_CLIENT]], &client_id, error);
    if (code == RFM_OK)
        code = rfm_cell_day(record->fields[at[RFM_COLUMN_DAY]], file->zone, &day, error);
    if (code == RFM_OK)
        code = rfm_cell_amount(record->fields[at[RFM_COLUMN_AMOUNT]], &amount, error);
    return code == RFM_OK ? rfm_purchases_add(purchases, client_id, day, amount, order_of(record, at), error) : code;
}

static int read_rows(rfm_purchase_file *file, rfm_csv *csv, const size_t at[RFM_COLUMN_COUNT], rfm_purchases *purchases,
                     rfm_error *error)
{
    rfm_csv_record record;
    bool more;
    int code;
    while ((code = rfm_csv_next(csv, &record, &more, error)) == RFM_OK && more) {
        rfm_error bad;
        code = read_row(file, &record, at, purchases, &bad);
        if (code == RFM_OK)
            count_row(file);
        else if (code == RFM_E_FULL)
            return rfm_fail(error, code, "%s", bad.message);
        else if ((code = pass_bad_row(file, record.line, bad.message, error)) != RFM_OK)
            return code;
    }
    return code == RFM_OK ? RFM_OK : rfm_fail_within(error, code, "%s", file->name);
}

static int read_csv(rfm_purchase_file *file, struct source *source, rfm_purchases *purchases, rfm_error *error)
{
    rfm_csv *csv = rfm_csv_new(read_bytes, source);
    rfm_csv_record header;
    bool more;
    size_t at[RFM_COLUMN_COUNT];
    int code = rfm_csv_next(csv, &header, &more, error);
    if (code == RFM_OK && !more)
        code = rfm_fail(error, RFM_E_MALFORMED, "the file is empty; its first line should be client_id,date,amount");
    else if (code == RFM_OK && header.problem)
        code = rfm_fail(error, RFM_E_MALFORMED, "line %llu: %s", (unsigned long long)header.line, header.problem);
    else if (code == RFM_OK)
        code = rfm_columns_find(header.fields, header.count, at, error);
    if (code != RFM_OK)
        rfm_fail_within(error, code, "%s", file->name);
    else
        code = read_rows(file, csv, at, purchases, error);
    rfm_csv_free(csv);
    return code;
}

/* NDJSON. An order that comes twice, as it does where delivery is at least once, counts once. */

struct events {
    rfm_purchase_file *file;
    rfm_purchases *purchases;
    rfm_decoder *decoder; /* NULL: not before a purchase has told the currency */
    rfm_money_conf money; /* where the file has none */
    char *text;
    size_t text_size;
};

/* The currency of a line that looks like a purchase becomes the base. */
static void find_currency(struct events *events, rfm_bytes line)
{
    yyjson_read_err wrong;
    yyjson_doc *document = yyjson_read_opts((char *)(uintptr_t)line.at, line.len, 0, NULL, &wrong);
    RFM_NEED(document != NULL || wrong.code != YYJSON_READ_ERROR_MEMORY_ALLOCATION);
    yyjson_val *root = yyjson_doc_get_root(document), *type = yyjson_obj_get(root, "type");
    const char *currency = yyjson_get_str(yyjson_obj_get(root, "currency"));
    if (yyjson_equals_str(type, "purchase") && currency && strlen(currency) == 3 &&
        rfm_currency_digits(currency) >= 0) {
        events->money.base = (rfm_currency){.digits = (uint8_t)rfm_currency_digits(currency), .rate = {1, 0}};
        memcpy(events->money.base.code, currency, sizeof events->money.base.code);
        events->decoder = rfm_decoder_new(&events->money);
    }
    yyjson_doc_free(document);
}

static double amount_of(const struct events *events, int64_t amount_minor)
{
    const rfm_money_conf *money = events->file->money ? events->file->money : &events->money;
    double scale = 1;
    for (int i = 0; i < money->base.digits; i++)
        scale *= 10;
    return (double)amount_minor / scale;
}

static int read_event(struct events *events, rfm_bytes line, rfm_error *error)
{
    rfm_event event;
    rfm_fault fault;
    if (events->decoder == NULL)
        find_currency(events, line);
    rfm_decoder *decoder = events->decoder;
    rfm_decoder *plain = decoder ? NULL : rfm_decoder_new(&(rfm_money_conf){.base = {"EUR", 2, {1, 0}}});
    rfm_decoder_reset(decoder ? decoder : plain);
    rfm_reason reason = rfm_decode(decoder ? decoder : plain, line, INT64_MAX, &event, &fault);
    int code = RFM_OK;
    if (reason != RFM_REASON_NONE)
        code = rfm_fail(error, RFM_E_MALFORMED, "%s%s", fault.detail,
                        reason == RFM_REASON_UNKNOWN_CURRENCY ? "; -c FILE names a configuration with its rate" : "");
    else if (event.type != RFM_EVENT_PURCHASE)
        events->file->others++;
    else
        code = rfm_purchases_add(events->purchases, event.client_id, rfm_zone_day(events->file->zone, event.time_ms),
                                 amount_of(events, event.amount_minor), event.order_id48, error);
    if (code == RFM_OK)
        count_row(events->file);
    rfm_decoder_free(plain);
    return code;
}

static int read_lines(struct events *events, FILE *stream, rfm_error *error)
{
    uint64_t number = 0;
    ssize_t len;
    while ((len = getline(&events->text, &events->text_size, stream)) >= 0) {
        rfm_bytes line = rfm_cell_trim(rfm_bytes_of(events->text, (size_t)len));
        rfm_error bad;
        number++;
        int code = line.len > 0 ? read_event(events, line, &bad) : RFM_OK;
        if (code == RFM_E_FULL)
            return rfm_fail(error, code, "%s", bad.message);
        if (code != RFM_OK && (code = pass_bad_row(events->file, number, bad.message, error)) != RFM_OK)
            return code;
    }
    /* Not ferror: of a line that it has no memory for getline says nothing else. */
    return feof(stream) ? RFM_OK : rfm_fail(error, RFM_E_IO, "%s: %s", events->file->name, strerror(errno));
}

static int read_events(rfm_purchase_file *file, FILE *stream, rfm_purchases *purchases, rfm_error *error)
{
    struct events events = {.file = file, .purchases = purchases};
    if (file->money)
        events.decoder = rfm_decoder_new(file->money);
    int code = read_lines(&events, stream, error);
    rfm_decoder_free(events.decoder);
    free(events.text);
    return code;
}

/* Reads on until it shows, one byte further at most than may be given back. */
static bool begins_with_event(struct source *source)
{
    const size_t marks_max = sizeof RFM_UTF8_MARK - 1;
    int next = getc(source->stream);
    for (; source->marks < marks_max && next == (uint8_t)RFM_UTF8_MARK[source->marks]; next = getc(source->stream))
        source->marks++;
    if (next != EOF)
        ungetc(next, source->stream);
    return next == '{' && (source->marks == 0 || source->marks == marks_max);
}

int rfm_purchase_file_read(rfm_purchase_file *file, rfm_purchases *purchases, rfm_error *error)
{
    FILE *stream = strcmp(file->name, "-") == 0 ? stdin : fopen(file->name, "r");
    if (stream == NULL)
        return rfm_fail(error, errno == EMFILE || errno == ENFILE || errno == ENOMEM ? RFM_E_IO : RFM_E_NOT_FOUND,
                        "%s: %s", file->name, strerror(errno));
    file->rows = file->bad_rows = file->others = 0;
    struct source source = {.stream = stream};
    int code = begins_with_event(&source) ? read_events(file, stream, purchases, error)
                                          : read_csv(file, &source, purchases, error);
    if (stream != stdin)
        fclose(stream);
    return code;
}
