#include "shop.h"

#include "shop_text.h"
#include <rfm/base/error.h>
#include <rfm/base/grow.h>
#include <rfm/base/time.h>
#include <stdlib.h>

/* What a client is like. Rates as MBG/NBD has them, in days. */
#define RATE_SHAPE     0.8
#define RATE_SCALE     31.0 /* days: the mean rate is one purchase in 39 days */
#define DROP_OUT_A     0.7
#define DROP_OUT_B     2.3
#define PROSPECTS      0.08 /* sign up and never buy */
#define EMAIL_GRANTED  0.85
#define EMAIL_REFUSED  0.07
#define REFUNDED       0.04
#define COMES_TWICE    0.005
#define AWAY_DAYS      150.0 /* before one who has lapsed comes back */
#define BROWSE_PER_BUY 0.5   /* visits without a purchase: so many times the rate of purchases, and a few besides */
#define BROWSE_A_DAY   0.008
#define NEWS_A_DAY     (1 / 75.0)
#define PROFILED       0.6  /* say who they are when they sign up */
#define PAID_FOR       0.3  /* whose arrival was paid for */
#define ANSWERS        0.06 /* of orders: asked how they liked it, they answer */
#define COMPLAINS      0.02 /* of orders */
#define ERASED         0.02 /* of those who lapse */

enum { ALIVE = 1, EMAIL = 2, PUSH = 4, BUYS = 8 };

struct buyer {
    rfm_chance chance;
    float rate, drop_out; /* purchases a day; the chance to be gone after each */
    uint32_t orders;
    rfm_taste taste;
    uint8_t flags;
};

/* What is going to happen, each a step of one of a client's chains: on the way to a purchase, browsing, newsletters. */
enum kind {
    SIGN_UP,
    SIGN_UP_PUSH,
    WAY,
    BUY,
    REFUND,
    RETURN,
    BROWSE,
    NEWS,
    NEWS_DELIVERED,
    NEWS_BOUNCED,
    NEWS_OPENED,
    NEWS_CLICKED,
    NEWS_LANDED,
    NEWS_UNSUBSCRIBED,
    PROFILE,
    COST,
    POINTS,
    ANSWER,
    COMPLAIN,
    RESOLVE,
    ERASE,
    QUIET_SIGN_UP,
    QUIET_BUY,
    AGAIN
};

struct happening {
    int64_t time_ms;
    uint32_t who; /* AGAIN: which of the kept events */
    uint8_t kind, step;
    uint16_t order; /* newsletters: the campaign */
};

struct kept {
    rfm_shop_event event;
    uint8_t client_id[RFM__SHOP_CLIENT_MAX], *value;
    bool used;
};

struct rfm_shop {
    rfm_shop_conf conf;
    rfm_catalogue catalogue;
    rfm_chance chance; /* the shop's own */
    char tag[RFM__SHOP_TAG_LEN + 1];
    double liveliness;          /* 1: as it comes; visits and messages, and above 1 purchases too */
    double arrivals_ms;         /* between two */
    double slot_ms, arrival_ms; /* of the next, since the start: within its slot */
    uint32_t quiet_count;       /* clients that did not arrive by themselves */
    bool dry;                   /* nothing is written: events are only counted */
    struct buyer *buyers;
    uint32_t count;
    size_t size;
    struct happening *heap; /* four children each: the first at 4 i + 1 */
    size_t heap_count, heap_size;
    struct kept *kept;
    size_t kept_count, kept_size;
    int64_t clock_ms, end_ms, stamp_ms;
    uint64_t number; /* of events */
    uint8_t client_id[RFM__SHOP_CLIENT_MAX];
    rfm_buffer text;
    rfm_shop_event *event; /* the one to fill */
};

/* -- the queue */

static void push(rfm_shop *shop, const struct happening *added)
{
    shop->heap = rfm_grow(shop->heap, shop->heap_count, &shop->heap_size);
    size_t at = shop->heap_count++;
    while (at > 0 && shop->heap[(at - 1) / 4].time_ms > added->time_ms) {
        shop->heap[at] = shop->heap[(at - 1) / 4];
        at = (at - 1) / 4;
    }
    shop->heap[at] = *added;
}

