#include <rfm/client/json.h>

#include <rfm/base/utf8.h>

void rfm_write_json_money(rfm_buffer *json, int64_t amount_minor, uint8_t digits)
{
    char text[RFM_MONEY_TEXT];
    size_t len = rfm_money_format(amount_minor, digits, text);
    rfm_write_u8(json, '"');
    rfm_write_bytes(json, rfm_bytes_of(text, len));
    rfm_write_u8(json, '"');
}

static void key(rfm_buffer *json, const char *name)
{
    rfm_write_text(json, ",\"");
    rfm_write_text(json, name);
    rfm_write_text(json, "\":");
}

static void put_null(rfm_buffer *json, const char *name)
{
    key(json, name);
    rfm_write_text(json, "null");
}

static void put_count(rfm_buffer *json, const char *name, uint64_t count)
{
    key(json, name);
    rfm_write_format(json, "%llu", (unsigned long long)count);
}

static void put_number(rfm_buffer *json, const char *name, double value)
{
    key(json, name);
    rfm_write_json_number(json, value);
}

static void put_money(rfm_buffer *json, const char *name, int64_t amount_minor, const rfm_client_conf *conf)
{
    key(json, name);
    rfm_write_json_money(json, amount_minor, conf->money.base.digits);
}

static void put_time(rfm_buffer *json, const char *name, bool known, int64_t time_ms)
{
    if (!known) {
        put_null(json, name);
        return;
    }
    key(json, name);
    rfm_write_json_time(json, time_ms);
}

static void put_text(rfm_buffer *json, const char *name, rfm_bytes text)
{
    if (text.len == 0) {
        put_null(json, name);
        return;
    }
    key(json, name);
    rfm_write_json_string(json, text);
}

static void put_purchases(rfm_buffer *json, const rfm_client *client, const rfm_client_conf *conf)
{
    bool buyer = client->orders > 0;
    put_count(json, "orders", client->orders);
    put_count(json, "refunds", client->refunds);
    put_money(json, "revenue", client->revenue_minor, conf);
    put_text(json, "currency", rfm_text(conf->money.base.code));
    if (buyer) {
        put_money(json, "avg_order", rfm_div_half_even(client->revenue_minor, client->orders), conf);
    } else {
        put_null(json, "avg_order");
    }
    put_time(json, "first_purchase", buyer, client->first_ms);
    put_time(json, "last_purchase", buyer, client->last_ms);
}

/* The model's answers, or null for all of them. */
static void put_activity(rfm_buffer *json, const rfm_scores *scores)
{
    const struct {
        const char *name;
        double value;
    } numbers[] = {
        {"p_alive", scores->p_alive},
        {"p_active", scores->p_active},
        {"churn_risk", scores->churn_risk},
        {"activity_ratio", scores->activity_ratio},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        put_number(json, numbers[i].name, scores->buyer ? numbers[i].value : NAN);
    }
}

/* The marks tell since when, and from where, only if the last look saw the segment that holds at `as_of`; else that
 * which it saw is the previous one. */
static void put_segment(rfm_buffer *json, const rfm_client *client, const rfm_client_conf *conf, const rfm_names *names,
                        const rfm_scores *scores)
{
    rfm_bytes segment = rfm_text(conf->segments.name[scores->segment]);
    put_text(json, "segment", segment);
    bool taken = client->marks.taken;
    bool known = taken && rfm_bytes_equal(rfm_names_text(names, client->marks.segment), segment);
    uint16_t previous = known ? client->marks.previous : client->marks.segment;
    put_text(json, "previous_segment", taken ? rfm_names_text(names, previous) : RFM_BYTES_NONE);
    put_time(json, "segment_since", known, client->marks.since_ms);
}

static void put_expected_next(rfm_buffer *json, const rfm_client *client, const rfm_client_conf *conf,
                              const rfm_scores *scores)
{
    double gap_ms = client->x > 0
                        ? rfm_model_gap_days(&conf->model, client->x, scores->t_x_days, .5) * (double)RFM_DAY_MS
                        : NAN;
    bool known = scores->buyer && gap_ms < (double)(RFM_TIME_MAX_MS - client->last_ms);
    put_time(json, "expected_next_purchase", known, known ? client->last_ms + llround(gap_ms) : 0);
}

