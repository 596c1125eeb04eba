#include "committed.h"

#include <stdio.h>

void rfm__committed_add(const rfm_kafka_conf *conf, uint32_t task, const rfm_position *position,
                        rd_kafka_topic_partition_list_t *list)
{
    char wal[24];
    int len = snprintf(wal, sizeof wal, "%lld", (long long)position->wal);
    for (size_t input = 0; input < conf->input_count; input++) {
        if (position->next[input] < 0)
            continue;
        rd_kafka_topic_partition_t *at = rd_kafka_topic_partition_list_add(list, conf->input_topic[input],
                                                                           (int32_t)task);
        at->offset = position->next[input];
        at->metadata = strdup(wal); /* freed with the list */
        RFM_NEED(at->metadata);
        at->metadata_size = (size_t)len;
    }
}

/* Digits as we write them. Clients of other languages, by which somebody may put offsets back, end a text with a
 * zero. */
int64_t rfm__committed_wal(const rd_kafka_topic_partition_t *at)
{
    const char *text = at->metadata;
    size_t len = at->metadata_size;
    int64_t wal;
    if (len > 0 && text[len - 1] == '\0')
        len--;
    if (len == 0 || len > 19 || text[0] == '-' || rfm_integer_parse(rfm_bytes_of(text, len), &wal) != RFM_OK)
        return RFM_OFFSET_NONE;
    return wal;
}