static size_t earliest_child(const rfm_shop *shop, size_t at)
{
    size_t first = 4 * at + 1, last = first + 4 < shop->heap_count ? first + 4 : shop->heap_count, least = first;
    for (size_t i = first + 1; i < last; i++)
        if (shop->heap[i].time_ms < shop->heap[least].time_ms)
            least = i;
    return least;
}

static struct happening pop(rfm_shop *shop)
{
    struct happening first = shop->heap[0], last = shop->heap[--shop->heap_count];
    size_t at = 0;
    while (4 * at + 1 < shop->heap_count) {
        size_t child = earliest_child(shop, at);
        if (shop->heap[child].time_ms >= last.time_ms)
            break;
        shop->heap[at] = shop->heap[child];
        at = child;
    }
    shop->heap[at] = last;
    return first;
}

static void plan(rfm_shop *shop, const struct happening *now, enum kind kind, uint8_t step, int64_t after_ms)
{
    push(shop, &(struct happening){shop->clock_ms + (after_ms > 0 ? after_ms : 1), now->who, (uint8_t)kind, step,
                                   now->order});
}

/* After about so many days, at an hour at which people are up. Beyond a century: never. */
static void plan_days(rfm_shop *shop, const struct happening *now, enum kind kind, double days)
{
    static const uint8_t hours[32] = {0,  6,  7,  8,  8,  9,  9,  10, 10, 11, 11, 12, 12, 12, 13, 13,
                                      14, 15, 15, 16, 17, 17, 18, 18, 19, 19, 19, 20, 20, 20, 21, 22};
    rfm_chance *chance = &shop->buyers[now->who].chance;
    if (!(days < 36500))
        return;
    int64_t time_ms = shop->clock_ms + (int64_t)(days * (double)RFM_DAY_MS);
    int64_t hour = hours[rfm_chance_below(chance, 32)];
    int64_t awake_ms = rfm_div_floor(time_ms, RFM_DAY_MS) * RFM_DAY_MS + hour * RFM_HOUR_MS +
                       rfm_chance_below(chance, 3600000);
    plan(shop, now, kind, 0, (awake_ms > shop->clock_ms ? awake_ms : time_ms) - shop->clock_ms);
}

static int64_t seconds(rfm_chance *chance, uint32_t least, uint32_t most)
{
    return (int64_t)least * 1000 + rfm_chance_below(chance, (most - least) * 1000);
}

/* -- writing: what a text shows beyond the client's own stream is drawn from streams made for it */

static rfm__head head_of(rfm_shop *shop, rfm_event_type type, uint32_t who)
{
    shop->event->type = type;
    shop->event->client_id = rfm__shop_client_id(who, shop->client_id);
    return (rfm__head){type, shop->tag, shop->number, who, shop->stamp_ms != 0 ? shop->stamp_ms : shop->clock_ms};
}

static rfm_basket basket_of(const rfm_shop *shop, uint32_t who, uint32_t order)
{
    rfm_basket basket;
    rfm_chance chance = rfm_chance_of(rfm_chance_of(shop->conf.seed + 1, who), order);
    rfm_basket_draw(&shop->catalogue, &chance, &shop->buyers[who].taste, &basket);
    return basket;
}

static const char *channel_of(const rfm_shop *shop, uint32_t who, uint32_t order)
{
    if (shop->buyers[who].flags & PUSH)
        return order % 4 == 3 ? "web" : "app";
    return order % 5 == 4 ? "store" : "web";
}

static bool write_purchase(rfm_shop *shop, uint32_t who)
{
    static const char *const campaigns[16] = {"search", "spring", "friends", "outlet"};
    if (shop->dry)
        return true;
    uint32_t order = shop->buyers[who].orders;
    rfm__head head = head_of(shop, RFM_EVENT_PURCHASE, who);
    rfm_basket basket = basket_of(shop, who, order);
    rfm__shop_write_purchase(&shop->text, &head, order, &basket, channel_of(shop, who, order),
                             campaigns[(who * 7 + order) % 16]);
    return true;
}

