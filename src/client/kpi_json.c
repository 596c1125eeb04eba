#include <rfm/base/utf8.h>
#include <rfm/client/json.h>
#include <rfm/client/kpi_report.h>

static void put_figure(rfm_buffer *json, rfm_figure_kind kind, const rfm_figure *figure, uint8_t digits)
{
    if (!figure->known) {
        rfm_write_text(json, "null");
    } else if (kind == RFM_FIGURE_COUNT) {
        rfm_write_format(json, "%lld", (long long)figure->whole);
    } else if (kind == RFM_FIGURE_MONEY) {
        rfm_write_json_money(json, figure->whole, digits);
    } else {
        rfm_write_json_number(json, figure->number);
    }
}

static void put_figures(rfm_buffer *json, const rfm_sheet *sheet, const rfm_figure *figures, bool changes,
                        uint8_t digits)
{
    for (size_t i = 0; i < sheet->column_count; i++) {
        rfm_write_format(json, i == 0 && changes ? "\"%s\":" : ",\"%s\":", sheet->columns[i].name);
        put_figure(json, changes ? RFM_FIGURE_NUMBER : sheet->columns[i].kind, &figures[i], digits);
    }
}

static void put_name(rfm_buffer *json, rfm_bytes name)
{
    if (name.at == NULL) {
        rfm_write_text(json, "null");
    } else {
        rfm_write_json_string(json, name);
    }
}

static void put_row(rfm_buffer *json, const rfm_sheet *sheet, size_t row, uint8_t digits)
{
    rfm_write_format(json, row > 0 ? ",{\"%s\":" : "{\"%s\":", sheet->key);
    put_name(json, sheet->keys[row]);
    put_figures(json, sheet, sheet->figures + row * sheet->column_count, false, digits);
    if (sheet->changes) {
        rfm_write_text(json, ",\"change\":{");
        put_figures(json, sheet, sheet->changes + row * sheet->column_count, true, digits);
        rfm_write_u8(json, '}');
    }
    rfm_write_u8(json, '}');
}

void rfm_kpi_report_json(const rfm_kpi_report *report, const rfm_money_conf *money, rfm_buffer *json)
{
    const rfm_kpi_query *query = &report->query;
    const rfm_sheet *periods = &report->sheets[0];
    rfm_write_text(json, "{\"as_of\":");
    rfm_write_json_time(json, query->as_of_ms);
    rfm_write_format(json, ",\"currency\":\"%s\",\"by\":\"%s\",\"from\":", money->base.code,
                     query->by_day ? "day" : "month");
    put_name(json, periods->keys[0]);
    rfm_write_text(json, ",\"to\":");
    put_name(json, periods->keys[periods->row_count - 1]);
    rfm_write_text(json, ",\"source\":");
    put_name(json, query->source ? rfm_text(query->source) : RFM_BYTES_NONE);
    for (size_t i = 0; i < report->sheet_count; i++) {
        const rfm_sheet *sheet = &report->sheets[i];
        rfm_write_format(json, ",\"%s\":[", sheet->name);
        for (size_t row = 0; row < sheet->row_count; row++) {
            put_row(json, sheet, row, money->base.digits);
        }
        rfm_write_u8(json, ']');
    }
    rfm_write_u8(json, '}');
}
