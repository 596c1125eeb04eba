/* What the demo shows while it runs: each trigger as a line, as many as can be read, and a line of numbers. */
#ifndef RFM_APP_DEMO_SCREEN_H
#define RFM_APP_DEMO_SCREEN_H

#include "config/config.h"
#include "http/metrics.h"

typedef struct rfm_demo_screen rfm_demo_screen;
/* A terminal keeps the line of numbers at its end; elsewhere it comes every five seconds. `rules` is copied from. */
rfm_demo_screen *rfm_demo_screen_new(const rfm_rules *rules, bool terminal);
void rfm_demo_screen_free(rfm_demo_screen *screen);

/* Any thread: a message that the service publishes. */
void rfm_demo_screen_published(void *screen, const rfm_message *message);

typedef struct rfm_demo_numbers {
    double seconds; /* of live traffic */
    uint64_t events, dead_letters;
    uint32_t clients;
    rfm_histogram latency;
} rfm_demo_numbers;
/* One thread: shows what has come since the last call. */
void rfm_demo_screen_show(rfm_demo_screen *screen, const rfm_demo_numbers *numbers);
void rfm_demo_screen_end(rfm_demo_screen *screen); /* clears the line of numbers */

/* After the run. */
void rfm_demo_screen_counts(rfm_demo_screen *screen); /* prints: triggers by rule */
/* A client to whom the rule was sent last; "": none. */
const char *rfm_demo_screen_client(const rfm_demo_screen *screen, const char *rule);

/* "1,234,567" */
const char *rfm_demo_grouped(uint64_t number, char text[32]);

#endif