static bool write_refund(rfm_shop *shop, uint32_t who, uint32_t order)
{
    if (shop->dry)
        return true;
    rfm__head head = head_of(shop, RFM_EVENT_REFUND, who);
    rfm_basket basket = basket_of(shop, who, order);
    bool whole = basket.count == 1 || basket.coupon;
    rfm__shop_write_refund(&shop->text, &head, order, whole ? -1 : basket.item[0].price_minor);
    return true;
}

/* On the way to a purchase: of the product that is then bought; else of one that the client might like, or of none. */
static bool write_visit(rfm_shop *shop, uint32_t who, const char *action, bool on_way, bool cart, const char *campaign)
{
    if (shop->dry)
        return true;
    const struct buyer *buyer = &shop->buyers[who];
    rfm__head head = head_of(shop, RFM_EVENT_VISIT, who);
    rfm_basket basket = basket_of(shop, who, on_way ? buyer->orders : UINT32_MAX - (uint32_t)(shop->number & 0xffff));
    bool product = strcmp(action, "page_view") != 0 && strcmp(action, "login") != 0;
    rfm__visit visit = {.action = action,
                        .channel = buyer->flags & PUSH ? "app" : "web",
                        .campaign = campaign,
                        .item = product ? &basket.item[0] : NULL,
                        .cart = cart,
                        .order = buyer->orders};
    rfm__shop_write_visit(&shop->text, &head, &visit);
    return true;
}

static bool write_message(rfm_shop *shop, const struct happening *now, const char *status, bool permanent)
{
    if (shop->dry)
        return true;
    rfm__head head = head_of(shop, RFM_EVENT_MESSAGE, now->who);
    rfm__shop_write_message(&shop->text, &head, status, now->step ? "push" : "email", now->order, permanent);
    return true;
}

static bool write_consent(rfm_shop *shop, uint32_t who, const char *channel, bool granted)
{
    if (shop->dry)
        return true;
    rfm__head head = head_of(shop, RFM_EVENT_CONSENT, who);
    rfm__shop_write_consent(&shop->text, &head, channel, granted);
    return true;
}

static bool write_other(rfm_shop *shop, const struct happening *now, rfm_event_type type)
{
    if (shop->dry)
        return true;
    rfm__head head = head_of(shop, type, now->who);
    rfm_chance chance = rfm_chance_of(rfm_chance_of(shop->conf.seed + 2, now->who), now->order);
    switch (type) {
    case RFM_EVENT_PROFILE: rfm__shop_write_profile(&shop->text, &head, &chance); break;
    case RFM_EVENT_COST: rfm__shop_write_cost(&shop->text, &head, &chance); break;
    case RFM_EVENT_POINTS:
        rfm__shop_write_points(&shop->text, &head, basket_of(shop, now->who, now->order).amount_minor / 100);
        break;
    case RFM_EVENT_FEEDBACK:
        rfm__shop_write_feedback(&shop->text, &head, now->order, (rfm_feedback_kind)now->step, &chance);
        break;
    default: rfm__shop_write_erase(&shop->text, &head);
    }
    return true;
}

/* -- what happens; each says whether it wrote an event */

static double liveliness_below_1(const rfm_shop *shop)
{
    return shop->liveliness < 1 ? shop->liveliness : 1;
}

/* In a livelier shop more is bought until the client is gone, which is as late. */
static void draw_habits(rfm_shop *shop, struct buyer *buyer)
{
    double speed = shop->liveliness > 1 ? shop->liveliness < 40 ? shop->liveliness : 40 : 1;
    buyer->rate = (float)(rfm_chance_gamma(&buyer->chance, RATE_SHAPE) / RATE_SCALE * speed);
    buyer->drop_out = (float)(rfm_chance_beta(&buyer->chance, DROP_OUT_A, DROP_OUT_B) / speed);
}

static double browse_days(rfm_shop *shop, struct buyer *buyer)
{
    double a_day = shop->liveliness * (BROWSE_PER_BUY * (double)buyer->rate + BROWSE_A_DAY);
    return rfm_chance_exponential(&buyer->chance) / a_day;
}

