#include <rfm/client/names.h>

#include <stdlib.h>

#include <rfm/base/arena.h>
#include <rfm/base/hash.h>
#include <rfm/base/table.h>

struct rfm_names {
    rfm_arena arena; /* the texts */
    rfm_table table; /* hash of a text -> its number */
    size_t count;
    rfm_bytes text[RFM_NAMES_MAX + 1]; /* by number; empty: not given */
};

rfm_names *rfm_names_new(void)
{
    rfm_names *names = calloc(1, sizeof *names);
    RFM_NEED(names);
    rfm_table_init(&names->table, 0);
    rfm_arena_init(&names->arena);
    return names;
}

void rfm_names_free(rfm_names *names)
{
    if (names) {
        rfm_table_release(&names->table);
        rfm_arena_release(&names->arena);
        free(names);
    }
}

void rfm_names_clear(rfm_names *names)
{
    for (size_t number = 1; number <= names->count; number++) {
        if (names->text[number].len > 0) {
            (void)rfm_table_remove(&names->table, rfm_hash64(names->text[number]), (uint32_t)number);
        }
        names->text[number] = RFM_BYTES_NONE;
    }
    names->count = 0;
    rfm_arena_reset(&names->arena);
}

/* Not within a character: a cut text is valid UTF-8 if the whole was. */
static rfm_bytes cut(rfm_bytes text)
{
    if (text.len > RFM_NAME_BYTES_MAX) {
        text.len = RFM_NAME_BYTES_MAX;
        while (text.len > 0 && (text.at[text.len] & 0xc0) == 0x80) {
            text.len--;
        }
    }
    return text;
}

static uint16_t find(const rfm_names *names, rfm_bytes text)
{
    size_t cursor = RFM_TABLE_START;
    uint64_t hash = rfm_hash64(text);
    uint32_t number;
    while ((number = rfm_table_find(&names->table, hash, &cursor)) != RFM_TABLE_NONE) {
        if (rfm_bytes_equal(names->text[number], text)) {
            return (uint16_t)number;
        }
    }
    return 0;
}

static void give(rfm_names *names, uint16_t number, rfm_bytes text)
{
    rfm_table_add(&names->table, rfm_hash64(text), number);
    names->text[number] = rfm_arena_copy(&names->arena, text);
    names->count = number > names->count ? number : names->count;
}

uint16_t rfm_names_find(const rfm_names *names, rfm_bytes text)
{
    text = cut(text);
    return text.len > 0 ? find(names, text) : 0;
}

/* The last number below `max` is kept for "other" unless it has one already. */
static uint16_t number_within(rfm_names *names, rfm_bytes text, size_t max)
{
    text = cut(text);
    uint16_t number = text.len > 0 ? find(names, text) : 0;
    if (number > 0 || text.len == 0) {
        return number;
    }
    if (names->count >= max - 1) {
        rfm_bytes other = rfm_text("other");
        number = find(names, other);
        if (number > 0 && names->count >= max) {
            return number;
        }
        text = number > 0 ? text : other;
    }
    if (names->count == RFM_NAMES_MAX) {
        return 0; /* restored without "other": none of ours */
    }
    number = (uint16_t)(names->count + 1);
    give(names, number, text);
    return number;
}

uint16_t rfm_names_number(rfm_names *names, rfm_bytes text)
{
    return number_within(names, text, RFM_NAMES_OF_EVENTS_MAX);
}

uint16_t rfm_names_own(rfm_names *names, rfm_bytes text)
{
    return number_within(names, text, RFM_NAMES_MAX);
}

rfm_bytes rfm_names_text(const rfm_names *names, uint16_t number)
{
    return number <= RFM_NAMES_MAX ? names->text[number] : RFM_BYTES_NONE;
}

size_t rfm_names_count(const rfm_names *names)
{
    return names->count;
}

int rfm_names_restore(rfm_names *names, uint16_t number, rfm_bytes text)
{
    if (number == 0 || number > RFM_NAMES_MAX || text.len == 0 || text.len > RFM_NAME_BYTES_MAX) {
        return RFM_E_CORRUPT;
    }
    uint16_t held = find(names, text);
    if (held == number) {
        return RFM_OK;
    }
    if (held > 0 || names->text[number].len > 0) {
        return RFM_E_CORRUPT;
    }
    give(names, number, text);
    return RFM_OK;
}

int rfm_names_restore_all(rfm_names *names, const rfm_bytes *values, size_t count)
{
    int code = RFM_OK;
    for (size_t i = 0; code == RFM_OK && i + 1 < count; i += 2) {
        int64_t number;
        if (rfm_integer_parse(values[i], &number) != RFM_OK || number < 1 || number > RFM_NAMES_MAX)
            return RFM_E_CORRUPT;
        code = rfm_names_restore(names, (uint16_t)number, values[i + 1]);
    }
    return code;
}
