#include "fit/csv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Gives a text out in pieces of a few bytes. */
struct pieces {
    const char *at;
    size_t left, piece;
};

static int read_piece(void *owner, uint8_t *at, size_t size, size_t *len, rfm_error *error)
{
    struct pieces *pieces = owner;
    (void)error;
    size_t most = pieces->piece < size ? pieces->piece : size;
    *len = pieces->left < most ? pieces->left : most;
    memcpy(at, pieces->at, *len);
    pieces->at += *len;
    pieces->left -= *len;
    return RFM_OK;
}

/* Records as "line:[field][field]", one a line; a problem as "line!". */
static void show(const char *text, size_t len, size_t piece, char *shown, size_t size)
{
    struct pieces pieces = {text, len, piece};
    rfm_csv *csv = rfm_csv_new(read_piece, &pieces);
    rfm_csv_record record;
    rfm_error error;
    bool more;
    size_t at = 0;
    shown[0] = 0;
    while (rfm_csv_next(csv, &record, &more, &error) == RFM_OK && more) {
        at += (size_t)snprintf(shown + at, size - at, "%d%c", (int)record.line, record.problem ? '!' : ':');
        for (size_t i = 0; i < record.count; i++)
            at += (size_t)snprintf(shown + at, size - at, "[%.*s]", (int)record.fields[i].len,
                                   (const char *)record.fields[i].at);
        at += (size_t)snprintf(shown + at, size - at, "\n");
    }
    rfm_csv_free(csv);
}

static void records_are_split(void **state)
{
    (void)state;
    static const struct {
        const char *text, *shown;
    } rows[] = {
        {"", ""},
        {"\n\r\n\n", ""},
        {"a,b\n1,2\n", "1:[a][b]\n2:[1][2]\n"},
        {"a,b\r\n1,2\r\n", "1:[a][b]\n2:[1][2]\n"},
        {"a,b\n1,2", "1:[a][b]\n2:[1][2]\n"},
        {"\xef\xbb\xbf"
         "a,b\n1,2\n",
         "1:[a][b]\n2:[1][2]\n"},
        {"a,b\n\n1,\n,\n", "1:[a][b]\n3:[1][]\n4:[][]\n"},
        {"a;b\n1,5;2\n", "1:[a][b]\n2:[1,5][2]\n"},
        {"a\tb\n1,5;\t2\n", "1:[a][b]\n2:[1,5;][2]\n"},
        {"\"a\",\"b\"\n\"1,5\",\"x \"\"y\"\"\"\n", "1:[a][b]\n2:[1,5][x \"y\"]\n"},
        {"a,b\n\"1\n2\r\n3\",4\n5,6\n", "1:[a][b]\n2:[1\n2\r\n3][4]\n5:[5][6]\n"},
        {"a,b\n1\" disk,2\n3,4\n", "1:[a][b]\n2:[1\" disk][2]\n3:[3][4]\n"},
        {"a,b\n\"1\"x,2\n3,4\n", "1:[a][b]\n2!\n3:[3][4]\n"},
        {"a,b\n\"1,2\n3,4\n", "1:[a][b]\n2!\n3:[3][4]\n"},
        {"a,b\n\"\",\"\"\"\"\n", "1:[a][b]\n2:[][\"]\n"},
        {"\"a;b\",c\n1,2\n", "1:[a;b][c]\n2:[1][2]\n"},
    };
    static const size_t pieces[] = {1, 2, 3, 7, 100000};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t j = 0; j < sizeof pieces / sizeof *pieces; j++) {
            char shown[400];
            show(rows[i].text, strlen(rows[i].text), pieces[j], shown, sizeof shown);
            assert_string_equal(shown, rows[i].shown);
        }
    }
}

/* A record may have 64 KiB; a longer one is told of, and what comes behind it is read. */
static void a_record_has_a_limit(void **state)
{
    (void)state;
    for (int extra = -1; extra <= 1; extra++) {
        size_t len = (size_t)(RFM_CSV_RECORD_MAX + extra);
        char *text = malloc(len + 8), shown[RFM_CSV_RECORD_MAX + 100];
        memset(text, 'x', len);
        memcpy(text + len, "\n1\n", 4);
        show(text, len + 3, 1000, shown, sizeof shown);
        assert_string_equal(strrchr(shown, '2'), "2:[1]\n");
        assert_int_equal(shown[1], extra > 0 ? '!' : ':');
        free(text);
    }
}

static void many_records_keep_their_lines(void **state)
{
    (void)state;
    rfm_buffer text;
    rfm_buffer_init(&text, 1 << 24);
    for (int i = 0; i < 200000; i++)
        rfm_write_format(&text, i % 5 == 0 ? "c%d,\"%d\",1.00\r\n" : "c%d,%d,1.00\n", i, i * 2);
    struct pieces pieces = {(const char *)text.at, text.len, 4096};
    rfm_csv *csv = rfm_csv_new(read_piece, &pieces);
    rfm_csv_record record;
    rfm_error error;
    bool more;
    int i = 0;
    for (; rfm_csv_next(csv, &record, &more, &error) == RFM_OK && more; i++) {
        char client[16], number[16];
        snprintf(client, sizeof client, "c%d", i);
        snprintf(number, sizeof number, "%d", i * 2);
        assert_true(record.line == (uint64_t)i + 1 && record.count == 3);
        assert_true(rfm_bytes_is(record.fields[0], client) && rfm_bytes_is(record.fields[1], number));
    }
    assert_int_equal(i, 200000);
    rfm_csv_free(csv);
    rfm_buffer_release(&text);
}

static void utf16_is_named(void **state)
{
    (void)state;
    struct pieces pieces = {"\xff\xfe"
                            "a\0",
                            4, 4};
    rfm_csv *csv = rfm_csv_new(read_piece, &pieces);
    rfm_csv_record record;
    rfm_error error;
    bool more;
    assert_int_equal(rfm_csv_next(csv, &record, &more, &error), RFM_E_MALFORMED);
    assert_non_null(strstr(error.message, "UTF-16"));
    rfm_csv_free(csv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_split),
        cmocka_unit_test(a_record_has_a_limit),
        cmocka_unit_test(many_records_keep_their_lines),
        cmocka_unit_test(utf16_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