static double news_days(rfm_shop *shop, struct buyer *buyer)
{
    double a_day = shop->liveliness * NEWS_A_DAY * (buyer->flags & ALIVE ? 1 : 0.4);
    return rfm_chance_exponential(&buyer->chance) / a_day;
}

static bool happens(rfm_shop *shop, rfm_chance *chance, double share)
{
    return rfm_chance_unit(chance) < share * liveliness_below_1(shop);
}

static void plan_introduction(rfm_shop *shop, const struct happening *now)
{
    rfm_chance *chance = &shop->buyers[now->who].chance;
    if (happens(shop, chance, PROFILED))
        plan(shop, now, PROFILE, 0, seconds(chance, 5, 90));
    if (happens(shop, chance, PAID_FOR))
        plan(shop, now, COST, 0, seconds(chance, 1, 5));
}

/* What an order brings with it: points for those who have the app, an answer, a complaint. */
static void plan_aftermath(rfm_shop *shop, const struct happening *now, uint32_t order)
{
    struct buyer *buyer = &shop->buyers[now->who];
    struct happening of = {.who = now->who, .order = (uint16_t)order};
    if (order > UINT16_MAX)
        return;
    if (buyer->flags & PUSH && order % 3 == 0 && shop->liveliness > 0)
        plan(shop, &of, POINTS, 0, seconds(&buyer->chance, 1, 4));
    if (happens(shop, &buyer->chance, ANSWERS))
        plan_days(shop, &of, ANSWER, 3 + 10 * rfm_chance_unit(&buyer->chance));
    if (happens(shop, &buyer->chance, COMPLAINS))
        plan_days(shop, &of, COMPLAIN, 1 + 5 * rfm_chance_unit(&buyer->chance));
}

static bool answer(rfm_shop *shop, const struct happening *now)
{
    struct happening of = *now;
    of.step = now->order % 3 == 0 ? RFM_FEEDBACK_NPS : now->order % 3 == 1 ? RFM_FEEDBACK_CSAT : RFM_FEEDBACK_REVIEW;
    return write_other(shop, &of, RFM_EVENT_FEEDBACK);
}

/* Most cases are closed within days. */
static bool complain(rfm_shop *shop, const struct happening *now)
{
    struct happening of = *now;
    rfm_chance *chance = &shop->buyers[now->who].chance;
    of.step = RFM_FEEDBACK_COMPLAINT;
    if (rfm_chance_unit(chance) < 0.9)
        plan_days(shop, now, RESOLVE, 1 + 6 * rfm_chance_unit(chance));
    return write_other(shop, &of, RFM_EVENT_FEEDBACK);
}

static bool resolve(rfm_shop *shop, const struct happening *now)
{
    struct happening of = *now;
    of.step = RFM_FEEDBACK_RESOLVED;
    return write_other(shop, &of, RFM_EVENT_FEEDBACK);
}

/* No newsletter any more; who comes back after all is somebody new to whoever listens. */
static bool erase(rfm_shop *shop, const struct happening *now)
{
    shop->buyers[now->who].flags &= (uint8_t)~EMAIL;
    return write_other(shop, now, RFM_EVENT_ERASE);
}

static bool sign_up(rfm_shop *shop, const struct happening *now)
{
    struct buyer *buyer = &shop->buyers[now->who];
    rfm_chance *chance = &buyer->chance;
    double says = rfm_chance_unit(chance);
    bool granted = says < EMAIL_GRANTED, refused = !granted && says < EMAIL_GRANTED + EMAIL_REFUSED;
    if (granted)
        buyer->flags |= EMAIL;
    if (buyer->flags & PUSH)
        plan(shop, now, SIGN_UP_PUSH, 0, seconds(chance, 2, 30));
    if (buyer->flags & BUYS)
        plan(shop, now, WAY, 0, seconds(chance, 30, 600));
    plan_introduction(shop, now);
    plan_days(shop, now, BROWSE, browse_days(shop, buyer));
    if (granted)
        plan_days(shop, now, NEWS, news_days(shop, buyer));
    return (granted || refused) && write_consent(shop, now->who, "email", granted);
}

