/* Any bytes as a time, a date, a duration, a decimal; and as the text of a JSON string. */
#include <rfm/base/error.h>
#include <rfm/base/money.h>
#include <rfm/base/time.h>
#include <rfm/base/utf8.h>

#include <math.h>
#include <stdlib.h>
#include <yyjson.h>

#define CHECK(condition) ((condition) ? (void)0 : abort())

static void check_time(rfm_bytes bytes)
{
    int64_t time_ms, again_ms;
    char text[RFM_TIME_TEXT];
    const int64_t year_1_ms = INT64_C(-62135596800000), year_9999_ms = INT64_C(253370764800000);
    if (rfm_time_parse(bytes, &time_ms) != 0 || time_ms < year_1_ms || time_ms > year_9999_ms)
        return;
    size_t len = rfm_time_format(time_ms, text);
    CHECK(len == strlen(text) && rfm_time_parse(rfm_text(text), &again_ms) == 0 && again_ms == time_ms);
}

static void check_date(rfm_bytes bytes)
{
    int32_t day;
    int year, month, day_of_month;
    if (rfm_date_parse(bytes, &day) != 0)
        return;
    rfm_civil_of_day(day, &year, &month, &day_of_month);
    CHECK(rfm_day_of_civil(year, month, day_of_month) == day);
    CHECK(year == (int)strtol((const char *)bytes.at, NULL, 10));
}

static void check_decimal(rfm_bytes bytes)
{
    rfm_decimal decimal;
    char text[64] = {0};
    if (rfm_decimal_parse(bytes, &decimal) != 0)
        return;
    CHECK(decimal.scale <= 18 && (decimal.scale == 0 || decimal.digits % 10 != 0));
    if (bytes.len >= sizeof text)
        return;
    memcpy(text, bytes.at, bytes.len);
    long double expected = strtold(text, NULL), got = (long double)decimal.digits / powl(10, decimal.scale);
    CHECK(fabsl(got - expected) <= fabsl(expected) * 1e-15L);
}

/* What is written is a JSON string, and valid text comes back as it was. */
static void check_json_string(rfm_bytes bytes)
{
    rfm_buffer buffer;
    rfm_buffer_init(&buffer, bytes.len * 6 + 2);
    rfm_write_json_string(&buffer, bytes);
    CHECK(!buffer.bad);
    yyjson_doc *doc = yyjson_read((const char *)buffer.at, buffer.len, 0);
    CHECK(doc && yyjson_is_str(yyjson_doc_get_root(doc)));
    yyjson_val *root = yyjson_doc_get_root(doc);
    bool same = rfm_bytes_equal(bytes, rfm_bytes_of(yyjson_get_str(root), yyjson_get_len(root)));
    CHECK(same == rfm_utf8_valid(bytes));
    yyjson_doc_free(doc);
    rfm_buffer_release(&buffer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t duration_ms = 0;
    rfm_bytes bytes = rfm_bytes_of(data, size);
    char *text = malloc(size + 1); /* strtol needs an end */
    CHECK(text);
    if (size)
        memcpy(text, data, size);
    text[size] = 0;
    check_time(bytes);
    check_date(rfm_bytes_of(text, size));
    check_decimal(bytes);
    check_json_string(bytes);
    CHECK(rfm_duration_parse(bytes, &duration_ms) != 0 || duration_ms >= 0);
    free(text);
    return 0;
}
