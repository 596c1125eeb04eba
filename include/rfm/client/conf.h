/* Everything that scoring and facts depend on besides the client and the clock: read-only while in use, shared by
 * workers. `version` is a hash over what marks depend on (segments, model, thresholds, rules): a client whose marks
 * were taken under another version takes the new values at its next look without transitions. */
#ifndef RFM_CLIENT_CONF_H
#define RFM_CLIENT_CONF_H

#include <rfm/base/money.h>
#include <rfm/base/zone.h>
#include <rfm/base/zones.h>
#include <rfm/model/mbg.h>

enum { RFM_SEGMENTS_MAX = 64, RFM_SEGMENT_PROSPECT = 0 /* always there; the table's segments are 1.. */ };
typedef enum rfm_axis_mode { RFM_AXIS_FIXED, RFM_AXIS_POPULATION } rfm_axis_mode;
typedef struct rfm_segments {
    char name[RFM_SEGMENTS_MAX][48]; /* [0] = "prospect" */
    uint8_t count;                   /* of names, prospect included */
    uint8_t cell[5][5][5];           /* [r-1][f-1][m-1] -> segment */
} rfm_segments;

typedef enum rfm_trait_type {
    RFM_TRAIT_STRING,
    RFM_TRAIT_INT,
    RFM_TRAIT_DOUBLE,
    RFM_TRAIT_BOOL,
    RFM_TRAIT_DATE,
    RFM_TRAIT_TIMESTAMP
} rfm_trait_type;
typedef struct rfm_trait {
    const char *name;
    rfm_trait_type type;
} rfm_trait;
enum { RFM_TRAITS_MAX = 64 };

typedef struct rfm_client_conf {
    rfm_money_conf money;
    const rfm_zone *zone;    /* rfm.timezone; NULL: UTC */
    const rfm_zones *zones;  /* what a client's time zone may be; NULL: only UTC */
    const rfm_trait *traits; /* declared, by name */
    size_t trait_count;
    struct {
        rfm_axis_mode r, f, m;
        uint32_t population_min;
        int64_t refresh_ms;
        int32_t recency_days[4];
        uint32_t frequency[4];
        int64_t monetary_minor[4];
    } rfm;
    double churn_horizon_days; /* 90 */
    struct {
        double at_risk, lapsed;
    } lifecycle; /* 0.5, 0.2 */
    double ltv_horizon_days;
    rfm_segments segments;
    rfm_model model;
    int64_t erase_remember_ms; /* how long earlier events of an erased client are dropped */
    uint32_t version;
} rfm_client_conf;

bool rfm_client_conf_needs_population(const rfm_client_conf *conf); /* any axis is by quintiles */
/* The documented defaults (EUR, UTC, population r and m, classic-11, CDNOW's parameters in weeks, cap 5). */
void rfm_client_conf_defaults(rfm_client_conf *conf);
/* The classic-11 and rf-10 tables. RFM_E_NOT_FOUND: no such preset. */
int rfm_segments_preset(rfm_segments *segments, const char *preset);
/* Adds cells ("555", "[1-2][3-4]5", "[1-2][1-2]" = any m) to the named segment, which is made if new. RFM_E_MALFORMED,
 * RFM_E_DUPLICATE (a cell belongs to two), RFM_E_FULL. */
int rfm_segments_add(rfm_segments *segments, const char *name, const char *cells, rfm_error *error);
int rfm_segments_check(const rfm_segments *segments, rfm_error *error); /* every one of 125 cells is taken */
int rfm_segments_find(const rfm_segments *segments, rfm_bytes name);    /* -1: none */
uint32_t rfm_client_conf_version(const rfm_client_conf *conf);          /* hash over all that marks depend on */

#endif
