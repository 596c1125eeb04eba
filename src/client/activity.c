#include "activity.h"

_Static_assert(RFM_STAGE_COUNT *RFM_STAGE_MONTHS == 16, "stages fill their word");
enum { HAS_MONTHS = 1, HAS_STAGES = 2, STAGE_MASK = (1 << RFM_STAGE_COUNT) - 1 };

void rfm__note_purchase(rfm_client *client, int32_t day)
{
    if (day == client->last_day) {
        return;
    }
    int32_t ahead = rfm_month_of_day(day) - rfm_month_of_day(client->last_day);
    if (ahead > 0) {
        client->purchase_months = ahead < RFM_PURCHASE_MONTHS ? client->purchase_months << ahead | 1 : 1;
    } else if (ahead > -RFM_PURCHASE_MONTHS) {
        client->purchase_months |= UINT32_C(1) << -ahead;
    }
}

unsigned rfm__stages_of(const rfm_event *event)
{
    static const char *const action[RFM_STAGE_COUNT] = {
#define X(NAME, name) #name,
        RFM_STAGES(X)
#undef X
    };
    unsigned stages = 1u << RFM_STAGE_VISIT;
    for (unsigned stage = RFM_STAGE_VISIT + 1; event->action.len > 0 && stage < RFM_STAGE_COUNT; stage++) {
        stages |= (unsigned)rfm_bytes_is(event->action, action[stage]) << stage;
    }
    return stages;
}

void rfm__note_visit(rfm_client *client, const rfm_event *event, int32_t day)
{
    unsigned stages = rfm__stages_of(event);
    int32_t month = rfm_month_of_day(day), ahead = client->visits > 0 ? month - client->stage_month : RFM_STAGE_MONTHS;
    if (ahead > 0) {
        unsigned before = ahead < RFM_STAGE_MONTHS ? (unsigned)client->stages << RFM_STAGE_COUNT * ahead : 0;
        client->stages = (uint16_t)(before | stages);
        client->stage_month = month;
    } else if (ahead > -RFM_STAGE_MONTHS) {
        client->stages |= (uint16_t)(stages << RFM_STAGE_COUNT * -ahead);
    }
}

static uint32_t expected_months(const rfm_client *client)
{
    if (client->x == 0) {
        return client->orders > 0;
    }
    int32_t months = rfm_month_of_day(client->last_day) - rfm_month_of_day(client->first_day);
    return months >= 0 && months < RFM_PURCHASE_MONTHS ? UINT32_C(1) << months | 1 : 1;
}

/* The month of the newest visit in UTC, which differs from that in rfm.timezone by one at most. */
static int32_t visit_month(const rfm_client *client)
{
    return rfm_month_of_day((int32_t)rfm_div_floor(client->visit_last_ms, RFM_DAY_MS));
}

void rfm__expect_activity(rfm_client *client)
{
    client->purchase_months = expected_months(client);
    client->stages = client->visits > 0 ? 1u << RFM_STAGE_VISIT : 0;
    client->stage_month = client->visits > 0 ? visit_month(client) : 0;
}

static bool stages_are_expected(const rfm_client *client)
{
    return client->visits == 0 ||
           (client->stages == 1u << RFM_STAGE_VISIT && client->stage_month == visit_month(client));
}

bool rfm__activity_is_expected(const rfm_client *client)
{
    return client->purchase_months == expected_months(client) && stages_are_expected(client);
}

uint8_t *rfm__put_activity(uint8_t *at, const rfm_client *client)
{
    uint8_t *head = at++;
    *head = 0;
    if (client->purchase_months != expected_months(client)) {
        *head |= HAS_MONTHS;
        at = put_varint(at, client->purchase_months >> 1);
    }
    if (!stages_are_expected(client)) {
        int32_t ahead = client->stage_month - visit_month(client);
        RFM_ASSERT(ahead >= -1 && ahead <= 1);
        *head |= HAS_STAGES;
        at = put_varint(at, (uint64_t)client->stages << 2 | (uint64_t)(ahead + 1));
    }
    return at;
}

void rfm__get_activity(struct cursor *cursor, rfm_client *client)
{
    uint8_t head = get_u8_max(cursor, HAS_MONTHS | HAS_STAGES);
    if (head & HAS_MONTHS) {
        fail_unless(cursor, client->orders > 0);
        client->purchase_months = (uint32_t)get_varint_max(cursor, UINT32_MAX >> 1) << 1 | 1;
    }
    if (head & HAS_STAGES) {
        uint64_t packed = get_varint_max(cursor, (uint64_t)UINT16_MAX << 2 | 2);
        fail_unless(cursor, client->visits > 0 && (packed & 3) < 3 && packed & 4);
        client->stages = (uint16_t)(packed >> 2);
        client->stage_month += (int32_t)(packed & 3) - 1;
    }
}
