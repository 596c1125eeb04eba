#include "run.h"

#include <rfm/base/hash.h>
#include <rfm/base/time.h>

/* One pass sorts an object's members into an array by field; then each type takes its fields from there. Other formats
 * put their values into that array themselves. */

const char *const rfm__native_names[FIELD_COUNT] = {
#define X(name) #name,
    EVENT_FIELDS(X)
#undef X
};

enum {
    TEXT_UNLIMITED = RFM_EVENT_BYTES_MAX,
    FUTURE_MS_MAX = 600000,
};

/* Field names */

/* The first bytes of a name as a number; up to NAME_WORD_BYTES must be readable whatever `len`. */
static inline uint64_t name_word(const char *name, size_t len)
{
    uint64_t word;
    memcpy(&word, name, sizeof word);
    return len >= NAME_WORD_BYTES ? word : word & ((UINT64_C(1) << 8 * len) - 1);
}

static inline size_t name_slot_of(uint64_t word, uint64_t multiplier)
{
    return (size_t)(word * multiplier >> 57);
}
_Static_assert(NAME_SLOTS == 1 << (64 - 57), "a slot is the product's highest bits");

static bool place_names(rfm_decoder *decoder)
{
    for (size_t i = 0; i < NAME_SLOTS; i++)
        decoder->names[i] = (name_slot){.field = FIELD_UNKNOWN}; /* an empty name finds an empty slot */
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        char name[16] = {0};
        size_t len = strlen(rfm__native_names[i]);
        memcpy(name, rfm__native_names[i], len);
        uint64_t word = name_word(name, len);
        name_slot *slot = &decoder->names[name_slot_of(word, decoder->multiplier)];
        if (slot->len)
            return false;
        *slot = (name_slot){word, (uint8_t)len, (uint8_t)i};
    }
    return true;
}

/* One multiplier in about twelve is free of collisions. */
void rfm__names_init(rfm_decoder *decoder)
{
    decoder->multiplier = UINT64_C(0x9e3779b97f4a7c15);
    while (!place_names(decoder))
        decoder->multiplier = decoder->multiplier * UINT64_C(0xd1342543de82ef95) + 2;
}

static inline field_id field_of(const rfm_decoder *decoder, const char *name, size_t len)
{
    uint64_t word = name_word(name, len);
    const name_slot *slot = &decoder->names[name_slot_of(word, decoder->multiplier)];
    if (slot->word != word || slot->len != len)
        return FIELD_UNKNOWN;
    if (len > NAME_WORD_BYTES && memcmp(name, rfm__native_names[slot->field], len) != 0)
        return FIELD_UNKNOWN;
    return (field_id)slot->field;
}

/* Structure */

/* Nodes stand in the order of the text, so that a container's are all before its next neighbour. */
static bool nested_deeper(yyjson_val *container, size_t levels_max)
{
    yyjson_val *ends[RFM_EVENT_DEPTH_MAX];
    yyjson_val *end = unsafe_yyjson_get_next(container);
    size_t depth = 0;
    for (yyjson_val *node = container; node < end; node++) {
        while (depth > 0 && node >= ends[depth - 1])
            depth--;
        if (!yyjson_is_ctn(node))
            continue;
        if (depth == levels_max)
            return true;
        ends[depth++] = unsafe_yyjson_get_next(node);
    }
    return false;
}

static void bound_depth(decode_run *run, yyjson_val *container, size_t depth)
{
    if (nested_deeper(container, RFM_EVENT_DEPTH_MAX - depth))
        refuse(run, RFM_REASON_TOO_DEEP, "nested deeper than %d levels", RFM_EVENT_DEPTH_MAX);
}

