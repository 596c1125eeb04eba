#include <rfm/client/conf.h>

#include <rfm/base/hash.h>

bool rfm_client_conf_needs_population(const rfm_client_conf *conf)
{
    return conf->rfm.r == RFM_AXIS_POPULATION || conf->rfm.f == RFM_AXIS_POPULATION ||
           conf->rfm.m == RFM_AXIS_POPULATION;
}

void rfm_client_conf_defaults(rfm_client_conf *conf)
{
    *conf = (rfm_client_conf){
        .money.base = {.code = "EUR", .digits = 2, .rate = {1, 0}},
        .rfm = {.r = RFM_AXIS_POPULATION,
                .f = RFM_AXIS_FIXED,
                .m = RFM_AXIS_POPULATION,
                .population_min = 100,
                .refresh_ms = RFM_HOUR_MS,
                .recency_days = {30, 90, 180, 365},
                .frequency = {2, 3, 5, 10},
                .monetary_minor = {5000, 10000, 25000, 50000}},
        .churn_horizon_days = 90,
        .lifecycle = {.at_risk = .5, .lapsed = .2},
        .ltv_horizon_days = 365,
        .erase_remember_ms = 30 * RFM_DAY_MS,
        /* MBG/NBD on the CDNOW sample, weeks. */
        .model = {.r = .52484, .alpha = 6.1831, .a = .89135, .b = 1.61399, .unit_days = 7, .evidence_cap = 5},
    };
    RFM_ASSERT(rfm_segments_preset(&conf->segments, "classic-11") == RFM_OK);
    conf->version = rfm_client_conf_version(conf);
}

static void hash_double(rfm_buffer *buffer, double value)
{
    rfm_write_bytes(buffer, rfm_bytes_of(&value, sizeof value));
}

static void hash_segments(rfm_buffer *buffer, const rfm_segments *segments)
{
    for (size_t i = 0; i < segments->count; i++) {
        rfm_write_sized(buffer, rfm_text(segments->name[i]));
    }
    rfm_write_bytes(buffer, rfm_bytes_of(segments->cell, sizeof segments->cell));
}

static void hash_thresholds(rfm_buffer *buffer, const rfm_client_conf *conf)
{
    rfm_write_u8(buffer, (uint8_t)conf->rfm.r);
    rfm_write_u8(buffer, (uint8_t)conf->rfm.f);
    rfm_write_u8(buffer, (uint8_t)conf->rfm.m);
    rfm_write_u32(buffer, conf->rfm.population_min);
    for (size_t i = 0; i < 4; i++) {
        rfm_write_zigzag(buffer, conf->rfm.recency_days[i]);
        rfm_write_varint(buffer, conf->rfm.frequency[i]);
        rfm_write_zigzag(buffer, conf->rfm.monetary_minor[i]);
    }
}

static void hash_model(rfm_buffer *buffer, const rfm_client_conf *conf)
{
    const rfm_model *model = &conf->model;
    const double values[] = {model->r,
                             model->alpha,
                             model->a,
                             model->b,
                             model->unit_days,
                             model->evidence_cap,
                             model->spend.p,
                             model->spend.q,
                             model->spend.v,
                             conf->churn_horizon_days,
                             conf->lifecycle.at_risk,
                             conf->lifecycle.lapsed};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        hash_double(buffer, values[i]);
    }
}

uint32_t rfm_client_conf_version(const rfm_client_conf *conf)
{
    uint8_t bytes[8192];
    rfm_buffer buffer = rfm_buffer_over(bytes, sizeof bytes);
    hash_segments(&buffer, &conf->segments);
    hash_thresholds(&buffer, conf);
    hash_model(&buffer, conf);
    rfm_write_bytes(&buffer, rfm_bytes_of(conf->money.base.code, sizeof conf->money.base.code));
    RFM_ASSERT(!buffer.bad);
    return (uint32_t)rfm_hash64(rfm_buffer_view(&buffer));
}
