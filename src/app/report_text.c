#include "report_text.h"

#include <rfm/client/json.h>
#include <stdio.h>

enum { CELL = 48, GAP = 2, ROWS_SHOWN = 20 /* of those that do not follow each other, beginning with the largest */ };

/* -- tables */

static void format_figure(rfm_figure_kind kind, const rfm_figure *figure, uint8_t digits, char text[CELL])
{
    if (!figure->known)
        snprintf(text, CELL, "-");
    else if (kind == RFM_FIGURE_COUNT)
        snprintf(text, CELL, "%lld", (long long)figure->whole);
    else if (kind == RFM_FIGURE_MONEY)
        rfm_money_format(figure->whole, digits, text);
    else if (kind == RFM_FIGURE_SHARE)
        snprintf(text, CELL, "%.1f%%", 100 * figure->number);
    else
        snprintf(text, CELL, "%.2f", figure->number);
}

/* Shares differ by points, everything else by a part of what it was. */
static void format_change(rfm_figure_kind kind, const rfm_figure *change, char text[CELL])
{
    if (!change->known)
        snprintf(text, CELL, "-");
    else
        snprintf(text, CELL, kind == RFM_FIGURE_SHARE ? "%+.1fpt" : "%+.1f%%", 100 * change->number);
}

static rfm_bytes key_of(const rfm_sheet *sheet, size_t row)
{
    return sheet->keys[row].at == NULL ? rfm_text("(none)") : sheet->keys[row];
}

/* Names come from events: what would move a terminal's cursor does not reach it. */
static void put_plain(rfm_buffer *text, rfm_bytes name)
{
    for (size_t i = 0; i < name.len; i++)
        rfm_write_u8(text, name.at[i] < ' ' || name.at[i] == 0x7f ? '?' : name.at[i]);
}

/* 0: nothing is known in this column, and it is left out. */
static int width_of(const rfm_sheet *sheet, size_t column, uint8_t digits)
{
    char text[CELL];
    size_t width = strlen(sheet->columns[column].name);
    bool known = false;
    for (size_t row = 0; row < sheet->row_count; row++) {
        const rfm_figure *figure = &sheet->figures[row * sheet->column_count + column];
        known = known || figure->known;
        format_figure(sheet->columns[column].kind, figure, digits, text);
        width = strlen(text) > width ? strlen(text) : width;
        if (sheet->changes) {
            format_change(sheet->columns[column].kind, &sheet->changes[row * sheet->column_count + column], text);
            width = strlen(text) > width ? strlen(text) : width;
        }
    }
    return known ? (int)width : 0;
}

static int key_width(const rfm_sheet *sheet)
{
    size_t width = strlen(sheet->changes ? "change" : sheet->key);
    for (size_t row = 0; row < sheet->row_count; row++)
        width = key_of(sheet, row).len > width ? key_of(sheet, row).len : width;
    return (int)width;
}

typedef enum line_kind { HEAD, FIGURES, CHANGES } line_kind;
static void put_line(rfm_buffer *text, const rfm_sheet *sheet, const int *widths, line_kind kind, size_t row,
                     uint8_t digits)
{
    char cell[CELL];
    rfm_bytes key = kind == HEAD ? rfm_text(sheet->key) : kind == CHANGES ? rfm_text("change") : key_of(sheet, row);
    put_plain(text, key);
    rfm_write_format(text, "%*s", widths[sheet->column_count] - (int)key.len, "");
    for (size_t i = 0; i < sheet->column_count; i++) {
        if (widths[i] == 0)
            continue;
        if (kind == HEAD)
            snprintf(cell, sizeof cell, "%s", sheet->columns[i].name);
        else if (kind == FIGURES)
            format_figure(sheet->columns[i].kind, &sheet->figures[row * sheet->column_count + i], digits, cell);
        else
            format_change(sheet->columns[i].kind, &sheet->changes[row * sheet->column_count + i], cell);
        rfm_write_format(text, "%*s", GAP + widths[i], cell);
    }
    rfm_write_u8(text, '\n');
}