static bool sign_up_push(rfm_shop *shop, const struct happening *now)
{
    return write_consent(shop, now->who, "push", rfm_chance_unit(&shop->buyers[now->who].chance) < 0.7);
}

static bool buy(rfm_shop *shop, const struct happening *now)
{
    struct buyer *buyer = &shop->buyers[now->who];
    rfm_chance *chance = &buyer->chance;
    uint32_t order = buyer->orders;
    bool wrote = write_purchase(shop, now->who);
    if (rfm_chance_unit(chance) < REFUNDED && order <= UINT16_MAX) {
        struct happening of = {.who = now->who, .order = (uint16_t)order};
        plan_days(shop, &of, REFUND, 2 + 18 * rfm_chance_unit(chance));
    }
    plan_aftermath(shop, now, order);
    buyer->orders++;
    if (rfm_chance_unit(chance) >= (double)buyer->drop_out) {
        plan_days(shop, now, WAY, rfm_chance_exponential(chance) / (double)buyer->rate);
        return wrote;
    }
    buyer->flags &= (uint8_t)~ALIVE;
    if (happens(shop, chance, ERASED))
        plan_days(shop, now, ERASE, 30 + 60 * rfm_chance_unit(chance));
    double days_left = (double)(shop->end_ms - shop->clock_ms) / (double)RFM_DAY_MS;
    if (shop->conf.growth > 0)
        plan_days(shop, now, RETURN, (days_left > 0 ? days_left : 0) + AWAY_DAYS * rfm_chance_exponential(chance));
    return wrote;
}

/* To a purchase, by some of: looking at it, putting it into the cart, going to the checkout. */
static bool go_on_way(rfm_shop *shop, const struct happening *now)
{
    static const struct {
        const char *action;
        double share;
        bool cart;
    } steps[] = {{"view_item", 0.6, false}, {"add_to_cart", 0.55, true}, {"begin_checkout", 0.5, true}};
    rfm_chance *chance = &shop->buyers[now->who].chance;
    for (uint8_t step = now->step; step < sizeof steps / sizeof *steps; step++)
        if (rfm_chance_unit(chance) < steps[step].share * liveliness_below_1(shop)) {
            plan(shop, now, WAY, step + 1, seconds(chance, 10, 240));
            return write_visit(shop, now->who, steps[step].action, true, steps[step].cart, NULL);
        }
    return buy(shop, now);
}

static bool come_back(rfm_shop *shop, const struct happening *now)
{
    struct buyer *buyer = &shop->buyers[now->who];
    draw_habits(shop, buyer);
    buyer->flags |= ALIVE;
    plan_days(shop, now, BROWSE, browse_days(shop, buyer));
    return go_on_way(shop, now);
}

static bool browse(rfm_shop *shop, const struct happening *now)
{
    static const char *const actions[] = {"page_view", "page_view",   "view_item", "view_item",
                                          "view_item", "add_to_cart", "login"};
    struct buyer *buyer = &shop->buyers[now->who];
    if (!(buyer->flags & ALIVE))
        return false;
    const char *action = actions[rfm_chance_below(&buyer->chance, sizeof actions / sizeof *actions)];
    if (now->step < 6 && rfm_chance_unit(&buyer->chance) < 0.5)
        plan(shop, now, BROWSE, now->step + 1, seconds(&buyer->chance, 5, 200));
    else
        plan_days(shop, now, BROWSE, browse_days(shop, buyer));
    return write_visit(shop, now->who, action, false, false, NULL);
}

static bool send_news(rfm_shop *shop, const struct happening *now)
{
    struct buyer *buyer = &shop->buyers[now->who];
    if (!(buyer->flags & EMAIL))
        return false;
    struct happening news = *now;
    news.order = (uint16_t)(rfm_div_floor(shop->clock_ms, 7 * RFM_DAY_MS) & 0x7fff);
    news.step = buyer->flags & PUSH && rfm_chance_unit(&buyer->chance) < 0.3;
    bool bounces = rfm_chance_unit(&buyer->chance) < 0.02;
    plan(shop, &news, bounces ? NEWS_BOUNCED : NEWS_DELIVERED, news.step, seconds(&buyer->chance, 1, 20));
    plan_days(shop, now, NEWS, news_days(shop, buyer));
    return write_message(shop, &news, "sent", true);
}