/* `depth`: how many containers stand around the members' values. An event's items are left to `decode_items`. */
static inline void sort_fields(decode_run *run, yyjson_val *object, size_t depth, field_values *fields)
{
    uint64_t seen = 0;
    yyjson_val *name = unsafe_yyjson_get_first(object);
    for (size_t left = unsafe_yyjson_get_len(object); left > 0; left--) {
        yyjson_val *value = name + 1;
        field_id field = field_of(run->decoder, unsafe_yyjson_get_str(name), unsafe_yyjson_get_len(name));
        if (field != FIELD_UNKNOWN && !(seen >> field & 1)) {
            seen |= UINT64_C(1) << field;
            fields->at[field] = value;
        }
        if (unsafe_yyjson_is_ctn(value) && !(field == FIELD_items && depth == 1))
            bound_depth(run, value, depth);
        name = unsafe_yyjson_get_next(value);
    }
    fields->seen = seen;
}

/* Fields: absent or null gives nothing; what is needed is refused then. */

static inline yyjson_val *present(const field_values *fields, field_id field)
{
    yyjson_val *value = fields->seen >> field & 1 ? fields->at[field] : NULL;
    return value && !unsafe_yyjson_is_null(value) ? value : NULL;
}

static yyjson_val *needed(decode_run *run, field_id field)
{
    yyjson_val *value = present(&run->fields, field);
    if (!value)
        refuse(run, RFM_REASON_MISSING_FIELD, "%s is missing", run->names[field]);
    return value;
}

static rfm_bytes text_of(decode_run *run, field_id field, yyjson_val *value, size_t len_max)
{
    if (!value)
        return RFM_BYTES_NONE;
    if (!unsafe_yyjson_is_str(value)) {
        refuse(run, RFM_REASON_WRONG_TYPE, "%s is not a string", run->names[field]);
        return RFM_BYTES_NONE;
    }
    if (unsafe_yyjson_get_len(value) > len_max)
        refuse(run, RFM_REASON_TOO_LARGE, "%s has more than %zu bytes", run->names[field], len_max);
    return rfm_bytes_of(unsafe_yyjson_get_str(value), unsafe_yyjson_get_len(value));
}

static rfm_bytes text(decode_run *run, field_id field)
{
    return text_of(run, field, present(&run->fields, field), RFM_EVENT_TEXT_MAX);
}

/* What only rules read, such as a page: of any length, kept up to a character's end. */
static rfm_bytes text_cut(decode_run *run, field_id field)
{
    rfm_bytes text = text_of(run, field, present(&run->fields, field), TEXT_UNLIMITED);
    if (text.len > RFM_EVENT_TEXT_MAX) {
        text.len = RFM_EVENT_TEXT_MAX;
        while (text.len > 0 && (text.at[text.len] & 0xc0) == 0x80)
            text.len--;
    }
    return text;
}

static rfm_bytes text_needed(decode_run *run, field_id field, size_t len_max)
{
    yyjson_val *value = needed(run, field);
    rfm_bytes text = text_of(run, field, value, len_max);
    if (value && text.len == 0)
        refuse(run, RFM_REASON_BAD_VALUE, "%s is empty", run->names[field]);
    return text;
}

static bool boolean(decode_run *run, field_id field, yyjson_val *value, bool otherwise)
{
    if (!value)
        return otherwise;
    if (!unsafe_yyjson_is_bool(value))
        refuse(run, RFM_REASON_WRONG_TYPE, "%s is neither true nor false", run->names[field]);
    return unsafe_yyjson_get_bool(value);
}

static bool is_number(yyjson_val *value)
{
    return unsafe_yyjson_get_type(value) == YYJSON_TYPE_RAW;
}

static rfm_bytes number_text(yyjson_val *value)
{
    return rfm_bytes_of(unsafe_yyjson_get_raw(value), unsafe_yyjson_get_len(value));
}

/* Of a number, or of a string that holds one. */
static int decimal_of(decode_run *run, field_id field, yyjson_val *value, bool or_text, rfm_decimal *decimal)
{
    if (!is_number(value) && !(or_text && unsafe_yyjson_is_str(value))) {
        refuse(run, RFM_REASON_WRONG_TYPE, "%s is not a number", run->names[field]);
        return RFM_E_RANGE;
    }
    return rfm_decimal_parse(number_text(value), decimal);
}

