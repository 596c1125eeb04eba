/* What events of every type make of a client: each rule by hand, and any order of a set against facts that are computed
 * from the set as a whole. */
#include "world.h"

#include <rfm/client/json.h>

#include <math.h>

static rfm_client_conf conf;
static rfm_names *names;
static rfm_client client;
static rfm_applied applied;
static rfm_zones *zones;

static const rfm_trait declared[] = {
    {"age", RFM_TRAIT_INT},           {"birth_date", RFM_TRAIT_DATE}, {"ratio", RFM_TRAIT_DOUBLE},
    {"seen_at", RFM_TRAIT_TIMESTAMP}, {"tier", RFM_TRAIT_STRING},     {"vip", RFM_TRAIT_BOOL},
};
enum { DECLARED = sizeof declared / sizeof *declared };

static int set_up(void **state)
{
    (void)state;
    rfm_client_conf_defaults(&conf);
    conf.traits = declared;
    conf.trait_count = DECLARED;
    conf.zones = zones;
    names = rfm_names_new();
    memset(&client, 0xa5, sizeof client);
    rfm_client_init(&client);
    return names ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    rfm_names_free(names);
    return 0;
}

static int load_zones(void **state)
{
    (void)state;
    return rfm_zones_load(&zones, NULL);
}

static int free_zones(void **state)
{
    (void)state;
    rfm_zones_free(zones);
    return 0;
}

static uint64_t last_id;

static rfm_event next(rfm_event_type type, const char *id, int64_t time_ms)
{
    rfm_event event = event_of(type, ++last_id, time_ms);
    event.id = rfm_text(id);
    return event;
}

static void accept(rfm_event event)
{
    assert_int_equal(rfm_client_apply(&client, &event, 0, &conf, names, &applied), RFM_APPLIED);
}

/* The value of a field of the client's JSON, as far as its comma at depth 0. */
static const char *field(const char *name)
{
    static char text[4096];
    static uint8_t room[1 << 16];
    rfm_buffer json = rfm_buffer_over(room, sizeof room);
    char key[64];
    int64_t as_of_ms = rfm_client_last_event_ms(&client);
    assert_int_equal(
        rfm_client_json(&json, rfm_text("c"), &client, &conf, names, NULL, as_of_ms == INT64_MIN ? T0 : as_of_ms, NULL),
        RFM_OK);
    rfm_write_u8(&json, 0);
    snprintf(key, sizeof key, ",\"%s\":", name);
    const char *at = strstr((const char *)room, key);
    assert_non_null(at);
    at += strlen(key);
    size_t len = 0;
    bool quoted = false;
    for (int depth = 0; at[len] && (quoted || depth > 0 || at[len] != ','); len++) {
        quoted ^= at[len] == '"';
        depth += quoted ? 0 : at[len] == '{' || at[len] == '[' ? 1 : at[len] == '}' || at[len] == ']' ? -1 : 0;
    }
    snprintf(text, sizeof text, "%.*s", (int)len, at);
    return text;
}

#define assert_field(name, value) assert_string_equal(field(name), value)

/* Categories */

static void buy(const char *const *categories, int64_t amount_minor)
{
    rfm_bytes texts[16];
    rfm_event event = next(RFM_EVENT_PURCHASE, "p", T0 + (int64_t)last_id * 1000);
    event.order_id48 = 5000 + last_id, event.amount_minor = amount_minor, event.has_amount = true;
    for (; categories[event.category_count]; event.category_count++)
        texts[event.category_count] = rfm_text(categories[event.category_count]);
    event.categories = texts;
    accept(event);
}

#define BUY(...) buy((const char *const[]){__VA_ARGS__, NULL}, 100)

static void an_order_counts_once_for_each_category(void **state)
{
    (void)state;
    assert_field("favourite_category", "null");
    assert_field("favourite_categories", "[]");
    BUY("shoes", "hats");
    BUY("hats");
    BUY("bags");
    assert_field("favourite_category", "\"hats\"");
    assert_field("favourite_categories", "[{\"category\":\"hats\",\"orders\":2},{\"category\":\"bags\",\"orders\":1},"
                                         "{\"category\":\"shoes\",\"orders\":1}]");
    buy((const char *const[]){"socks", NULL}, 0); /* an order of 0 changes no fact */
    rfm_event refund_of = full_refund(77, 5000 + 1, T0 + RFM_DAY_MS);
    accept(refund_of); /* what was liked stays liked */
    assert_field("favourite_category", "\"hats\"");
}

