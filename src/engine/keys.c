#include <rfm/engine/keys.h>

const char *const rfm_population_key[RFM_COUNTERS] = {RFM_KEY_DAYS, RFM_KEY_BUCKETS, RFM_KEY_ORDERS};

rfm_bytes rfm_bundle_key(uint32_t bundle, char text[RFM_BUNDLE_KEY_MAX])
{
    rfm_buffer key = rfm_buffer_over(text, RFM_BUNDLE_KEY_MAX);
    rfm_write_text(&key, RFM_KEY_BUNDLE);
    rfm_write_integer(&key, bundle);
    return rfm_buffer_view(&key);
}