static bool deliver_news(rfm_shop *shop, const struct happening *now)
{
    struct buyer *buyer = &shop->buyers[now->who];
    if (rfm_chance_unit(&buyer->chance) < (buyer->flags & ALIVE ? 0.4 : 0.08))
        plan(shop, now, NEWS_OPENED, now->step, seconds(&buyer->chance, 60, 40000));
    return write_message(shop, now, "delivered", true);
}

/* One bounce in six is for good. */
static bool bounce_news(rfm_shop *shop, const struct happening *now)
{
    struct buyer *buyer = &shop->buyers[now->who];
    bool permanent = rfm_chance_below(&buyer->chance, 6) == 0;
    if (permanent && now->step == 0)
        buyer->flags &= (uint8_t)~EMAIL;
    return write_message(shop, now, "bounced", permanent);
}

static bool open_news(rfm_shop *shop, const struct happening *now)
{
    rfm_chance *chance = &shop->buyers[now->who].chance;
    double does = rfm_chance_unit(chance);
    if (does < 0.25)
        plan(shop, now, NEWS_CLICKED, now->step, seconds(chance, 5, 120));
    else if (does < 0.265)
        plan(shop, now, NEWS_UNSUBSCRIBED, now->step, seconds(chance, 5, 120));
    return write_message(shop, now, "opened", true);
}

static bool click_news(rfm_shop *shop, const struct happening *now)
{
    plan(shop, now, NEWS_LANDED, now->step, seconds(&shop->buyers[now->who].chance, 1, 5));
    return write_message(shop, now, "clicked", true);
}

static bool unsubscribe(rfm_shop *shop, const struct happening *now)
{
    if (now->step == 0)
        shop->buyers[now->who].flags &= (uint8_t)~EMAIL;
    return write_message(shop, now, "unsubscribed", true);
}

static bool repeat(rfm_shop *shop, const struct happening *now)
{
    struct kept *kept = &shop->kept[now->who];
    if (shop->dry)
        return true;
    *shop->event = kept->event;
    memcpy(shop->client_id, kept->client_id, sizeof shop->client_id);
    shop->event->client_id.at = shop->client_id;
    rfm_buffer_clear(&shop->text);
    rfm_write_bytes(&shop->text, kept->event.value);
    free(kept->value);
    kept->used = false;
    return true;
}

/* Keeps a copy of the event that has just been written, to come once more within two minutes. */
static void keep(rfm_shop *shop)
{
    size_t at = 0;
    while (at < shop->kept_count && shop->kept[at].used)
        at++;
    if (at == shop->kept_count)
        shop->kept = rfm_grow(shop->kept, shop->kept_count++, &shop->kept_size);
    struct kept *kept = &shop->kept[at];
    *kept = (struct kept){.event = *shop->event, .value = malloc(shop->text.len), .used = true};
    RFM_NEED(kept->value != NULL);
    memcpy(kept->value, shop->text.at, shop->text.len);
    memcpy(kept->client_id, shop->client_id, sizeof kept->client_id);
    kept->event.value = rfm_bytes_of(kept->value, shop->text.len);
    push(shop, &(struct happening){shop->clock_ms + seconds(&shop->chance, 1, 120), (uint32_t)at, AGAIN, 0, 0});
}