/* Space-Saving: the least of eight makes room, its count goes to the new one: never less than the truth. */
static void beyond_eight_categories_the_least_makes_room(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        BUY("a", "b", "c", "d", "e", "f", "g");
    BUY("h");
    BUY("i");
    assert_int_equal(client.category_count, RFM_CATEGORIES_MAX);
    assert_true(strstr(field("favourite_categories"), "{\"category\":\"i\",\"orders\":2}") != NULL);
    assert_null(strstr(field("favourite_categories"), "\"h\""));
    uint64_t seed = 3, truth[20] = {0};
    for (int i = 0; i < 3000; i++) {
        uint64_t which = random_below(&seed, 2) ? random_below(&seed, 4) : random_below(&seed, 20);
        char name[8];
        snprintf(name, sizeof name, "k%d", (int)which);
        truth[which]++;
        BUY(name);
    }
    for (size_t i = 0; i < client.category_count; i++) {
        rfm_bytes text = rfm_names_text(names, client.category[i].name);
        for (size_t k = 0; k < 20; k++) {
            char name[8];
            snprintf(name, sizeof name, "k%d", (int)k);
            assert_true(!rfm_bytes_is(text, name) || client.category[i].orders >= truth[k]);
        }
    }
    for (int i = 0; i < 4; i++) { /* each more than an eighth of all */
        char name[24];
        snprintf(name, sizeof name, "\"k%d\"", i);
        assert_non_null(strstr(field("favourite_categories"), name));
    }
}

/* Response */

static void say(const char *channel, rfm_message_status status, int count)
{
    for (int i = 0; i < count; i++)
        accept(message(100000 + ++last_id, channel, status, T0 + i));
}

/* Beta(1, 9): (1 + answers) / (10 + delivered), by hand. */
static void the_channel_with_the_best_response_is_preferred(void **state)
{
    (void)state;
    assert_field("preferred_channel", "null");
    say("email", RFM_STATUS_SENT, 3);
    assert_field("preferred_channel", "null");
    say("email", RFM_STATUS_DELIVERED, 30);
    say("email", RFM_STATUS_CLICKED, 3); /* 4/40 */
    say("sms", RFM_STATUS_DELIVERED, 2); /* 1/12 */
    assert_field("preferred_channel", "\"email\"");
    say("sms", RFM_STATUS_REPLIED, 1); /* 2/12 */
    assert_field("preferred_channel", "\"sms\"");
    say("push", RFM_STATUS_DELIVERED, 14);
    say("push", RFM_STATUS_CLICKED, 2);
    say("push", RFM_STATUS_REPLIED, 1); /* 4/24 = 2/12: more was delivered */
    assert_field("preferred_channel", "\"push\"");
    assert_true(fabs(rfm_client_response(&client, rfm_names_find(names, rfm_text("email"))) - .1) < 1e-15);
    assert_true(fabs(rfm_client_response(&client, 4000) - .1) < 1e-15); /* the prior's mean */
    say("fax", RFM_STATUS_CLICKED, 1);                                  /* 2/11: delivered, since answered */
    assert_field("preferred_channel", "\"fax\"");
}

/* Feedback */

static void feedback(const char *id, rfm_feedback_kind kind, double score, const char *case_id, int64_t time_ms)
{
    rfm_event event = next(RFM_EVENT_FEEDBACK, id, time_ms);
    event.feedback = kind, event.score = score, event.has_score = true, event.case_id = rfm_text(case_id);
    accept(event);
}

