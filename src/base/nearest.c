#include <rfm/base/nearest.h>

#include <stddef.h>
#include <stdint.h>
#include <string.h>

unsigned rfm_distance(const char *a, const char *b)
{
    enum { MAX = 64 };
    size_t a_len = strnlen(a, MAX), b_len = strnlen(b, MAX);
    unsigned row[3][MAX + 1];
    for (size_t j = 0; j <= b_len; j++)
        row[0][j] = (unsigned)j;
    for (size_t i = 1; i <= a_len; i++) {
        unsigned *now = row[i % 3];
        const unsigned *before = row[(i + 2) % 3], *before2 = row[(i + 1) % 3];
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            unsigned best = before[j - 1] + (a[i - 1] != b[j - 1]);
            best = before[j] + 1 < best ? before[j] + 1 : best;
            best = now[j - 1] + 1 < best ? now[j - 1] + 1 : best;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before2[j - 2] + 1 < best)
                best = before2[j - 2] + 1;
            now[j] = best;
        }
    }
    return row[a_len % 3][b_len];
}

const char *rfm_nearest(const char *const *names, const char *name)
{
    const char *nearest = NULL;
    unsigned best = UINT32_MAX;
    for (; *names; names++) {
        unsigned distance = rfm_distance(name, *names);
        if (distance < best)
            best = distance, nearest = *names;
    }
    return nearest;
}
