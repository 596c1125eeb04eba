#include "offsets.h"

enum { TIMEOUT_MS = 5000 };

static int64_t spec_of(rfm__which which)
{
    return which == RFM__LOG_START ? (int64_t)RD_KAFKA_OFFSET_SPEC_EARLIEST : (int64_t)RD_KAFKA_OFFSET_SPEC_LATEST;
}

void rfm__offsets_ask(rd_kafka_t *client, const rd_kafka_topic_partition_list_t *partitions, rfm__which which,
                      uintptr_t tag, rd_kafka_queue_t *queue)
{
    char text[128];
    rd_kafka_topic_partition_list_t *asked = rd_kafka_topic_partition_list_copy(partitions);
    for (int i = 0; i < asked->cnt; i++)
        asked->elems[i].offset = spec_of(which);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_LISTOFFSETS);
    rd_kafka_AdminOptions_set_request_timeout(options, TIMEOUT_MS, text, sizeof text);
    rd_kafka_AdminOptions_set_opaque(options, (void *)tag);
    rd_kafka_error_destroy(rd_kafka_AdminOptions_set_isolation_level(
        options, which == RFM__STABLE_END ? RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED
                                          : RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED));
    rd_kafka_ListOffsets(client, asked, options, queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_topic_partition_list_destroy(asked);
}

const rd_kafka_topic_partition_t *rfm__offsets_at(rd_kafka_event_t *event, size_t i, size_t *count)
{
    const rd_kafka_ListOffsets_result_t *result = rd_kafka_event_ListOffsets_result(event);
    *count = 0;
    if (result == NULL || rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return NULL;
    const rd_kafka_ListOffsetsResultInfo_t **infos = rd_kafka_ListOffsets_result_infos(result, count);
    return i < *count ? rd_kafka_ListOffsetsResultInfo_topic_partition(infos[i]) : NULL;
}

uintptr_t rfm__offsets_tag(rd_kafka_event_t *event)
{
    return (uintptr_t)rd_kafka_event_opaque(event);
}
