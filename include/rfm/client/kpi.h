/* The business's figures as sums that events and looks move: cells of a tally (tally.h), from which kpi_report.h
 * derives what is shown. Days and months are those of rfm.timezone, months counted since January 1970.
 *
 * Three kinds. What happened on a day is added once. Who did something in a month, who is new, who has one order only
 * follow from a client's facts before and after: a late event moves them, so that they do not depend on the order of
 * events (within the lateness, and RFM_PURCHASE_MONTHS back from the client's newest purchase). What clients are now is
 * moved when their facts or marks change; an erased client is taken out of these alone.
 *
 * By source: each client has one, 0 being none; cells of months and of clients are kept apart by it, and move with the
 * client when an earlier campaign becomes known. What happened on days is not; of orders, revenue and the like there
 * are cells by month for sources other than none besides, and what moves are the orders that the client still holds
 * (the last 16). */
#ifndef RFM_CLIENT_KPI_H
#define RFM_CLIENT_KPI_H

#include <rfm/client/client.h>
#include <rfm/client/tally.h>

enum { RFM_COHORT_MONTHS = 24 };
typedef enum rfm_kpi_metric {
    /* by day */
    RFM_KPI_ORDERS = 'o',
    RFM_KPI_REVENUE = 'r', /* of orders of that day, net of their refunds; refunds without an order: of their day */
    RFM_KPI_BUYERS = 'd',
    RFM_KPI_NEW = 'n',  /* clients whose first purchase it was */
    RFM_KPI_SOLE = 's', /* clients whose only order it is */
    RFM_KPI_COST = 'c',
    RFM_KPI_VISITS = 'v', /* part: rfm_stage; events */
    /* by month, the same for sources other than none (a cost's is the campaign that it names) */
    RFM_KPI_ORDERS_OF = 'O',
    RFM_KPI_REVENUE_OF = 'R',
    RFM_KPI_NEW_OF = 'N',
    RFM_KPI_SOLE_OF = 'S',
    RFM_KPI_COST_OF = 'C',
    /* by month and source, none included: clients */
    RFM_KPI_BUYERS_OF = 'B',
    RFM_KPI_KEPT = 'K',   /* bought in this month and in the one before */
    RFM_KPI_COHORT = 'H', /* period: of the first purchase; part: so many months later, below RFM_COHORT_MONTHS */
    RFM_KPI_STAGE = 'F',  /* part: rfm_stage */
    /* now, by source; period 0 */
    RFM_KPI_LIFECYCLE = 'l', /* part: rfm_lifecycle, as of the client's last look */
    RFM_KPI_SEGMENT = 'g',   /* part: the name's number */
    RFM_KPI_NAMED = 'G',     /* segments by condition; part: the number of RFM_KPI_NAMED_PREFIX and the name */
    RFM_KPI_CLIENTS = 'b',   /* with purchases */
    RFM_KPI_TURNOVER = 't',  /* their revenue */
    RFM_KPI_NPS = 'p',       /* part: the last answer, 0 to 10 */
    RFM_KPI_CSAT = 'a',      /* clients with an answer */
    RFM_KPI_CSAT_SUM = 'm',  /* hundredths */
    RFM_KPI_COMPLAINTS = 'x',
    /* by experiment: source: the rule's name; period: RFM_SALT_BITS of the salt's hash; part: the arm's name */
    RFM_KPI_EXPOSED = 'i',   /* clients */
    RFM_KPI_ENDED = 'e',     /* those whose window is over, of whom the rest is */
    RFM_KPI_CONVERTED = 'y', /* clients who bought within it */
    RFM_KPI_ARM_ORDERS = 'k',
    RFM_KPI_ARM_REVENUE = 'u',
    RFM_KPI_SQUARES_LOW = 'q', /* of clients' revenues, each up to RFM_KPI_SQUARED_MAX: its low 32 bits */
    RFM_KPI_SQUARES_HIGH = 'Q',
    /* by experiment and day (UTC): source: the rule's name; period: the day; part: 16 bits of the salt's hash */
    RFM_KPI_EXPOSED_ON = 'I', /* clients */
    /* by rule, as source */
    RFM_KPI_ATTRIBUTED = 'A', /* revenue */
    RFM_KPI_ATTRIBUTED_ORDERS = 'J',
} rfm_kpi_metric;
#define RFM_KPI_NAMED_PREFIX "segment:" /* no rule has such a name */
#define RFM_KPI_SQUARED_MAX  (INT64_C(1) << 40)
/* Its source is a rule and no campaign, its part, but for RFM_KPI_EXPOSED_ON, a name. */
static inline bool rfm_kpi_is_of_rule(char metric)
{
    return metric != 0 && strchr("ieykuqQIAJ", metric) != NULL;
}

/* What a client counts as. */
typedef struct rfm_kpi_standing {
    bool known; /* false: no client, all else is 0 */
    uint8_t lifecycle;
    int8_t nps;   /* -1: none */
    int32_t csat; /* hundredths; -1: none */
    uint16_t segment, source, stages;
    uint32_t orders, x, complaints, purchase_months;
    int32_t first_day, last_day, stage_month;
    int64_t revenue_minor;
} rfm_kpi_standing;
rfm_kpi_standing rfm_client_kpi(const rfm_client *client);

/* The event was applied to the client, which stood at `before`. May give a campaign a number. */
void rfm_kpi_count(rfm_tally *tally, const rfm_kpi_standing *before, const rfm_client *client, const rfm_event *event,
                   const rfm_applied *applied, rfm_names *names);
/* The client stood at `before` and is now as it is. */
void rfm_kpi_move(rfm_tally *tally, const rfm_kpi_standing *before, const rfm_client *client, const rfm_zone *zone);
/* The client was erased: what happened stays, but it is none of those that there are now. */
void rfm_kpi_forget(rfm_tally *tally, const rfm_kpi_standing *before);

#endif