/* What is only weighed, such as a price: beyond exactness (a float's noise) it counts as `otherwise`. */
static rfm_decimal decimal_or(decode_run *run, field_id field, yyjson_val *value, bool or_text, rfm_decimal otherwise)
{
    rfm_decimal decimal = otherwise;
    if (value && decimal_of(run, field, value, or_text, &decimal) == RFM_E_MALFORMED)
        refuse(run, RFM_REASON_BAD_VALUE, "%s is not a decimal number", run->names[field]);
    return decimal;
}

#define X(NAME, name) {(const uint8_t *)#name, sizeof #name - 1},
static const rfm_bytes type_names[] = {RFM_EVENT_TYPES(X)};
static const rfm_bytes status_names[] = {RFM_MESSAGE_STATUSES(X)};
static const rfm_bytes class_names[] = {X(, marketing) X(, transactional)};
static const rfm_bytes feedback_names[] = {RFM_FEEDBACK_KINDS(X)};
#undef X

/* The index of the name that `text` is, or -1. */
static int index_of(rfm_bytes text, const rfm_bytes *names, int count)
{
    for (int i = 0; i < count; i++) {
        if (rfm_bytes_equal(text, names[i]))
            return i;
    }
    return -1;
}

/* Parts that several types have */

static void decode_type(decode_run *run)
{
    rfm_bytes name = text_needed(run, FIELD_type, RFM_EVENT_TEXT_MAX);
    if (run->reason != RFM_REASON_NONE)
        return;
    int type = index_of(name, type_names, RFM_EVENT_TYPE_COUNT);
    if (type < 0)
        refuse(run, RFM_REASON_UNKNOWN_TYPE, "%s is none of the known ones", run->names[FIELD_type]);
    else
        run->event->type = (rfm_event_type)type;
}

static const uint64_t low48 = (UINT64_C(1) << 48) - 1;

static uint64_t id48_of(rfm_event_type type, rfm_bytes id)
{
    uint8_t joined[RFM_EVENT_TEXT_MAX + 32];
    size_t name_len = type_names[type].len;
    memcpy(joined, type_names[type].at, name_len);
    joined[name_len] = 0x1f;
    memcpy(joined + name_len + 1, id.at, id.len);
    return rfm_hash64(rfm_bytes_of(joined, name_len + 1 + id.len)) & low48;
}

static void decode_ids(decode_run *run)
{
    rfm_event *event = run->event;
    event->id = text_needed(run, FIELD_id, RFM_EVENT_TEXT_MAX);
    event->client_id = text_needed(run, FIELD_client_id, RFM_CLIENT_ID_MAX);
    if (run->reason == RFM_REASON_NONE)
        event->id48 = id48_of(event->type, event->id);
}

static void decode_time(decode_run *run, int64_t append_ms)
{
    yyjson_val *value = needed(run, FIELD_time);
    const char *name = run->names[FIELD_time];
    int64_t time_ms = 0;
    int code = RFM_E_MALFORMED;
    if (!value)
        return;
    if (unsafe_yyjson_is_str(value))
        code = rfm_time_parse(number_text(value), &time_ms);
    else if (is_number(value))
        code = rfm_integer_parse(number_text(value), &time_ms);
    if (code != 0)
        refuse(run, RFM_REASON_BAD_TIME, "%s is neither RFC 3339 with an offset nor integer milliseconds", name);
    else if (time_ms < RFM_TIME_1990_MS)
        refuse(run, RFM_REASON_TIME_TOO_OLD, "%s lies before 1990", name);
    else if (append_ms < INT64_MAX - FUTURE_MS_MAX && time_ms > append_ms + FUTURE_MS_MAX)
        refuse(run, RFM_REASON_TIME_IN_FUTURE, "%s lies %llu s after the record's timestamp", name,
               (unsigned long long)(((uint64_t)time_ms - (uint64_t)append_ms) / 1000));
    else if (time_ms > RFM_TIME_MAX_MS)
        refuse(run, RFM_REASON_BAD_TIME, "%s lies after the year 9999", name);
    run->event->time_ms = time_ms;
}