static bool happen(rfm_shop *shop, const struct happening *now)
{
    switch ((enum kind)now->kind) {
    case SIGN_UP: return sign_up(shop, now);
    case SIGN_UP_PUSH: return sign_up_push(shop, now);
    case WAY: return go_on_way(shop, now);
    case BUY: return buy(shop, now);
    case REFUND: return write_refund(shop, now->who, now->order);
    case RETURN: return come_back(shop, now);
    case BROWSE: return browse(shop, now);
    case NEWS: return send_news(shop, now);
    case NEWS_DELIVERED: return deliver_news(shop, now);
    case NEWS_BOUNCED: return bounce_news(shop, now);
    case NEWS_OPENED: return open_news(shop, now);
    case NEWS_CLICKED: return click_news(shop, now);
    case NEWS_LANDED: return write_visit(shop, now->who, "page_view", false, false, "newsletter");
    case NEWS_UNSUBSCRIBED: return unsubscribe(shop, now);
    case PROFILE: return write_other(shop, now, RFM_EVENT_PROFILE);
    case COST: return write_other(shop, now, RFM_EVENT_COST);
    case POINTS: return write_other(shop, now, RFM_EVENT_POINTS);
    case ANSWER: return answer(shop, now);
    case COMPLAIN: return complain(shop, now);
    case RESOLVE: return resolve(shop, now);
    case ERASE: return erase(shop, now);
    case QUIET_SIGN_UP: return write_consent(shop, now->who, "email", true);
    case QUIET_BUY: write_purchase(shop, now->who); return shop->buyers[now->who].orders++, true;
    case AGAIN: return repeat(shop, now);
    }
    return false;
}

/* -- clients */

static struct buyer *add_buyer(rfm_shop *shop)
{
    shop->buyers = rfm_grow(shop->buyers, shop->count, &shop->size);
    struct buyer *buyer = &shop->buyers[shop->count];
    *buyer = (struct buyer){.chance = rfm_chance_of(shop->conf.seed, shop->count)};
    shop->count++;
    rfm_taste_draw(&shop->catalogue, &buyer->chance, &buyer->taste);
    draw_habits(shop, buyer);
    return buyer;
}

static void set_next_arrival(rfm_shop *shop)
{
    uint32_t arrived = shop->count - shop->quiet_count;
    bool late = arrived >= shop->conf.clients;
    if (late && !(shop->conf.growth > 0)) {
        shop->arrival_ms = 1e18;
        return;
    }
    double slot_ms = late ? shop->arrivals_ms / shop->conf.growth : shop->arrivals_ms;
    shop->arrival_ms = shop->slot_ms + slot_ms * rfm_chance_unit(&shop->chance);
    shop->slot_ms += slot_ms;
}

static void arrive(rfm_shop *shop)
{
    uint32_t who = shop->count;
    struct buyer *buyer = add_buyer(shop);
    shop->clock_ms = shop->conf.start_ms + (int64_t)shop->arrival_ms;
    buyer->flags = ALIVE;
    if (rfm_chance_unit(&buyer->chance) >= PROSPECTS)
        buyer->flags |= BUYS;
    if (rfm_chance_unit(&buyer->chance) < 0.3)
        buyer->flags |= PUSH;
    plan(shop, &(struct happening){.who = who}, SIGN_UP, 0, seconds(&buyer->chance, 0, 1));
    set_next_arrival(shop);
}

void rfm_shop_add_quiet(rfm_shop *shop, const int64_t *bought_ms, size_t count)
{
    if (count == 0)
        return;
    uint32_t who = shop->count;
    add_buyer(shop)->flags = EMAIL | BUYS;
    shop->quiet_count++;
    push(shop, &(struct happening){bought_ms[0] - 60000, who, QUIET_SIGN_UP, 0, 0});
    for (size_t i = 0; i < count; i++)
        push(shop, &(struct happening){bought_ms[i], who, QUIET_BUY, 0, 0});
}

uint32_t rfm_shop_clients(const rfm_shop *shop)
{
    return shop->count;
}

/* -- the shop */

static rfm_shop *open_shop(const rfm_shop_conf *conf, double liveliness, double stretch)
{
    rfm_shop *shop = calloc(1, sizeof *shop);
    RFM_ASSERT(conf->clients > 0 && conf->days > 0);
    RFM_NEED(shop);
    shop->conf = *conf;
    shop->clock_ms = conf->start_ms;
    shop->end_ms = conf->start_ms + conf->days * RFM_DAY_MS;
    shop->chance = rfm_chance_of(conf->seed, UINT64_MAX - 1);
    shop->liveliness = liveliness;
    shop->arrivals_ms = (double)(conf->days * RFM_DAY_MS) * stretch / conf->clients;
    rfm_catalogue_init(&shop->catalogue, conf->seed);
    rfm_buffer_init(&shop->text, RFM__SHOP_EVENT_MAX);
    rfm_chance named = rfm_chance_of(conf->seed, (uint64_t)conf->start_ms);
    for (size_t i = 0; i < RFM__SHOP_TAG_LEN; i++)
        shop->tag[i] = "0123456789abcdefghijklmnopqrstuv"[rfm_chance_below(&named, 32)];
    set_next_arrival(shop);
    return shop;
}