static void put_value(rfm_buffer *json, const rfm_client *client, const rfm_client_conf *conf, int64_t as_of_ms)
{
    double orders = rfm_client_expected_orders_at(client, conf, as_of_ms);
    double predicted_minor = rint(rfm_client_predicted_minor(client, conf, orders));
    put_number(json, "expected_orders", orders);
    rfm_write_text(json, ",\"ltv\":{\"historic\":");
    rfm_write_json_money(json, client->revenue_minor, conf->money.base.digits);
    rfm_write_text(json, ",\"predicted\":");
    if (fabs(predicted_minor) < 9e18) {
        rfm_write_json_money(json, (int64_t)predicted_minor, conf->money.base.digits);
    } else {
        rfm_write_text(json, "null");
    }
    rfm_write_u8(json, '}');
}

static void put_scores(rfm_buffer *json, const rfm_client *client, const rfm_client_conf *conf, const rfm_names *names,
                       const rfm_scores *scores, int64_t as_of_ms)
{
    put_count(json, "x", client->x);
    put_number(json, "t_x", scores->buyer ? scores->t_x_days : NAN);
    put_number(json, "age", scores->buyer ? scores->t_x_days + scores->idle_days : NAN);
    if (scores->buyer) {
        rfm_write_format(json, ",\"rfm\":{\"r\":%d,\"f\":%d,\"m\":%d}", scores->r, scores->f, scores->m);
    } else {
        put_null(json, "rfm");
    }
    put_segment(json, client, conf, names, scores);
    put_text(json, "lifecycle", rfm_text(rfm_lifecycle_name(scores->lifecycle)));
    put_activity(json, scores);
    put_expected_next(json, client, conf, scores);
    put_value(json, client, conf, as_of_ms);
}

/* Entries in the order of their channels' texts: numbers differ from task to task. */
static void sort_by_text(const rfm_names *names, const uint16_t *channel, size_t count, uint8_t *order)
{
    for (size_t i = 0; i < count; i++) {
        rfm_bytes text = rfm_names_text(names, channel[i]);
        size_t place = i;
        while (place > 0 && rfm_bytes_compare(text, rfm_names_text(names, channel[order[place - 1]])) < 0) {
            order[place] = order[place - 1];
            place--;
        }
        order[place] = (uint8_t)i;
    }
}

static void put_statuses(rfm_buffer *json, const rfm_channel_stats *stats)
{
    const char *before = "";
    rfm_write_u8(json, '{');
    for (int status = 0; status < RFM_STATUS_COUNT; status++) {
        if (stats->by_status[status] > 0) {
            rfm_write_format(json, "%s\"%s\":%lu", before, rfm_message_status_name((rfm_message_status)status),
                             (unsigned long)stats->by_status[status]);
            before = ",";
        }
    }
    rfm_write_u8(json, '}');
}

static void put_messages(rfm_buffer *json, const rfm_client *client, const rfm_names *names)
{
    uint16_t channel[RFM_CHANNELS_MAX + 1];
    uint8_t order[RFM_CHANNELS_MAX + 1];
    for (size_t i = 0; i < client->channel_count; i++) {
        channel[i] = client->channel[i].name;
    }
    sort_by_text(names, channel, client->channel_count, order);
    key(json, "messages");
    rfm_write_u8(json, '{');
    for (size_t i = 0; i < client->channel_count; i++) {
        rfm_write_text(json, i > 0 ? "," : "");
        rfm_write_json_string(json, rfm_names_text(names, channel[order[i]]));
        rfm_write_u8(json, ':');
        put_statuses(json, &client->channel[order[i]]);
    }
    rfm_write_u8(json, '}');
}

static void put_consents(rfm_buffer *json, const rfm_client *client, const rfm_names *names)
{
    uint16_t channel[RFM_CONSENTS_MAX];
    uint8_t order[RFM_CONSENTS_MAX];
    for (size_t i = 0; i < client->consent_count; i++) {
        channel[i] = client->consent[i].channel;
    }
    sort_by_text(names, channel, client->consent_count, order);
    key(json, "consent");
    rfm_write_u8(json, '{');
    for (size_t i = 0; i < client->consent_count; i++) {
        const rfm_consent *consent = &client->consent[order[i]];
        if (i > 0 && consent->channel == channel[order[i - 1]]) {
            rfm_write_u8(json, ',');
        } else {
            rfm_write_text(json, i > 0 ? "}," : "");
            rfm_write_json_string(json, rfm_names_text(names, consent->channel));
            rfm_write_text(json, ":{");
        }
        rfm_write_format(json, "\"%s\":%s", rfm_class_name((rfm_class)consent->class_),
                         consent->granted ? "true" : "false");
    }
    rfm_write_text(json, client->consent_count > 0 ? "}}" : "}");
}

