#include "fit/columns.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static size_t split(char *text, rfm_bytes *names)
{
    size_t count = 0;
    for (char *name = strtok(text, ","); name; name = strtok(NULL, ","))
        names[count++] = rfm_text(name);
    return count;
}

static void columns_are_found_by_their_names(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t client, day, amount, order;
    } rows[] = {
        {"client_id,date,amount", 0, 1, 2, RFM_COLUMN_ABSENT},
        {"order_id,Amount,TIME,Client ID", 3, 2, 1, 0},
        {"Order ID,Customer-ID,Created at,Total", 1, 2, 3, 0},
        {"InvoiceNo,StockCode,InvoiceDate,Price,CustomerID", 4, 2, 3, RFM_COLUMN_ABSENT},
        {"email,client_id,total,amount,order_date,date", 1, 5, 3, RFM_COLUMN_ABSENT},
        {" user.id , purchase_date ,value,OrderID", 0, 1, 2, 3},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char header[100];
        rfm_bytes names[10];
        size_t at[RFM_COLUMN_COUNT];
        strcpy(header, rows[i].header);
        size_t count = split(header, names);
        assert_int_equal(rfm_columns_find(names, count, at, NULL), 0);
        assert_int_equal(at[RFM_COLUMN_CLIENT], rows[i].client);
        assert_int_equal(at[RFM_COLUMN_DAY], rows[i].day);
        assert_int_equal(at[RFM_COLUMN_AMOUNT], rows[i].amount);
        assert_true(at[RFM_COLUMN_ORDER] == rows[i].order);
    }
}

static void a_missing_column_is_named_with_what_is_there(void **state)
{
    (void)state;
    char header[] = "client_id,when,amount";
    rfm_bytes names[10];
    size_t at[RFM_COLUMN_COUNT], count = split(header, names);
    rfm_error error;
    assert_int_equal(rfm_columns_find(names, count, at, &error), RFM_E_NOT_FOUND);
    assert_non_null(strstr(error.message, "'date'"));
    assert_non_null(strstr(error.message, "client_id, when, amount"));
}

static void a_long_header_is_cut(void **state)
{
    (void)state;
    rfm_bytes names[200];
    size_t at[RFM_COLUMN_COUNT];
    rfm_error error;
    for (size_t i = 0; i < 200; i++)
        names[i] = rfm_text("a column of a long name, longer than can be shown");
    assert_int_equal(rfm_columns_find(names, 200, at, &error), RFM_E_NOT_FOUND);
    assert_true(strlen(error.message) < 500);
    assert_non_null(strstr(error.message, "..."));
}

static void days_as_shops_write_them(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int year, month, day; /* 0: none */
    } rows[] = {
        {"2026-01-31", 2026, 1, 31},
        {" 2026-01-31 ", 2026, 1, 31},
        {"20260131", 2026, 1, 31},
        {"2026/01/31", 2026, 1, 31},
        {"31.01.2026", 2026, 1, 31},
        {"2026-01-31T23:30:00Z", 2026, 1, 31},
        {"2026-01-31T23:30:00-02:00", 2026, 2, 1},
        {"2026-01-31 23:59", 2026, 1, 31},
        {"2026-01-31T23:59:59.999", 2026, 1, 31},
        {"1769817600000", 2026, 1, 31},
        {"1769817600", 2026, 1, 31},
        {"2026-02-29", 0, 0, 0},
        {"2026-13-01", 0, 0, 0},
        {"01/31/2026", 0, 0, 0},
        {"31/01/2026", 0, 0, 0},
        {"yesterday", 0, 0, 0},
        {"", 0, 0, 0},
        {"2026-01-31 noon", 0, 0, 0},
        {"2026-01", 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int32_t day;
        rfm_error error;
        int code = rfm_cell_day(rfm_text(rows[i].text), NULL, &day, &error);
        assert_int_equal(code, rows[i].year ? RFM_OK : RFM_E_MALFORMED);
        if (rows[i].year)
            assert_int_equal(day, rfm_day_of_civil(rows[i].year, rows[i].month, rows[i].day));
    }
}

static void amounts_as_shops_write_them(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double amount; /* -1: none */
    } rows[] = {
        {"129.90", 129.9},
        {"0", 0},
        {" 12 ", 12},
        {"1,234.50", 1234.5},
        {"1,234,567.00", 1234567},
        {"12,5", 12.5},
        {"12,50", 12.5},
        {"1,234", 1234},
        {".5", .5},
        {"12.", 12},
        {"", -1},
        {"-5", -1},
        {"1.2.3", -1},
        {"1e3", -1},
        {"12 EUR", -1},
        {"nan", -1},
        {"12,34,56", -1},
        {"1,23.00", -1},
        {".", -1},
        {"-", -1},
        {"0x10", -1},
        {"1-2", -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double amount = -1;
        rfm_error error;
        int code = rfm_cell_amount(rfm_text(rows[i].text), &amount, &error);
        if ((code == RFM_OK) != (rows[i].amount >= 0) || amount != rows[i].amount)
            fail_msg("'%s': %d, %g", rows[i].text, code, amount);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_found_by_their_names),
        cmocka_unit_test(a_missing_column_is_named_with_what_is_there),
        cmocka_unit_test(a_long_header_is_cut),
        cmocka_unit_test(days_as_shops_write_them),
        cmocka_unit_test(amounts_as_shops_write_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