/* Events of a smaller shop of the same kind within its days, up to `most`. */
static uint64_t count_events(const rfm_shop_conf *conf, double liveliness, double stretch, uint64_t most)
{
    rfm_shop *shop = open_shop(conf, liveliness, stretch);
    rfm_shop_event event;
    uint64_t count = 0;
    shop->dry = true;
    while (count < most && rfm_shop_next(shop, shop->end_ms, 0, &event))
        count++;
    rfm_shop_free(shop);
    return count;
}

/* Below 1: no visits and no messages besides, and fewer clients within the days. From 1 on: liveliness from 0 up. */
static double liveliness_at(double level)
{
    return level < 1 ? 0 : level - 1;
}
static double stretch_at(double level)
{
    return level < 1 ? 1 / level : 1;
}

enum { TRIAL_EVENTS = 20000, TRIAL_CLIENTS_LEAST = 100, TRIALS = 16 };

/* The lowest level that gives a little more than the events wanted, by bisection on trials with fewer clients. */
static double find_level(const rfm_shop_conf *conf)
{
    if (conf->events == 0)
        return 2;
    rfm_shop_conf trial = *conf;
    double wanted = (double)conf->events / conf->clients, low = 1e-3, high = 4096;
    double clients = TRIAL_EVENTS / wanted > TRIAL_CLIENTS_LEAST ? TRIAL_EVENTS / wanted : TRIAL_CLIENTS_LEAST;
    if (clients < conf->clients)
        trial.clients = (uint32_t)clients;
    uint64_t aim = (uint64_t)(wanted * trial.clients * 1.02) + 1;
    for (int i = 0; i < TRIALS; i++) {
        double middle = rfm_chance_exp((rfm_chance_log(low) + rfm_chance_log(high)) / 2);
        if (count_events(&trial, liveliness_at(middle), stretch_at(middle), aim) < aim)
            low = middle;
        else
            high = middle;
    }
    return high;
}

rfm_shop *rfm_shop_new(const rfm_shop_conf *conf)
{
    double level = find_level(conf);
    return open_shop(conf, liveliness_at(level), stretch_at(level));
}

void rfm_shop_free(rfm_shop *shop)
{
    if (shop == NULL)
        return;
    for (size_t i = 0; i < shop->kept_count; i++)
        if (shop->kept[i].used)
            free(shop->kept[i].value);
    rfm_buffer_release(&shop->text);
    free(shop->kept);
    free(shop->heap);
    free(shop->buyers);
    free(shop);
}

bool rfm_shop_next(rfm_shop *shop, int64_t until_ms, int64_t stamp_ms, rfm_shop_event *event)
{
    shop->event = event;
    shop->stamp_ms = stamp_ms;
    for (;;) {
        double arrival_ms = shop->arrival_ms + (double)shop->conf.start_ms;
        int64_t planned_ms = shop->heap_count > 0 ? shop->heap[0].time_ms : INT64_MAX;
        bool arrives = arrival_ms < (double)planned_ms;
        if (arrives ? arrival_ms >= (double)until_ms : planned_ms >= until_ms)
            return false;
        if (arrives) {
            arrive(shop);
            continue;
        }
        struct happening now = pop(shop);
        shop->clock_ms = now.time_ms;
        if (!happen(shop, &now))
            continue;
        shop->number++;
        event->time_ms = now.time_ms;
        event->value = rfm_buffer_view(&shop->text);
        if (now.kind != AGAIN && !shop->dry && rfm_chance_unit(&shop->chance) < COMES_TWICE)
            keep(shop);
        return true;
    }
}