/* The change of the last row alone: of the others CSV and JSON tell. */
static void put_table(rfm_buffer *text, const rfm_sheet *sheet, uint8_t digits)
{
    int widths[RFM_COHORT_MONTHS + 1];
    RFM_ASSERT(sheet->column_count < sizeof widths / sizeof *widths);
    for (size_t i = 0; i < sheet->column_count; i++)
        widths[i] = width_of(sheet, i, digits);
    widths[sheet->column_count] = key_width(sheet);
    put_line(text, sheet, widths, HEAD, 0, digits);
    bool all = sheet->changes || sheet->row_count <= ROWS_SHOWN + 5;
    size_t shown = all ? sheet->row_count : ROWS_SHOWN;
    for (size_t row = 0; row < shown; row++)
        put_line(text, sheet, widths, FIGURES, row, digits);
    if (!all)
        rfm_write_format(text, "and %zu more (as CSV or JSON)\n", sheet->row_count - shown);
    if (sheet->changes)
        put_line(text, sheet, widths, CHANGES, sheet->row_count - 1, digits);
}

/* One row of many figures: a line for each. */
static void put_list(rfm_buffer *text, const rfm_sheet *sheet, uint8_t digits)
{
    char cell[CELL];
    for (size_t i = 0; i < sheet->column_count; i++) {
        format_figure(sheet->columns[i].kind, &sheet->figures[i], digits, cell);
        rfm_write_format(text, "%-16s%16s\n", sheet->columns[i].name, cell);
    }
}

void rfm_report_text(const rfm_kpi_report *report, const rfm_money_conf *money, rfm_buffer *text)
{
    char as_of[RFM_TIME_TEXT];
    rfm_time_format(report->query.as_of_ms, as_of);
    rfm_write_format(text, "as of %s, money in %s%s%s\n", as_of, money->base.code,
                     report->query.source ? ", source " : "", report->query.source ? report->query.source : "");
    for (size_t i = 0; i < report->sheet_count; i++) {
        const rfm_sheet *sheet = &report->sheets[i];
        if (sheet->row_count == 0)
            continue;
        rfm_write_format(text, "\n%s\n", sheet->name);
        if (strcmp(sheet->name, "value") == 0)
            put_list(text, sheet, money->base.digits);
        else
            put_table(text, sheet, money->base.digits);
    }
}

/* -- CSV (RFC 4180, with plain line ends) */

static void put_field(rfm_buffer *csv, rfm_bytes field)
{
    bool quoted = false;
    for (size_t i = 0; i < field.len; i++)
        quoted = quoted || memchr(",\"\r\n", field.at[i], 4) != NULL;
    if (!quoted) {
        rfm_write_bytes(csv, field);
        return;
    }
    rfm_write_u8(csv, '"');
    for (size_t i = 0; i < field.len; i++) {
        if (field.at[i] == '"')
            rfm_write_u8(csv, '"');
        rfm_write_u8(csv, field.at[i]);
    }
    rfm_write_u8(csv, '"');
}

static void put_value(rfm_buffer *csv, rfm_figure_kind kind, const rfm_figure *figure, uint8_t digits)
{
    char text[RFM_MONEY_TEXT];
    if (!figure->known)
        return;
    if (kind == RFM_FIGURE_COUNT) {
        rfm_write_format(csv, "%lld", (long long)figure->whole);
    } else if (kind == RFM_FIGURE_MONEY) {
        rfm_money_format(figure->whole, digits, text);
        rfm_write_text(csv, text);
    } else {
        rfm_write_json_number(csv, figure->number);
    }
}

static void put_record(rfm_buffer *csv, const rfm_sheet *sheet, size_t row, size_t column, uint8_t digits)
{
    size_t at = row * sheet->column_count + column;
    rfm_write_format(csv, "%s,", sheet->name);
    put_field(csv, sheet->keys[row]);
    rfm_write_format(csv, ",%s,", sheet->columns[column].name);
    put_value(csv, sheet->columns[column].kind, &sheet->figures[at], digits);
    rfm_write_u8(csv, ',');
    if (sheet->changes)
        put_value(csv, RFM_FIGURE_NUMBER, &sheet->changes[at], digits);
    rfm_write_u8(csv, '\n');
}

void rfm_report_csv(const rfm_kpi_report *report, const rfm_money_conf *money, rfm_buffer *csv)
{
    rfm_write_text(csv, "sheet,row,figure,value,change\n");
    for (size_t i = 0; i < report->sheet_count; i++)
        for (size_t row = 0; row < report->sheets[i].row_count; row++)
            for (size_t column = 0; column < report->sheets[i].column_count; column++)
                put_record(csv, &report->sheets[i], row, column, money->base.digits);
}
