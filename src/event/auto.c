/* Which format a record is in. A native event has all of what every native event needs; that is known once its fields
 * are sorted, and costs it nothing. What is in no format is read as a native one, which says what it lacks. */
#include "run.h"

void rfm__decode_any(decode_run *run, yyjson_val *root)
{
    const uint64_t head = UINT64_C(1) << FIELD_type | UINT64_C(1) << FIELD_id | UINT64_C(1) << FIELD_client_id |
                          UINT64_C(1) << FIELD_time;
    rfm__sort_event(run, root);
    if ((run->fields.seen & head) == head)
        rfm__decode_sorted(run);
    else if (rfm__is_cloudevent(run, root))
        rfm__decode_cloudevent(run, root);
    else if (rfm__is_segment(root))
        rfm__decode_segment(run, root);
    else if (rfm__is_ga4(root))
        rfm__decode_ga4(run, root);
    else
        rfm__decode_sorted(run);
}