static void decode_order_id(decode_run *run)
{
    rfm_event *event = run->event;
    event->order_id = text_needed(run, FIELD_order_id, RFM_EVENT_TEXT_MAX);
    event->order_id48 = rfm_hash64(event->order_id) & low48;
}

/* As minor units of the base currency. What is too fine for it may be right in the currency of its order. */
static int convert_amount(const rfm_money_conf *money, rfm_event *event)
{
    int code = rfm_money_convert(money, event->amount, event->currency, &event->amount_minor);
    bool of_order = event->type == RFM_EVENT_REFUND && event->currency.len == 0 && money->other_count > 0;
    if (code != RFM_E_MALFORMED || !of_order)
        return code;
    event->amount_minor = RFM_AMOUNT_NOT_BASE;
    return 0;
}

/* After the currency. */
static void decode_amount(decode_run *run, yyjson_val *value)
{
    rfm_event *event = run->event;
    int code = decimal_of(run, FIELD_amount, value, true, &event->amount);
    if (code == 0 && event->amount.digits >= 0) {
        code = convert_amount(run->decoder->money, event);
        event->has_amount = code == 0;
    }
    if (event->has_amount)
        return;
    if (code == RFM_E_NOT_FOUND)
        refuse(run, RFM_REASON_UNKNOWN_CURRENCY, "no rate is configured for the currency");
    else
        refuse(run, RFM_REASON_BAD_AMOUNT, "%s is %s", run->names[FIELD_amount],
               code == 0             ? "negative"
               : code == RFM_E_RANGE ? "too large, or has too many decimals"
                                     : "no number, or has more decimals than its currency");
}

/* After the currency. Only weighed: what is not exact in its currency counts as none. */
static void decode_margin(decode_run *run)
{
    rfm_event *event = run->event;
    yyjson_val *value = present(&run->fields, FIELD_margin);
    const rfm_decimal inexact = {1, 18};
    if (!value)
        return;
    rfm_decimal margin = decimal_or(run, FIELD_margin, value, true, inexact);
    event->has_margin = rfm_money_convert(run->decoder->money, margin, event->currency, &event->margin_minor) == 0;
}

static void decode_class(decode_run *run)
{
    yyjson_val *value = present(&run->fields, FIELD_class);
    if (!value)
        return;
    int class_ = index_of(text(run, FIELD_class), class_names, RFM_CLASS_COUNT);
    if (class_ < 0)
        refuse(run, RFM_REASON_BAD_VALUE, "class is neither marketing nor transactional");
    else
        run->event->class_ = (rfm_class)class_;
}

/* Items */

/* digits * 10^-scale */
typedef struct item_worth {
    __int128 digits;
    int scale;
} item_worth;

static bool times_power_of_ten(__int128 *digits, int power)
{
    for (; power > 0 && *digits != 0; power--) {
        if (__builtin_mul_overflow(*digits, (__int128)10, digits))
            return false;
    }
    return true;
}

/* Exact: a product that does not fit at the other's scale is larger than it, either way of zero. */
static bool worth_more(item_worth a, item_worth b)
{
    if (a.scale < b.scale && !times_power_of_ten(&a.digits, b.scale - a.scale))
        return a.digits > 0;
    if (b.scale < a.scale && !times_power_of_ten(&b.digits, a.scale - b.scale))
        return b.digits < 0;
    return a.digits > b.digits;
}

