#include "latest.h"

#include <math.h>
#include <stdlib.h>

#include <rfm/base/hash.h>

static rfm_stamp stamp_of(const rfm_event *event)
{
    rfm_stamp stamp = {.time_ms = event->time_ms};
    if (event->id.len <= RFM_STAMP_ID_MAX) {
        stamp.id_len = (uint8_t)event->id.len;
        if (stamp.id_len > 0) {
            memcpy(stamp.id, event->id.at, event->id.len);
        }
        return stamp;
    }
    uint64_t hash = rfm_hash64(event->id);
    memcpy(stamp.id, event->id.at, RFM_STAMP_ID_MAX - sizeof hash);
    for (size_t i = 0; i < sizeof hash; i++) {
        stamp.id[RFM_STAMP_ID_MAX - 1 - i] = (uint8_t)(hash >> 8 * i);
    }
    stamp.id_len = RFM_STAMP_ID_MAX;
    return stamp;
}

static int compare_stamps(const rfm_stamp *a, const rfm_stamp *b)
{
    if (a->time_ms != b->time_ms) {
        return a->time_ms < b->time_ms ? -1 : 1;
    }
    return rfm_bytes_compare(rfm_bytes_of(a->id, a->id_len), rfm_bytes_of(b->id, b->id_len));
}

/* The stamp's index, which it gets if it is new. */
static uint8_t place_stamp(rfm_client *client, const rfm_stamp *stamp)
{
    size_t place = 0;
    int order = 1;
    while (place < client->stamp_count && (order = compare_stamps(&client->stamp[place], stamp)) < 0) {
        place++;
    }
    if (place < client->stamp_count && order == 0) {
        return (uint8_t)place;
    }
    RFM_ASSERT(client->stamp_count <= RFM_LATEST_MAX);
    memmove(&client->stamp[place + 1], &client->stamp[place], (client->stamp_count - place) * sizeof client->stamp[0]);
    client->stamp[place] = *stamp;
    client->stamp_count++;
    for (size_t i = 0; i < client->latest_count; i++) {
        client->latest[i].stamp += client->latest[i].stamp >= place;
    }
    return (uint8_t)place;
}

static void drop_unused_stamp(rfm_client *client, uint8_t stamp)
{
    for (size_t i = 0; i < client->latest_count; i++) {
        if (client->latest[i].stamp == stamp) {
            return;
        }
    }
    client->stamp_count--;
    memmove(&client->stamp[stamp], &client->stamp[stamp + 1], (client->stamp_count - stamp) * sizeof client->stamp[0]);
    for (size_t i = 0; i < client->latest_count; i++) {
        client->latest[i].stamp -= client->latest[i].stamp > stamp;
    }
}

static size_t latest_place(const rfm_client *client, uint16_t key)
{
    size_t place = 0;
    while (place < client->latest_count && client->latest[place].key < key) {
        place++;
    }
    return place;
}

static const rfm_latest *find_latest(const rfm_client *client, uint16_t key)
{
    size_t place = latest_place(client, key);
    return place < client->latest_count && client->latest[place].key == key ? &client->latest[place] : NULL;
}

/* Gives the fact at `place` another text; texts lie in the order of their facts. */
static void put_text(rfm_client *client, size_t place, rfm_bytes text)
{
    rfm_latest *latest = &client->latest[place];
    size_t after = (size_t)latest->text_at + latest->text_len;
    memmove(client->latest_text + latest->text_at + text.len, client->latest_text + after,
            client->latest_text_len - after);
    if (text.len > 0) {
        memcpy(client->latest_text + latest->text_at, text.at, text.len);
    }
    int change = (int)text.len - latest->text_len;
    client->latest_text_len = (uint16_t)(client->latest_text_len + change);
    latest->text_len = (uint16_t)text.len;
    for (size_t i = place + 1; i < client->latest_count; i++) {
        client->latest[i].text_at = (uint16_t)(client->latest[i].text_at + change);
    }
}

static void add_latest(rfm_client *client, size_t place, uint16_t key)
{
    rfm_latest *latest = &client->latest[place];
    uint16_t text_at = place < client->latest_count ? latest->text_at : client->latest_text_len;
    memmove(latest + 1, latest, (client->latest_count - place) * sizeof *latest);
    client->latest_count++;
    *latest = (rfm_latest){.key = key, .stamp = UINT8_MAX, .text_at = text_at};
}

/* What is to be kept of a fact: its type, and its value or its text. */
typedef struct kept_value {
    uint8_t type;
    int64_t integer;
    rfm_bytes text;
} kept_value;

