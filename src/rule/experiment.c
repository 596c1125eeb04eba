#include "experiment.h"

#include <rfm/base/hash.h>
#include <rfm/base/time.h>

uint16_t rfm__bucket_of(const char *salt, rfm_bytes client_id)
{
    uint8_t text[RFM_SALT_MAX + 1 + RFM_CLIENT_ID_MAX];
    rfm_buffer buffer = rfm_buffer_over(text, sizeof text);
    rfm_write_text(&buffer, salt);
    rfm_write_u8(&buffer, 0x1f);
    rfm_write_bytes(&buffer, client_id);
    RFM_ASSERT(!buffer.bad);
    return (uint16_t)(rfm_hash64(rfm_buffer_view(&buffer)) % RFM_BUCKETS_OF_CLIENTS);
}

bool rfm__is_held_out(const rfm_holdout *holdout, rfm_bytes client_id)
{
    return holdout->buckets > 0 && rfm__bucket_of(holdout->salt, client_id) < holdout->buckets;
}

uint32_t rfm__experiment_salt(const rfm_experiment *experiment)
{
    return (uint32_t)(rfm_hash64(rfm_text(experiment->salt)) & ((1 << RFM_SALT_BITS) - 1));
}

int rfm__arm_of(const rfm_experiment *experiment, rfm_bytes client_id)
{
    uint32_t bucket = rfm__bucket_of(experiment->salt, client_id), end = experiment->control_buckets;
    int arm = RFM_ARM_CONTROL;
    while (bucket >= end && arm + 1 < experiment->variant_count)
        end += experiment->variant[++arm].buckets;
    return arm;
}

rfm_cell rfm__exposed_on(uint16_t rule, uint32_t salt, int64_t at_ms)
{
    int64_t day = rfm_div_floor(at_ms, RFM_DAY_MS);
    day = day < 0 ? 0 : day > RFM_TALLY_PERIOD_MAX ? RFM_TALLY_PERIOD_MAX : day;
    return (rfm_cell){RFM_KPI_EXPOSED_ON, (int32_t)day, (uint16_t)salt, rule};
}
