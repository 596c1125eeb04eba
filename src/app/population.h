/* Sums tasks' population counters, from wherever their hashes are kept. */
#ifndef RFM_APP_POPULATION_H
#define RFM_APP_POPULATION_H

#include <rfm/engine/view.h>

/* The hashes `n:day`, `n:bucket`, `n:orders`, by index 0 to 2. */
extern const char *const rfm_population_key[3];
/* Adds one hash: field, value, field, value. What is not a number is left out. */
void rfm_population_add_hash(rfm_population *population, size_t which, const rfm_bytes *values, size_t count);
void rfm_population_add_view(rfm_population *population, const rfm_view *view);

#endif
