/* What the system and the allocator say of the process: its memory and its processor time. */
#ifndef RFM_APP_PROCESS_METRICS_H
#define RFM_APP_PROCESS_METRICS_H

#include "http/metrics.h"

void rfm_process_metrics_add(rfm_snapshot *to); /* rfmd_memory_bytes, rfmd_cpu_seconds_total; what is not known is 0 */

#endif