static item_worth decode_item(decode_run *run, yyjson_val *value, rfm_event_item *item)
{
    field_values fields;
    sort_fields(run, value, 3, &fields);
    item->sku = text_of(run, FIELD_sku, present(&fields, FIELD_sku), RFM_EVENT_TEXT_MAX);
    item->category = text_of(run, FIELD_category, present(&fields, FIELD_category), RFM_EVENT_TEXT_MAX);
    item->quantity = decimal_or(run, FIELD_quantity, present(&fields, FIELD_quantity), false, (rfm_decimal){1, 0});
    item->has_price = present(&fields, FIELD_price) != NULL;
    item->price = decimal_or(run, FIELD_price, present(&fields, FIELD_price), true, (rfm_decimal){0, 0});
    return (item_worth){(__int128)item->quantity.digits * item->price.digits, item->quantity.scale + item->price.scale};
}

/* Each once, in the order of the items. */
static void add_category(rfm_event *event, rfm_bytes *categories, rfm_bytes category)
{
    for (size_t i = 0; i < event->category_count; i++) {
        if (rfm_bytes_equal(categories[i], category))
            return;
    }
    if (category.len > 0)
        categories[event->category_count++] = category;
}

static void decode_items(decode_run *run)
{
    yyjson_val *values = present(&run->fields, FIELD_items), *value;
    item_worth best = {0, 0};
    size_t i, count;
    if (!values)
        return;
    if (!unsafe_yyjson_is_arr(values)) {
        refuse(run, RFM_REASON_WRONG_TYPE, "%s is not an array", run->names[FIELD_items]);
        return;
    }
    if (unsafe_yyjson_get_len(values) > RFM_EVENT_ITEMS_MAX) {
        refuse(run, RFM_REASON_TOO_LARGE, "%s has more than %d", run->names[FIELD_items], RFM_EVENT_ITEMS_MAX);
        return;
    }
    size_t room = unsafe_yyjson_get_len(values) + 1;
    rfm_bytes *categories = rfm_arena_take(&run->decoder->arena, room * sizeof *categories);
    rfm_event_item *items = rfm_arena_take(&run->decoder->arena, room * sizeof *items);
    run->event->categories = categories;
    run->event->items = items;
    yyjson_arr_foreach(values, i, count, value)
    {
        if (!unsafe_yyjson_is_obj(value)) {
            refuse(run, RFM_REASON_WRONG_TYPE, "one of %s is not an object", run->names[FIELD_items]);
            return;
        }
        item_worth worth = decode_item(run, value, &items[i]);
        run->event->item_count = i + 1;
        add_category(run->event, categories, items[i].category);
        if (i > 0 && !worth_more(worth, best))
            continue;
        best = worth;
        run->event->category = items[i].category;
    }
}

/* Types */

static void decode_purchase(decode_run *run)
{
    rfm_event *event = run->event;
    decode_order_id(run);
    event->currency = text_needed(run, FIELD_currency, RFM_EVENT_TEXT_MAX);
    yyjson_val *amount = needed(run, FIELD_amount);
    if (run->reason != RFM_REASON_NONE)
        return;
    decode_amount(run, amount);
    event->channel = text(run, FIELD_channel);
    event->cart_id = text(run, FIELD_cart_id);
    event->campaign = text(run, FIELD_campaign);
    event->coupon = text_cut(run, FIELD_coupon);
    decode_margin(run);
    decode_items(run);
}

static void decode_refund(decode_run *run)
{
    yyjson_val *amount = present(&run->fields, FIELD_amount);
    decode_order_id(run);
    run->event->currency = text(run, FIELD_currency);
    if (present(&run->fields, FIELD_currency) && run->event->currency.len == 0)
        refuse(run, RFM_REASON_BAD_VALUE, "%s is empty", run->names[FIELD_currency]);
    if (amount && run->reason == RFM_REASON_NONE)
        decode_amount(run, amount);
}

static void decode_visit(decode_run *run)
{
    rfm_event *event = run->event;
    event->channel = text(run, FIELD_channel);
    event->action = text(run, FIELD_action);
    event->sku = text(run, FIELD_sku);
    event->category = text(run, FIELD_category);
    event->cart_id = text(run, FIELD_cart_id);
    event->campaign = text(run, FIELD_campaign);
    event->page = text_cut(run, FIELD_page);
}

