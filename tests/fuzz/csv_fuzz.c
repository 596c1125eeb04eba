/* Any bytes as a table: however they come in pieces, the records are the same, their fields lie within the file, lines only
 * grow, and a cell gives a day and an amount or says why not. */
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t whole = read_all(data, size, SIZE_MAX, true);
    CHECK(read_all(data, size, 1 + size / 7, false) == whole);
    return 0;
}