static void put_favourites(rfm_buffer *json, const rfm_client *client, const rfm_names *names)
{
    uint8_t order[RFM_CATEGORIES_MAX];
    size_t count = rfm_client_favourites(client, names, order);
    put_text(json, "favourite_category",
             count > 0 ? rfm_names_text(names, client->category[order[0]].name) : RFM_BYTES_NONE);
    key(json, "favourite_categories");
    rfm_write_u8(json, '[');
    for (size_t i = 0; i < count; i++) {
        const rfm_category *category = &client->category[order[i]];
        rfm_write_text(json, i > 0 ? ",{\"category\":" : "{\"category\":");
        rfm_write_json_string(json, rfm_names_text(names, category->name));
        rfm_write_format(json, ",\"orders\":%lu}", (unsigned long)category->orders);
    }
    rfm_write_u8(json, ']');
    put_text(json, "preferred_channel", rfm_names_text(names, rfm_client_preferred_channel(client, names)));
}

static void put_date(rfm_buffer *json, int32_t day)
{
    int year, month, day_of_month;
    rfm_civil_of_day(day, &year, &month, &day_of_month);
    rfm_write_format(json, "\"%04d-%02d-%02d\"", year, month, day_of_month);
}

static void put_trait(rfm_buffer *json, const rfm_client *client, const rfm_latest *trait)
{
    switch (trait->type) {
    case RFM_TRAIT_STRING: rfm_write_json_string(json, rfm_client_trait_text(client, trait)); break;
    case RFM_TRAIT_INT: rfm_write_format(json, "%lld", (long long)trait->integer); break;
    case RFM_TRAIT_DOUBLE: rfm_write_json_number(json, trait->number); break;
    case RFM_TRAIT_BOOL: rfm_write_text(json, trait->integer ? "true" : "false"); break;
    case RFM_TRAIT_DATE: put_date(json, (int32_t)trait->integer); break;
    default: rfm_write_json_time(json, trait->integer);
    }
}

/* Those that the configuration declares, by name. */
static void put_traits(rfm_buffer *json, const rfm_client *client, const rfm_client_conf *conf, const rfm_names *names)
{
    const char *before = "";
    key(json, "traits");
    rfm_write_u8(json, '{');
    for (size_t i = 0; i < conf->trait_count; i++) {
        rfm_bytes name = rfm_text(conf->traits[i].name);
        const rfm_latest *trait = rfm_client_trait(client, rfm_names_find(names, name), conf->traits[i].type);
        if (trait) {
            rfm_write_text(json, before);
            rfm_write_json_string(json, name);
            rfm_write_u8(json, ':');
            put_trait(json, client, trait);
            before = ",";
        }
    }
    rfm_write_u8(json, '}');
}

static void put_profile(rfm_buffer *json, const rfm_client *client, const rfm_client_conf *conf, const rfm_names *names)
{
    int64_t nps;
    if (rfm_client_nps(client, &nps)) {
        put_count(json, "nps", (uint64_t)nps);
    } else {
        put_null(json, "nps");
    }
    put_count(json, "open_complaints", rfm_client_open_complaints(client));
    key(json, "points");
    rfm_write_format(json, "%lld", (long long)client->points);
    put_traits(json, client, conf, names);
    put_text(json, "timezone", rfm_names_text(names, rfm_client_timezone(client)));
    put_text(json, "language", rfm_names_text(names, rfm_client_language(client)));
    put_text(json, "source", rfm_names_text(names, client->source));
}

static void put_contacts(rfm_buffer *json, const rfm_client *client, const rfm_client_conf *conf,
                         const rfm_names *names)
{
    put_favourites(json, client, names);
    put_count(json, "visits", client->visits);
    put_time(json, "last_visit", client->visits > 0, client->visit_last_ms);
    put_messages(json, client, names);
    put_consents(json, client, names);
    put_profile(json, client, conf, names);
}

int rfm_client_json(rfm_buffer *json, rfm_bytes client_id, const rfm_client *client, const rfm_client_conf *conf,
                    const rfm_names *names, const rfm_edges *edges, int64_t as_of_ms, rfm_error *error)
{
    if (as_of_ms < rfm_client_last_event_ms(client)) {
        return rfm_fail(error, RFM_E_RANGE,
                        "as_of lies before the client's last event: the state then is not kept, ask for now or later");
    }
    rfm_scores scores;
    rfm_scores_at(client, conf, edges, as_of_ms, &scores);
    rfm_write_text(json, "{\"client_id\":");
    rfm_write_json_string(json, client_id);
    put_time(json, "as_of", true, as_of_ms);
    put_purchases(json, client, conf);
    put_scores(json, client, conf, names, &scores, as_of_ms);
    put_contacts(json, client, conf, names);
    return json->bad
               ? rfm_fail(error, RFM_E_FULL, "the client's JSON is larger than its room of %zu bytes", json->limit)
               : RFM_OK;
}