static void decode_message(decode_run *run)
{
    rfm_event *event = run->event;
    int status = index_of(text_needed(run, FIELD_status, RFM_EVENT_TEXT_MAX), status_names, RFM_STATUS_COUNT);
    if (status < 0)
        refuse(run, RFM_REASON_BAD_VALUE, "status is none of the known ones");
    else
        event->status = (rfm_message_status)status;
    event->channel = text_needed(run, FIELD_channel, RFM_EVENT_TEXT_MAX);
    event->campaign = text(run, FIELD_campaign);
    event->trigger_id = text(run, FIELD_trigger_id);
    decode_class(run);
    event->permanent = boolean(run, FIELD_permanent, present(&run->fields, FIELD_permanent), true);
}

static void decode_consent(decode_run *run)
{
    rfm_event *event = run->event;
    event->channel = text_needed(run, FIELD_channel, RFM_EVENT_TEXT_MAX);
    event->granted = boolean(run, FIELD_granted, needed(run, FIELD_granted), false);
    decode_class(run);
    event->source = text_cut(run, FIELD_source);
}

static bool needs_score(rfm_feedback_kind kind)
{
    return kind != RFM_FEEDBACK_COMPLAINT && kind != RFM_FEEDBACK_RESOLVED;
}

/* 0 to 10 in whole numbers for NPS, 0 to 100 else. */
static void decode_score(decode_run *run, yyjson_val *value)
{
    rfm_event *event = run->event;
    rfm_decimal score = decimal_or(run, FIELD_score, value, false, (rfm_decimal){-1, 0});
    double divisor = 1;
    for (uint8_t i = 0; i < score.scale; i++)
        divisor *= 10;
    event->score = (double)score.digits / divisor;
    event->has_score = true;
    if (event->feedback != RFM_FEEDBACK_NPS && !(event->score >= 0 && event->score <= 100))
        refuse(run, RFM_REASON_BAD_VALUE, "score is not within 0 and 100");
    if (event->feedback == RFM_FEEDBACK_NPS &&
        !(event->score >= 0 && event->score <= 10 && event->score == (double)(int)event->score))
        refuse(run, RFM_REASON_BAD_VALUE, "score of nps is no whole number within 0 and 10");
}

static void decode_feedback(decode_run *run)
{
    rfm_event *event = run->event;
    int kind = index_of(text_needed(run, FIELD_kind, RFM_EVENT_TEXT_MAX), feedback_names, RFM_FEEDBACK_COUNT);
    if (kind < 0) {
        refuse(run, RFM_REASON_BAD_VALUE, "kind is none of the known ones");
        return;
    }
    event->feedback = (rfm_feedback_kind)kind;
    yyjson_val *score = needs_score(event->feedback) ? needed(run, FIELD_score) : present(&run->fields, FIELD_score);
    if (score)
        decode_score(run, score);
    event->case_id = text(run, FIELD_case_id);
}

static rfm_trait_value decode_trait(yyjson_val *name, yyjson_val *value)
{
    rfm_trait_value trait = {.name = rfm_bytes_of(unsafe_yyjson_get_str(name), unsafe_yyjson_get_len(name))};
    if (unsafe_yyjson_is_null(value))
        trait.kind = RFM_VALUE_NULL;
    else if (unsafe_yyjson_is_bool(value))
        trait.kind = RFM_VALUE_BOOL, trait.truth = unsafe_yyjson_get_bool(value);
    else if (is_number(value))
        trait.kind = RFM_VALUE_NUMBER, trait.text = number_text(value);
    else if (unsafe_yyjson_is_str(value))
        trait.kind = RFM_VALUE_TEXT, trait.text = number_text(value);
    else
        trait.kind = RFM_VALUE_OTHER;
    return trait;
}