/* False: there is no room. */
static bool put_latest(rfm_client *client, uint16_t key, const kept_value *held, const rfm_stamp *stamp)
{
    size_t place = latest_place(client, key);
    bool found = place < client->latest_count && client->latest[place].key == key;
    if (found && compare_stamps(stamp, &client->stamp[client->latest[place].stamp]) <= 0) {
        return true;
    }
    size_t text_len = found ? client->latest[place].text_len : 0;
    if (client->latest_text_len - text_len + held->text.len > RFM_LATEST_TEXT_MAX ||
        (!found && client->latest_count == RFM_LATEST_MAX)) {
        return false;
    }
    uint8_t index = place_stamp(client, stamp);
    if (!found) {
        add_latest(client, place, key);
    }
    rfm_latest *latest = &client->latest[place];
    uint8_t before = latest->stamp;
    put_text(client, place, held->text);
    latest->type = held->type;
    latest->integer = held->integer;
    latest->stamp = index;
    if (before != UINT8_MAX) {
        drop_unused_stamp(client, before);
    }
    return true;
}

/* Values of traits: false, it is not of that type. */

static bool integer_of(rfm_bytes text, int64_t *integer)
{
    rfm_decimal decimal;
    if (rfm_decimal_parse(text, &decimal) != RFM_OK || decimal.scale > 0) {
        return false;
    }
    *integer = decimal.digits;
    return true;
}

static bool double_of(rfm_bytes text, int64_t *bits)
{
    char copy[64], *end;
    if (text.len == 0 || text.len >= sizeof copy) {
        return false;
    }
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    double number = strtod(copy, &end);
    if (*end != '\0' || !isfinite(number)) {
        return false;
    }
    number = number == 0 ? 0 : number; /* one zero */
    memcpy(bits, &number, sizeof number);
    return true;
}

static bool time_of(const rfm_trait_value *value, int64_t *time_ms)
{
    bool good = value->kind == RFM_VALUE_TEXT     ? rfm_time_parse(value->text, time_ms) == RFM_OK
                : value->kind == RFM_VALUE_NUMBER ? integer_of(value->text, time_ms)
                                                  : false;
    return good && *time_ms >= RFM_TIME_YEAR_0_MS && *time_ms <= RFM_TIME_MAX_MS;
}

static bool hold_trait(const rfm_trait_value *value, rfm_trait_type type, kept_value *held)
{
    int32_t day;
    held->type = (uint8_t)type;
    switch (type) {
    case RFM_TRAIT_STRING:
        held->text = value->text;
        return value->kind == RFM_VALUE_TEXT && value->text.len <= RFM_TRAIT_TEXT_MAX;
    case RFM_TRAIT_INT: return value->kind == RFM_VALUE_NUMBER && integer_of(value->text, &held->integer);
    case RFM_TRAIT_DOUBLE: return value->kind == RFM_VALUE_NUMBER && double_of(value->text, &held->integer);
    case RFM_TRAIT_BOOL: held->integer = value->truth; return value->kind == RFM_VALUE_BOOL;
    case RFM_TRAIT_TIMESTAMP: return time_of(value, &held->integer);
    case RFM_TRAIT_DATE:
        if (value->kind != RFM_VALUE_TEXT || rfm_date_parse(value->text, &day) != RFM_OK) {
            return false;
        }
        held->integer = day;
        return true;
    }
    return false;
}

bool rfm_trait_read(const rfm_trait_value *value, rfm_trait_type type, rfm_latest *latest, rfm_bytes *text)
{
    kept_value held = {.type = RFM_LATEST_NOTHING};
    if (!hold_trait(value, type, &held)) {
        return false;
    }
    *latest = (rfm_latest){.type = held.type, .integer = held.integer};
    *text = held.text;
    return true;
}

static const rfm_trait *declared_trait(const rfm_client_conf *conf, rfm_bytes name)
{
    for (size_t i = 0; i < conf->trait_count; i++) {
        if (rfm_bytes_is(name, conf->traits[i].name)) {
            return &conf->traits[i];
        }
    }
    return NULL;
}

/* 0: cut, or the table is full: it would be another's. */
static uint16_t exact_name(rfm_names *names, rfm_bytes text)
{
    uint16_t number = rfm_names_number(names, text);
    return rfm_bytes_equal(rfm_names_text(names, number), text) ? number : 0;
}

static int64_t date_held(const rfm_client *client, uint16_t key)
{
    const rfm_latest *latest = rfm_client_trait(client, key, RFM_TRAIT_DATE);
    return latest ? latest->integer : INT64_MIN;
}