static void the_last_answer_counts(void **state)
{
    (void)state;
    double csat;
    assert_field("nps", "null");
    assert_false(rfm_client_csat(&client, &csat));
    feedback("b", RFM_FEEDBACK_NPS, 9, "", T0 + 10);
    feedback("a", RFM_FEEDBACK_NPS, 3, "", T0 + 10); /* of one time the greater id */
    feedback("z", RFM_FEEDBACK_NPS, 2, "", T0 + 9);
    assert_field("nps", "9");
    feedback("ba", RFM_FEEDBACK_NPS, 0, "", T0 + 10);
    assert_field("nps", "0");
    feedback("c", RFM_FEEDBACK_CSAT, 4.5, "", T0 + 1);
    assert_true(rfm_client_csat(&client, &csat) && csat == 4.5);
    feedback("d", RFM_FEEDBACK_REVIEW, 1, "", T0 + 20);
    assert_field("nps", "0");
    assert_int_equal(rfm_client_last_event_ms(&client), T0 + 10); /* the window has whole seconds */
}

static void complaints_are_open_until_resolved(void **state)
{
    (void)state;
    const rfm_feedback_kind complaint = RFM_FEEDBACK_COMPLAINT, resolved = RFM_FEEDBACK_RESOLVED;
    feedback("1", complaint, 0, "", T0);
    feedback("2", complaint, 0, "A", T0);
    feedback("3", complaint, 0, "A", T0 + 1); /* once more about the same */
    assert_field("open_complaints", "2");
    feedback("4", resolved, 0, "A", T0 + 2);
    feedback("5", resolved, 0, "A", T0 + 3);
    assert_field("open_complaints", "1");
    feedback("6", complaint, 0, "A", T0 + 2); /* earlier than what was resolved last */
    assert_field("open_complaints", "1");
    feedback("7", complaint, 0, "A", T0 + 5); /* opened again */
    assert_field("open_complaints", "2");
    feedback("8", resolved, 0, "B", T0 + 6); /* B's complaint may have had no case */
    assert_field("open_complaints", "1");
    feedback("9", resolved, 0, "C", T0 + 6); /* but it was not A's */
    assert_field("open_complaints", "1");
    feedback("10", complaint, 0, "B", T0 + 4); /* it had a case, and comes late: C takes the one without */
    assert_field("open_complaints", "1");
    feedback("11", complaint, 0, "C", T0 + 4);
    assert_field("open_complaints", "2");
    feedback("12", resolved, 0, "", T0 + 6);
    feedback("13", resolved, 0, "", T0 + 6);
    assert_field("open_complaints", "0");
    feedback("14", resolved, 0, "", T0 + 6); /* one more is resolved than complained of */
    feedback("15", complaint, 0, "", T0 + 7);
    assert_field("open_complaints", "0");
    feedback("16", complaint, 0, "D", T0 + 7);
    assert_field("open_complaints", "1");
}

static void old_cases_stay_counted(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        char case_id[8];
        snprintf(case_id, sizeof case_id, "c%d", i);
        feedback("x", RFM_FEEDBACK_COMPLAINT, 0, case_id, T0 + i);
    }
    assert_int_equal(client.case_count, RFM_CASES_MAX);
    assert_field("open_complaints", "20");
    feedback("y", RFM_FEEDBACK_RESOLVED, 0, "c0", T0 + 30); /* not known any more: it resolves one of those */
    assert_field("open_complaints", "19");
    feedback("y", RFM_FEEDBACK_RESOLVED, 0, "c19", T0 + 30);
    assert_field("open_complaints", "18");
}

/* Points */

static void points_add_up(void **state)
{
    (void)state;
    const int64_t deltas[] = {120, -200, 30};
    for (size_t i = 0; i < 3; i++) {
        rfm_event event = next(RFM_EVENT_POINTS, "p", T0);
        event.delta = deltas[i];
        accept(event);
    }
    assert_field("points", "-50");
    client.points = INT64_MAX - 5;
    rfm_event event = next(RFM_EVENT_POINTS, "p", T0);
    event.delta = 6;
    assert_int_equal(rfm_client_apply(&client, &event, 0, &conf, names, &applied), RFM_REFUSED);
    assert_int_equal(applied.reason, RFM_REASON_BAD_VALUE);
    assert_true(client.points == INT64_MAX - 5);
}

/* Profile */

