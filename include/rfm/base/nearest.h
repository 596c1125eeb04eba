/* Which of the known names somebody probably meant. */
#ifndef RFM_BASE_NEAREST_H
#define RFM_BASE_NEAREST_H

/* Edits from the one to the other: insert, delete, replace, swap neighbours. Of long texts the first 64 bytes count. */
unsigned rfm_distance(const char *a, const char *b);
/* The nearest of the names (NULL at the end), the first of equals; NULL: there are none. */
const char *rfm_nearest(const char *const *names, const char *name);

#endif