static void apply_trait(rfm_client *client, const rfm_trait_value *value, const rfm_stamp *stamp,
                        const rfm_client_conf *conf, rfm_names *names, rfm_applied *applied)
{
    const rfm_trait *trait = declared_trait(conf, value->name);
    kept_value held = {.type = RFM_LATEST_NOTHING};
    if (!trait) {
        applied->traits_undeclared++;
        return;
    }
    bool good = value->kind == RFM_VALUE_NULL || hold_trait(value, trait->type, &held);
    uint16_t key = good ? exact_name(names, value->name) : 0;
    int64_t date_before = date_held(client, key);
    if (key == 0 || !put_latest(client, key, &held, stamp)) {
        applied->traits_refused++;
    }
    applied->dates_changed = applied->dates_changed || date_held(client, key) != date_before;
}

static void apply_name(rfm_client *client, uint16_t key, rfm_bytes text, const rfm_stamp *stamp, rfm_names *names,
                       rfm_applied *applied)
{
    kept_value held = {.type = RFM_TRAIT_INT, .integer = exact_name(names, text)};
    if (held.integer == 0 || !put_latest(client, key, &held, stamp)) {
        applied->traits_refused++;
    }
}

void rfm__apply_profile(rfm_client *client, const rfm_event *event, const rfm_client_conf *conf, rfm_names *names,
                        rfm_applied *applied)
{
    rfm_stamp stamp = stamp_of(event);
    for (size_t i = 0; i < event->trait_count; i++) {
        apply_trait(client, &event->traits[i], &stamp, conf, names, applied);
    }
    applied->zone_unknown = event->timezone.len > 0 && !rfm_zones_has(conf->zones, event->timezone);
    if (event->timezone.len > 0 && !applied->zone_unknown) {
        apply_name(client, RFM_LATEST_TIMEZONE, event->timezone, &stamp, names, applied);
    }
    if (event->language.len > 0) {
        apply_name(client, RFM_LATEST_LANGUAGE, event->language, &stamp, names, applied);
    }
}

void rfm__apply_answer(rfm_client *client, const rfm_event *event)
{
    bool nps = event->feedback == RFM_FEEDBACK_NPS;
    rfm_stamp stamp = stamp_of(event);
    kept_value held = {.type = RFM_TRAIT_INT, .integer = llround(nps ? event->score : event->score * 100)};
    (void)put_latest(client, nps ? RFM_LATEST_NPS : RFM_LATEST_CSAT, &held, &stamp);
}

/* Facts compare without the numbers of their stamps, which a state as it was read may have in excess. */
static bool facts_equal(const rfm_client *a, const rfm_client *b, size_t i)
{
    const rfm_latest *of_a = &a->latest[i], *of_b = &b->latest[i];
    return of_a->key == of_b->key && of_a->type == of_b->type && of_a->integer == of_b->integer &&
           rfm_bytes_equal(rfm_client_trait_text(a, of_a), rfm_client_trait_text(b, of_b)) &&
           compare_stamps(&a->stamp[of_a->stamp], &b->stamp[of_b->stamp]) == 0;
}

bool rfm__latest_equal(const rfm_client *a, const rfm_client *b)
{
    if (a->latest_count != b->latest_count) {
        return false;
    }
    for (size_t i = 0; i < a->latest_count; i++) {
        if (!facts_equal(a, b, i)) {
            return false;
        }
    }
    return true;
}

const rfm_latest *rfm_client_trait(const rfm_client *client, uint16_t name, rfm_trait_type type)
{
    const rfm_latest *latest = name > 0 && name < RFM_LATEST_NPS ? find_latest(client, name) : NULL;
    return latest && latest->type == type ? latest : NULL;
}

rfm_bytes rfm_client_trait_text(const rfm_client *client, const rfm_latest *trait)
{
    return rfm_bytes_of(client->latest_text + trait->text_at, trait->text_len);
}

bool rfm_client_nps(const rfm_client *client, int64_t *nps)
{
    const rfm_latest *latest = find_latest(client, RFM_LATEST_NPS);
    if (latest) {
        *nps = latest->integer;
    }
    return latest != NULL;
}

bool rfm_client_csat(const rfm_client *client, double *csat)
{
    const rfm_latest *latest = find_latest(client, RFM_LATEST_CSAT);
    if (latest) {
        *csat = (double)latest->integer / 100;
    }
    return latest != NULL;
}

uint16_t rfm_client_timezone(const rfm_client *client)
{
    const rfm_latest *latest = find_latest(client, RFM_LATEST_TIMEZONE);
    return latest ? (uint16_t)latest->integer : 0;
}

uint16_t rfm_client_language(const rfm_client *client)
{
    const rfm_latest *latest = find_latest(client, RFM_LATEST_LANGUAGE);
    return latest ? (uint16_t)latest->integer : 0;
}