static void decode_traits(decode_run *run)
{
    yyjson_val *traits = present(&run->fields, FIELD_traits);
    if (!traits)
        return;
    if (!unsafe_yyjson_is_obj(traits)) {
        refuse(run, RFM_REASON_WRONG_TYPE, "%s is not an object", run->names[FIELD_traits]);
        return;
    }
    size_t count = unsafe_yyjson_get_len(traits);
    if (count > RFM_EVENT_TRAITS_MAX) {
        refuse(run, RFM_REASON_TOO_LARGE, "%s has more than %d", run->names[FIELD_traits], RFM_EVENT_TRAITS_MAX);
        return;
    }
    rfm_trait_value *values = rfm_arena_take(&run->decoder->arena, (count + 1) * sizeof *values);
    yyjson_val *name = unsafe_yyjson_get_first(traits);
    for (size_t i = 0; i < count; i++) {
        values[i] = decode_trait(name, name + 1);
        name = unsafe_yyjson_get_next(name + 1);
    }
    run->event->traits = values;
    run->event->trait_count = count;
}

static void decode_profile(decode_run *run)
{
    decode_traits(run);
    run->event->timezone = text(run, FIELD_timezone);
    run->event->language = text(run, FIELD_language);
}

static void decode_points(decode_run *run)
{
    const int64_t delta_max = INT64_C(1000000000000000);
    rfm_event *event = run->event;
    yyjson_val *delta = needed(run, FIELD_delta);
    event->reason = text_cut(run, FIELD_reason);
    if (!delta)
        return;
    if (!is_number(delta))
        refuse(run, RFM_REASON_WRONG_TYPE, "delta is not a number");
    else if (rfm_integer_parse(number_text(delta), &event->delta) != 0 || event->delta > delta_max ||
             event->delta < -delta_max)
        refuse(run, RFM_REASON_BAD_VALUE, "delta is no integer within 10^15");
}

static void decode_cost(decode_run *run)
{
    rfm_event *event = run->event;
    event->currency = text_needed(run, FIELD_currency, RFM_EVENT_TEXT_MAX);
    yyjson_val *amount = needed(run, FIELD_amount);
    event->channel = text(run, FIELD_channel);
    event->campaign = text(run, FIELD_campaign);
    if (run->reason == RFM_REASON_NONE)
        decode_amount(run, amount);
}

void rfm__decode_laid_out(decode_run *run)
{
    decode_ids(run);
    decode_time(run, run->append_ms);
    if (run->reason != RFM_REASON_NONE)
        return;
    yyjson_val *items = present(&run->fields, FIELD_items);
    if (items && unsafe_yyjson_is_ctn(items) && run->event->type != RFM_EVENT_PURCHASE)
        bound_depth(run, items, 1);
    switch (run->event->type) {
    case RFM_EVENT_PURCHASE: decode_purchase(run); break;
    case RFM_EVENT_REFUND: decode_refund(run); break;
    case RFM_EVENT_VISIT: decode_visit(run); break;
    case RFM_EVENT_MESSAGE: decode_message(run); break;
    case RFM_EVENT_CONSENT: decode_consent(run); break;
    case RFM_EVENT_FEEDBACK: decode_feedback(run); break;
    case RFM_EVENT_PROFILE: decode_profile(run); break;
    case RFM_EVENT_POINTS: decode_points(run); break;
    case RFM_EVENT_COST: decode_cost(run); break;
    case RFM_EVENT_ERASE:
    case RFM_EVENT_TYPE_COUNT: break;
    }
}

static inline void sort_event(decode_run *run, yyjson_val *root)
{
    run->names = rfm__native_names;
    sort_fields(run, root, 1, &run->fields);
}

void rfm__decode_native(decode_run *run, yyjson_val *root)
{
    sort_event(run, root);
    decode_type(run);
    rfm__decode_laid_out(run);
}

/* For the other formats, which may take longer by a call. */

void rfm__sort_event(decode_run *run, yyjson_val *root)
{
    sort_event(run, root);
}

void rfm__decode_sorted(decode_run *run)
{
    decode_type(run);
    rfm__decode_laid_out(run);
}

void rfm__bound_depth(decode_run *run, yyjson_val *root)
{
    bound_depth(run, root, 0);
}
