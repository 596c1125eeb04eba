/* A task's table of names (channels, rules, ...): text <-> a number from 1 that never changes its meaning and is kept
 * in the redo, so that states hold numbers and not texts. Number 0 means "none"; RFM_NAMES_MAX texts at most, of events
 * RFM_NAMES_OF_EVENTS_MAX: what comes beyond shares the name "other". Texts are cut at RFM_NAME_BYTES_MAX bytes. */
#ifndef RFM_CLIENT_NAMES_H
#define RFM_CLIENT_NAMES_H

#include <rfm/base/bytes.h>
#include <rfm/base/error.h>

enum {
    RFM_NAMES_MAX = 4096,
    RFM_NAMES_OF_EVENTS_MAX = 3072, /* what events bring: it leaves room for rules, segments and channels to come */
    RFM_NAME_BYTES_MAX = 64
};
typedef struct rfm_names rfm_names;

rfm_names *rfm_names_new(void);
void rfm_names_free(rfm_names *names);
void rfm_names_clear(rfm_names *names);
/* The number of a text, given a new one if needed (the numbers grow by one: the caller sees `rfm_names_count` grow and
 * writes the new ones to the redo). */
uint16_t rfm_names_number(rfm_names *names, rfm_bytes text);
uint16_t rfm_names_own(rfm_names *names, rfm_bytes text);          /* the same for what the configuration names */
uint16_t rfm_names_find(const rfm_names *names, rfm_bytes text);   /* 0: not there */
rfm_bytes rfm_names_text(const rfm_names *names, uint16_t number); /* empty: no such number */
size_t rfm_names_count(const rfm_names *names);                    /* numbers 1..count are given */
/* Puts back what the redo or Redis holds. RFM_E_CORRUPT: the number has another text already, or is out of range. */
int rfm_names_restore(rfm_names *names, uint16_t number, rfm_bytes text);
int rfm_names_restore_all(rfm_names *names, const rfm_bytes *values, size_t count); /* number, text, ... */

#endif