static rfm_trait_value trait_of(const char *name, rfm_value_kind kind, const char *text, bool truth)
{
    return (rfm_trait_value){rfm_text(name), kind, rfm_text(text), truth};
}
#define TEXT(name, value)   trait_of(name, RFM_VALUE_TEXT, value, false)
#define NUMBER(name, value) trait_of(name, RFM_VALUE_NUMBER, value, false)
#define TRUTH(name, value)  trait_of(name, RFM_VALUE_BOOL, "", value)
#define GONE(name)          trait_of(name, RFM_VALUE_NULL, "", false)

static void profile(const char *id, int64_t time_ms, const rfm_trait_value *traits, size_t count)
{
    rfm_event event = next(RFM_EVENT_PROFILE, id, time_ms);
    event.traits = traits, event.trait_count = count;
    accept(event);
}
#define PROFILE(id, time_ms, ...)                                        \
    do {                                                                 \
        const rfm_trait_value traits_[] = {__VA_ARGS__};                 \
        profile(id, time_ms, traits_, sizeof traits_ / sizeof *traits_); \
    } while (0)

static void traits_have_their_declared_types(void **state)
{
    (void)state;
    PROFILE("1", T0, TEXT("tier", "gold \"x\""), NUMBER("age", "41"), NUMBER("ratio", "0.1"), TRUTH("vip", true),
            TEXT("birth_date", "1984-02-29"), TEXT("seen_at", "2026-01-01T01:00:00+01:00"));
    assert_field("traits", "{\"age\":41,\"birth_date\":\"1984-02-29\",\"ratio\":0.1,"
                           "\"seen_at\":\"2026-01-01T00:00:00.000Z\",\"tier\":\"gold \\\"x\\\"\",\"vip\":true}");
    assert_int_equal(applied.traits_refused + applied.traits_undeclared, 0);
    PROFILE("2", T0 + 1, NUMBER("seen_at", "1"), TRUTH("vip", false), NUMBER("age", "-7"));
    assert_field("traits", "{\"age\":-7,\"birth_date\":\"1984-02-29\",\"ratio\":0.1,"
                           "\"seen_at\":\"1970-01-01T00:00:00.001Z\",\"tier\":\"gold \\\"x\\\"\",\"vip\":false}");
    conf.trait_count = 2; /* what is not declared any more is not shown */
    assert_field("traits", "{\"age\":-7,\"birth_date\":\"1984-02-29\"}");
}

static void what_does_not_fit_is_dropped_and_counted(void **state)
{
    (void)state;
    char longer[RFM_TRAIT_TEXT_MAX + 2];
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = 0;
    PROFILE("1", T0, TEXT("colour", "red"), TEXT("age", "41"), NUMBER("age", "1.5"), NUMBER("tier", "1"),
            TEXT("tier", longer), TEXT("birth_date", "1984-02-30"), TEXT("vip", "true"), NUMBER("ratio", "1e400"),
            TEXT("seen_at", "yesterday"),
            ((rfm_trait_value){rfm_text("tier"), RFM_VALUE_OTHER, RFM_BYTES_NONE, false}));
    assert_field("traits", "{}");
    assert_int_equal(applied.traits_undeclared, 1);
    assert_int_equal(applied.traits_refused, 9);
    rfm_event event = next(RFM_EVENT_PROFILE, "2", T0);
    event.timezone = rfm_text("Europe/Atlantis");
    accept(event);
    assert_true(applied.zone_unknown);
    assert_field("timezone", "null");
}

static void the_latest_profile_counts(void **state)
{
    (void)state;
    PROFILE("b", T0 + 5, TEXT("tier", "gold"), NUMBER("age", "3"));
    PROFILE("z", T0 + 4, TEXT("tier", "silver"));
    PROFILE("a", T0 + 5, TEXT("tier", "silver"));
    assert_field("traits", "{\"age\":3,\"tier\":\"gold\"}");
    PROFILE("c", T0 + 5, TEXT("tier", "silver"));
    assert_field("traits", "{\"age\":3,\"tier\":\"silver\"}");
    PROFILE("d", T0 + 9, GONE("tier"));
    PROFILE("e", T0 + 8, TEXT("tier", "bronze"));
    assert_field("traits", "{\"age\":3}");
    PROFILE("f", T0 + 10, TEXT("tier", "first"), TEXT("tier", "second")); /* of one name the first counts */
    assert_field("traits", "{\"age\":3,\"tier\":\"first\"}");
    assert_int_equal(client.stamp_count, 2);
    rfm_event event = next(RFM_EVENT_PROFILE, "g", T0 + 11);
    event.timezone = rfm_text("UTC"), event.language = rfm_text("de-CH");
    accept(event);
    assert_field("timezone", "\"UTC\"");
    assert_field("language", "\"de-CH\"");
}

