#include "process_metrics.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static double resident_bytes(void)
{
    long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%ld %ld", &size, &resident) != 2)
        resident = 0;
    if (file != NULL)
        fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

/* jemalloc's; not there where a sanitizer brings an allocator of its own. */
extern int mallctl(const char *name, void *old, size_t *old_len, void *new, size_t new_len) __attribute__((weak));

/* What the program holds; the rest of what is resident the allocator keeps for later. */
static double allocated_bytes(void)
{
    uint64_t epoch = 1;
    size_t allocated = 0, epoch_len = sizeof epoch, len = sizeof allocated;
    if (mallctl == NULL || mallctl("epoch", &epoch, &epoch_len, &epoch, sizeof epoch) != 0 ||
        mallctl("stats.allocated", &allocated, &len, NULL, 0) != 0)
        return 0;
    return (double)allocated;
}

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

void rfm_process_metrics_add(rfm_snapshot *to)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    rfm_snapshot_add(to, RFM_METRIC_MEMORY, "resident", NULL, resident_bytes());
    rfm_snapshot_add(to, RFM_METRIC_MEMORY, "allocated", NULL, allocated_bytes());
    rfm_snapshot_add(to, RFM_METRIC_MEMORY, "peak", NULL, (double)usage.ru_maxrss * 1024);
    rfm_snapshot_add(to, RFM_METRIC_CPU, NULL, NULL, seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime));
}
