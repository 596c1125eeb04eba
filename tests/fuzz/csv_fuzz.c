/* Any bytes as a table: however they come in pieces, the records are the same, their fields lie within the file, lines
 * only grow, and a cell gives a day and an amount or says why not. And any bytes as cells: written as RFC 4180 has
 * them, each in quotes, they are read as what they were. */
#include "fit/columns.h"
#include "fit/csv.h"

#include <math.h>
#include <rfm/base/hash.h>
#include <stdlib.h>

#define CHECK(condition) ((condition) ? (void)0 : abort())

struct pieces {
    const uint8_t *at;
    size_t left, piece;
};

static int read_piece(void *owner, uint8_t *at, size_t size, size_t *len, rfm_error *error)
{
    struct pieces *pieces = owner;
    (void)error;
    size_t most = pieces->piece < size ? pieces->piece : size;
    *len = pieces->left < most ? pieces->left : most;
    if (*len > 0)
        memcpy(at, pieces->at, *len);
    pieces->at += *len;
    pieces->left -= *len;
    return RFM_OK;
}

static void check_cell(rfm_bytes cell)
{
    rfm_error error;
    int32_t day;
    double amount;
    if (rfm_cell_day(cell, NULL, &day, &error) != RFM_OK)
        CHECK(error.message[0] != 0);
    if (rfm_cell_amount(cell, &amount, &error) != RFM_OK)
        CHECK(error.message[0] != 0);
    else
        CHECK(isfinite(amount) && amount >= 0);
}

static uint64_t read_all(const uint8_t *data, size_t size, size_t piece, bool look)
{
    struct pieces pieces = {data, size, piece};
    rfm_csv *csv = rfm_csv_new(read_piece, &pieces);
    rfm_csv_record record;
    rfm_error error;
    bool more;
    uint64_t sum = 0, line = 0;
    size_t at[RFM_COLUMN_COUNT], bytes = 0;
    while (rfm_csv_next(csv, &record, &more, &error) == RFM_OK && more) {
        CHECK(record.line >= line && (record.problem == NULL || record.count == 0));
        if (look && line == 0 && rfm_columns_find(record.fields, record.count, at, &error) == RFM_OK)
            CHECK(at[0] < record.count && at[1] < record.count && at[2] < record.count);
        line = record.line;
        sum = sum * 31 + line + record.count + (record.problem != NULL);
        for (size_t i = 0; i < record.count; i++) {
            sum = sum * 31 + rfm_hash64(record.fields[i]);
            bytes += record.fields[i].len;
            if (look)
                check_cell(record.fields[i]);
        }
    }
    CHECK(bytes <= size);
    rfm_csv_free(csv);
    return sum;
}

enum { CELLS_BYTES_MAX = 4096 };

static uint64_t add_cell(uint64_t sum, rfm_bytes cell)
{
    return sum * 31 + rfm_hash64(cell);
}

static void write_cell(rfm_buffer *text, const uint8_t *at, size_t len)
{
    rfm_write_u8(text, '"');
    for (size_t i = 0; i < len; i++) {
        if (at[i] == '"')
            rfm_write_u8(text, '"');
        rfm_write_u8(text, at[i]);
    }
    rfm_write_u8(text, '"');
}

/* A cell ends at 0, a record at 1. The first record shows the separator. Returns a sum over all cells and ends of
 * records. */
static uint64_t write_cells(const uint8_t *data, size_t size, rfm_buffer *text)
{
    const char separator = ",;\t"[data[0] % 3], *line_end = data[0] & 4 ? "\r\n" : "\n";
    rfm_write_format(text, "\"a\"%c\"b\"%s", separator, line_end);
    uint64_t sum = add_cell(add_cell(0, rfm_text("a")), rfm_text("b")) * 31 + 1;
    for (size_t from = 1, to = 1; from <= size; from = ++to) {
        while (to < size && data[to] > 1)
            to++;
        write_cell(text, data + from, to - from);
        sum = add_cell(sum, rfm_bytes_of(data + from, to - from));
        if (to < size && data[to] == 0) {
            rfm_write_u8(text, (uint8_t)separator);
            continue;
        }
        rfm_write_text(text, line_end);
        sum = sum * 31 + 1;
    }
    return sum;
}

static void check_cells(const uint8_t *data, size_t size)
{
    rfm_buffer text;
    rfm_buffer_init(&text, 4 * CELLS_BYTES_MAX + 64);
    uint64_t written = write_cells(data, size, &text), read = 0;
    CHECK(!text.bad);
    struct pieces pieces = {text.at, text.len, 1 + size % 97};
    rfm_csv *csv = rfm_csv_new(read_piece, &pieces);
    rfm_csv_record record;
    rfm_error error;
    for (bool more; rfm_csv_next(csv, &record, &more, &error) == RFM_OK && more; read = read * 31 + 1) {
        if (record.problem != NULL && strstr(record.problem, "512 fields"))
            read = written = 0; /* not that many */
        CHECK(record.problem == NULL || written == 0);
        for (size_t i = 0; i < record.count; i++)
            read = add_cell(read, record.fields[i]);
    }
    CHECK(read == written || written == 0);
    rfm_csv_free(csv);
    rfm_buffer_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0 && size <= CELLS_BYTES_MAX)
        check_cells(data, size);
    uint64_t whole = read_all(data, size, SIZE_MAX, true);
    CHECK(read_all(data, size, 1 + size / 7, false) == whole);
    return 0;
}