/* Source */

static void the_first_campaign_by_time_is_the_source(void **state)
{
    (void)state;
    rfm_event event = visit(++last_id, T0 + 10);
    accept(event);
    assert_field("source", "null");
    event = visit(++last_id, T0 + 20), event.campaign = rfm_text("spring");
    accept(event);
    event = visit(++last_id, T0 + 30), event.campaign = rfm_text("autumn");
    accept(event);
    assert_field("source", "\"spring\"");
    event = next(RFM_EVENT_COST, "c", T0 + 20), event.campaign = rfm_text("radio"), event.amount_minor = 5;
    accept(event);
    assert_field("source", "\"radio\""); /* of one time, by the text */
    event = message(++last_id, "email", RFM_STATUS_SENT, T0 + 1), event.campaign = rfm_text("zine");
    accept(event);
    assert_field("source", "\"zine\"");
    assert_field("orders", "0");
}

/* Any order */

enum { SET_MAX = 28 };
typedef struct saying {
    rfm_event event;
    char id[8];
    rfm_bytes categories[3];
    rfm_trait_value traits[3];
    char number[8];
} saying;

static const char *pick(uint64_t *seed, const char *const *from, size_t count)
{
    return from[random_below(seed, count)];
}
#define PICK(seed, ...) \
    pick(seed, (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void add_categories(saying *said, uint64_t *seed)
{
    size_t first = (size_t)random_below(seed, 8);
    static const char *const all[] = {"a", "b", "c", "d", "e", "f", "g", "h", "a", "b"};
    said->event.category_count = random_below(seed, 4);
    for (size_t i = 0; i < said->event.category_count; i++)
        said->categories[i] = rfm_text(all[first + i]);
    said->event.categories = said->categories;
}

static void add_traits(saying *said, uint64_t *seed)
{
    size_t count = 0;
    snprintf(said->number, sizeof said->number, "%d", (int)random_below(seed, 100));
    if (random_below(seed, 2))
        said->traits[count++] = random_below(seed, 4) ? NUMBER("age", said->number) : GONE("age");
    if (random_below(seed, 2))
        said->traits[count++] = TEXT("tier", PICK(seed, "gold", "silver", "", "a longer text than others"));
    if (random_below(seed, 3) == 0)
        said->traits[count++] = TRUTH("vip", random_below(seed, 2));
    said->event.traits = said->traits, said->event.trait_count = count;
    if (random_below(seed, 2))
        said->event.timezone = rfm_text(PICK(seed, "UTC", "Europe/Berlin", "Mars/Olympus"));
    if (random_below(seed, 2))
        said->event.language = rfm_text(PICK(seed, "de", "en", "fr"));
}

/* Few times, so that there are ties; times of purchases within the lateness. */
static void say_something(saying *said, size_t number, uint64_t *seed)
{
    rfm_event_type type = (rfm_event_type)random_below(seed, RFM_EVENT_ERASE);
    int64_t time_ms = T0 + (int64_t)random_below(seed, 5) * 12 * RFM_DAY_MS + (int64_t)random_below(seed, 2);
    *said = (saying){0};
    if (type == RFM_EVENT_REFUND)
        type = RFM_EVENT_FEEDBACK; /* client_test.c has them */
    rfm_event *event = &said->event;
    *event = event_of(type, number, time_ms);
    snprintf(said->id, sizeof said->id, "e%d", (int)(number * 7 % 32)); /* not in the order of their making */
    event->id = rfm_text(said->id);
    if (random_below(seed, 3) == 0)
        event->campaign = rfm_text(PICK(seed, "spring", "summer", "radio"));
    switch (type) {
    case RFM_EVENT_PURCHASE:
        event->order_id48 = number, event->has_amount = true;
        event->amount_minor = (int64_t)random_below(seed, 4) * 500;
        add_categories(said, seed);
        break;
    case RFM_EVENT_MESSAGE:
    case RFM_EVENT_CONSENT:
        event->channel = rfm_text(PICK(seed, "email", "sms", "push"));
        event->status = (rfm_message_status)random_below(seed, RFM_STATUS_COUNT), event->permanent = true;
        event->granted = random_below(seed, 2);
        break;
    case RFM_EVENT_FEEDBACK:
        event->feedback = (rfm_feedback_kind)random_below(seed, RFM_FEEDBACK_COUNT);
        event->score = (double)random_below(seed, 11), event->has_score = true;
        event->case_id = rfm_text(PICK(seed, "", "A", "B", "C"));
        break;
    case RFM_EVENT_PROFILE: add_traits(said, seed); break;
    case RFM_EVENT_POINTS: event->delta = (int64_t)random_below(seed, 201) - 100; break;
    default: break;
    }
}

static bool is_later(const rfm_event *a, const rfm_event *b)
{
    return a->time_ms != b->time_ms ? a->time_ms > b->time_ms : rfm_bytes_compare(a->id, b->id) > 0;
}

/* The facts that the set has as a whole, as JSON. */

static const saying *latest_of(const saying *set, size_t count, bool (*says)(const rfm_event *event, const char *what),
                               const char *what)
{
    const saying *latest = NULL;
    for (size_t i = 0; i < count; i++)
        if (says(&set[i].event, what) && (!latest || is_later(&set[i].event, &latest->event)))
            latest = &set[i];
    return latest;
}

static bool says_nps(const rfm_event *event, const char *what)
{
    (void)what;
    return event->type == RFM_EVENT_FEEDBACK && event->feedback == RFM_FEEDBACK_NPS;
}
static bool says_zone(const rfm_event *event, const char *what)
{
    (void)what;
    return event->timezone.len > 0 && rfm_zones_has(zones, event->timezone);
}
static bool says_language(const rfm_event *event, const char *what)
{
    (void)what;
    return event->language.len > 0;
}
static const rfm_trait_value *trait_in(const rfm_event *event, const char *name)
{
    for (size_t i = 0; i < event->trait_count; i++)
        if (rfm_bytes_is(event->traits[i].name, name))
            return &event->traits[i];
    return NULL;
}
static bool says_trait(const rfm_event *event, const char *name)
{
    return trait_in(event, name) != NULL;
}

static int open_of_set(const saying *set, size_t count)
{
    int loose = 0, unmatched = 0, open = 0; /* without a case; resolutions of cases nobody complained of; cases */
    for (const char *const *name = (const char *const[]){"", "A", "B", "C", NULL}; *name; name++) {
        const rfm_event *last = NULL;
        bool complained = false;
        for (size_t i = 0; i < count; i++) {
            const rfm_event *event = &set[i].event;
            bool complaint = event->feedback == RFM_FEEDBACK_COMPLAINT,
                 resolved = event->feedback == RFM_FEEDBACK_RESOLVED;
            if (event->type != RFM_EVENT_FEEDBACK || (!complaint && !resolved) || !rfm_bytes_is(event->case_id, *name))
                continue;
            if (!**name)
                loose += complaint ? 1 : -1;
            complained = complained || complaint;
            if (!last || event->time_ms > last->time_ms || (event->time_ms == last->time_ms && resolved))
                last = event;
        }
        if (**name && last)
            open += last->feedback == RFM_FEEDBACK_COMPLAINT, unmatched += !complained;
    }
    if (loose > 0)
        loose = loose > unmatched ? loose - unmatched : 0;
    return loose + open > 0 ? loose + open : 0;
}

static void favourites_of_set(const saying *set, size_t count, char *text, size_t size)
{
    int orders[8] = {0};
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; set[i].event.amount_minor > 0 && k < set[i].event.category_count; k++)
            orders[set[i].categories[k].at[0] - 'a']++;
    size_t len = (size_t)snprintf(text, size, "[");
    for (int most = SET_MAX; most > 0; most--)
        for (int i = 0; i < 8; i++)
            if (orders[i] == most)
                len += (size_t)snprintf(text + len, size - len, "%s{\"category\":\"%c\",\"orders\":%d}",
                                        len > 1 ? "," : "", 'a' + i, most);
    snprintf(text + len, size - len, "]");
}

static const char *preferred_of_set(const saying *set, size_t count)
{
    static const char *const channels[] = {"email", "push", "sms"}; /* by text */
    const char *best = NULL;
    double best_mean = 0;
    int best_delivered = 0;
    for (int c = 0; c < 3; c++) {
        int delivered = 0, answers = 0;
        for (size_t i = 0; i < count; i++) {
            const rfm_event *event = &set[i].event;
            bool here = event->type == RFM_EVENT_MESSAGE && rfm_bytes_is(event->channel, channels[c]);
            delivered += here && event->status == RFM_STATUS_DELIVERED;
            answers += here && (event->status == RFM_STATUS_CLICKED || event->status == RFM_STATUS_REPLIED);
        }
        int trials = delivered > answers ? delivered : answers;
        double mean = (1. + answers) / (10. + trials);
        bool better = mean > best_mean + 1e-12 || (mean > best_mean - 1e-12 && delivered > best_delivered);
        if (trials > 0 && (!best || better))
            best = channels[c], best_mean = mean, best_delivered = delivered;
    }
    return best;
}

static const char *source_of_set(const saying *set, size_t count)
{
    const rfm_event *first = NULL;
    for (size_t i = 0; i < count; i++) {
        const rfm_event *event = &set[i].event;
        bool may = event->type == RFM_EVENT_VISIT || event->type == RFM_EVENT_MESSAGE ||
                   event->type == RFM_EVENT_COST || (event->type == RFM_EVENT_PURCHASE && event->amount_minor > 0);
        if (may && event->campaign.len > 0 &&
            (!first || event->time_ms < first->time_ms ||
             (event->time_ms == first->time_ms && rfm_bytes_compare(event->campaign, first->campaign) < 0)))
            first = event;
    }
    return first ? (const char *)first->campaign.at : NULL;
}

static void quote(const char *text, char *quoted, size_t size)
{
    snprintf(quoted, size, text ? "\"%s\"" : "null", text);
}

static void traits_of_set(const saying *set, size_t count, char *text, size_t size)
{
    size_t len = (size_t)snprintf(text, size, "{");
    for (size_t i = 0; i < DECLARED; i++) {
        const saying *said = latest_of(set, count, says_trait, declared[i].name);
        const rfm_trait_value *value = said ? trait_in(&said->event, declared[i].name) : NULL;
        if (!value || value->kind == RFM_VALUE_NULL)
            continue;
        const char *format = value->kind == RFM_VALUE_TEXT ? "%s\"%s\":\"%.*s\"" : "%s\"%s\":%.*s";
        rfm_bytes shown = value->kind == RFM_VALUE_BOOL ? rfm_text(value->truth ? "true" : "false") : value->text;
        len += (size_t)snprintf(text + len, size - len, format, len > 1 ? "," : "", declared[i].name, (int)shown.len,
                                (const char *)shown.at);
    }
    snprintf(text + len, size - len, "}");
}

static void assert_facts_of(const saying *set, size_t count)
{
    char text[1024], number[24];
    int64_t points = 0;
    const saying *latest = latest_of(set, count, says_nps, NULL);
    snprintf(number, sizeof number, latest ? "%d" : "null", latest ? (int)latest->event.score : 0);
    assert_field("nps", number);
    latest = latest_of(set, count, says_zone, NULL);
    quote(latest ? (const char *)latest->event.timezone.at : NULL, text, sizeof text);
    assert_field("timezone", text);
    latest = latest_of(set, count, says_language, NULL);
    quote(latest ? (const char *)latest->event.language.at : NULL, text, sizeof text);
    assert_field("language", text);
    traits_of_set(set, count, text, sizeof text);
    assert_field("traits", text);
    favourites_of_set(set, count, text, sizeof text);
    assert_field("favourite_categories", text);
    quote(preferred_of_set(set, count), text, sizeof text);
    assert_field("preferred_channel", text);
    quote(source_of_set(set, count), text, sizeof text);
    assert_field("source", text);
    for (size_t i = 0; i < count; i++)
        points += set[i].event.delta;
    snprintf(number, sizeof number, "%lld", (long long)points);
    assert_field("points", number);
    snprintf(number, sizeof number, "%d", open_of_set(set, count));
    assert_field("open_complaints", number);
}

static size_t packed_facts(uint8_t packed[RFM_CLIENT_PACKED_MAX])
{
    static rfm_client facts;
    facts = client;
    facts.order_count = facts.seen_count = 0; /* these go by arrival */
    return rfm_client_encode(&facts, packed);
}

/* Applies the set in a random order, and each event a second time somewhere after the first. */
static void apply_shuffled(const saying *set, size_t count, uint64_t *seed)
{
    size_t order[SET_MAX];
    uint8_t before[RFM_CLIENT_PACKED_MAX], after[RFM_CLIENT_PACKED_MAX];
    for (size_t i = 0; i < count; i++) {
        size_t place = (size_t)random_below(seed, i + 1);
        order[i] = order[place], order[place] = i;
    }
    rfm_client_init(&client);
    for (size_t i = 0; i < count; i++) {
        accept(set[order[i]].event);
        size_t len = rfm_client_encode(&client, before);
        const rfm_event *again = &set[order[random_below(seed, i + 1)]].event;
        assert_int_equal(rfm_client_apply(&client, again, 0, &conf, names, &applied), RFM_REPEAT);
        assert_int_equal(rfm_client_encode(&client, after), len);
        assert_memory_equal(before, after, len);
    }
}

static void facts_do_not_depend_on_the_order(void **state)
{
    (void)state;
    const char *asked = getenv("RFM_SETS");
    long sets = asked ? atol(asked) : 10000;
    uint64_t seed = 11;
    static saying set[SET_MAX];
    for (long i = 0; i < sets; i++) {
        uint8_t packed[RFM_CLIENT_PACKED_MAX], again[RFM_CLIENT_PACKED_MAX];
        size_t count = 1 + (size_t)random_below(&seed, SET_MAX), len = 0;
        for (size_t k = 0; k < count; k++)
            say_something(&set[k], k, &seed);
        for (int permutation = 0; permutation < 3; permutation++) {
            apply_shuffled(set, count, &seed);
            if (permutation == 0) {
                len = packed_facts(packed);
                assert_facts_of(set, count);
            }
            assert_int_equal(packed_facts(again), len);
            assert_memory_equal(packed, again, len);
        }
        rfm_client decoded;
        assert_int_equal(rfm_client_decode(rfm_bytes_of(packed, len), &decoded), RFM_OK);
        assert_true(rfm_client_facts_equal(&client, &decoded));
    }
}

/* Numbers of names go by arrival and differ from task to task: nothing that is shown may depend on them. */
static void facts_do_not_depend_on_the_numbers_of_names(void **state)
{
    (void)state;
    uint64_t seed = 12;
    static saying set[SET_MAX];
    for (int i = 0; i < 300; i++) {
        size_t count = 1 + (size_t)random_below(&seed, SET_MAX);
        for (size_t k = 0; k < count; k++)
            say_something(&set[k], k, &seed);
        for (int permutation = 0; permutation < 3; permutation++) {
            rfm_names_clear(names);
            apply_shuffled(set, count, &seed);
            assert_facts_of(set, count);
        }
    }
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(an_order_counts_once_for_each_category),
        T(beyond_eight_categories_the_least_makes_room),
        T(the_channel_with_the_best_response_is_preferred),
        T(the_last_answer_counts),
        T(complaints_are_open_until_resolved),
        T(old_cases_stay_counted),
        T(points_add_up),
        T(traits_have_their_declared_types),
        T(what_does_not_fit_is_dropped_and_counted),
        T(the_latest_profile_counts),
        T(the_first_campaign_by_time_is_the_source),
        T(facts_do_not_depend_on_the_order),
        T(facts_do_not_depend_on_the_numbers_of_names),
    };
    return cmocka_run_group_tests(tests, load_zones, free_zones);
}
