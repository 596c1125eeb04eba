#include "admin.h"

#include "client.h"

#include <rfm/base/time.h>
#include <stdio.h>
#include <stdlib.h>

enum { REQUEST_MS = 10000 };

static int left_ms(const rfm__admin *admin)
{
    int64_t left = admin->until_ms - rfm_clock_steady_ms();
    return left < 1 ? 1 : left > REQUEST_MS ? REQUEST_MS : (int)left;
}

int rfm__admin_open(rfm__admin *admin, const rfm_kafka_conf *conf, int64_t timeout_ms, rfm_error *error)
{
    rd_kafka_conf_t *client_conf;
    *admin = (rfm__admin){.conf = conf, .until_ms = rfm_clock_steady_ms() + timeout_ms};
    int code = rfm__client_conf(&admin->conf, RFM__ADMIN, &client_conf, error);
    if (code == RFM_OK)
        code = rfm__client_new(RFM__ADMIN, client_conf, &admin->client, error);
    if (code == RFM_OK)
        admin->queue = rd_kafka_queue_new(admin->client);
    return code;
}

void rfm__admin_close(rfm__admin *admin)
{
    if (admin->queue)
        rd_kafka_queue_destroy(admin->queue);
    if (admin->client)
        rd_kafka_destroy(admin->client);
}

static int fail(const rfm__admin *admin, rd_kafka_resp_err_t code, const char *doing, const char *why, rfm_error *error)
{
    if (rfm__kafka_denied(code) || rfm__kafka_unauthenticated(code))
        return rfm_fail(error, RFM_E_DENIED, "kafka at %s: %s: %s", admin->conf->brokers, doing, why);
    return rfm_fail(error, RFM_E_AWAY, "kafka at %s: %s: %s", admin->conf->brokers, doing, why);
}

static rd_kafka_AdminOptions_t *options_for(rfm__admin *admin, rd_kafka_admin_op_t op)
{
    char text[128];
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(admin->client, op);
    rd_kafka_AdminOptions_set_request_timeout(options, left_ms(admin), text, sizeof text);
    return options;
}

/* The answer to the one request under way; the caller destroys it. */
static int await(rfm__admin *admin, const char *doing, rd_kafka_event_t **event, rfm_error *error)
{
    *event = rd_kafka_queue_poll(admin->queue, left_ms(admin) + 1000);
    if (*event == NULL)
        return fail(admin, RD_KAFKA_RESP_ERR__TIMED_OUT, doing, "no answer", error);
    rd_kafka_resp_err_t code = rd_kafka_event_error(*event);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return RFM_OK;
    int ours = fail(admin, code, doing, rd_kafka_event_error_string(*event), error);
    rd_kafka_event_destroy(*event);
    return ours;
}

int rfm__admin_cluster_id(rfm__admin *admin, char id[RFM_CLUSTER_ID_TEXT], rfm_error *error)
{
    char *found = rd_kafka_clusterid(admin->client, left_ms(admin));
    if (found == NULL)
        return fail(admin, RD_KAFKA_RESP_ERR__TRANSPORT, "asking for the cluster's id", "no broker answers", error);
    snprintf(id, RFM_CLUSTER_ID_TEXT, "%s", found);
    rd_kafka_mem_free(admin->client, found);
    return RFM_OK;
}

/* -- topics */

static bool may(const rd_kafka_TopicDescription_t *description, rd_kafka_AclOperation_t wanted)
{
    size_t count;
    const rd_kafka_AclOperation_t *allowed = rd_kafka_TopicDescription_authorized_operations(description, &count);
    for (size_t i = 0; allowed && i < count; i++)
        if (allowed[i] == wanted || allowed[i] == RD_KAFKA_ACL_OPERATION_ALL)
            return true;
    return allowed == NULL; /* the broker did not say */
}

static void take_description(const rd_kafka_TopicDescription_t *description, rfm__topic_state *topic)
{
    size_t count;
    const rd_kafka_error_t *cause = rd_kafka_TopicDescription_error(description);
    topic->code = cause ? rd_kafka_error_code(cause) : RD_KAFKA_RESP_ERR_NO_ERROR;
    if (topic->code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    const rd_kafka_TopicPartitionInfo_t **partitions = rd_kafka_TopicDescription_partitions(description, &count);
    topic->partition_count = (uint32_t)count;
    topic->led = count > 0;
    for (size_t i = 0; i < count; i++)
        topic->led = topic->led && rd_kafka_TopicPartitionInfo_leader(partitions[i]) != NULL;
    topic->can_read = may(description, RD_KAFKA_ACL_OPERATION_READ);
    topic->can_write = may(description, RD_KAFKA_ACL_OPERATION_WRITE);
    const rd_kafka_Uuid_t *id = rd_kafka_TopicDescription_topic_id(description);
    if (id && (rd_kafka_Uuid_most_significant_bits(id) || rd_kafka_Uuid_least_significant_bits(id)))
        snprintf(topic->id, sizeof topic->id, "%s", rd_kafka_Uuid_base64str(id));
}

static void take_descriptions(rd_kafka_event_t *event, rfm__topic_state *topics, size_t count)
{
    size_t found;
    const rd_kafka_TopicDescription_t **descriptions = rd_kafka_DescribeTopics_result_topics(
        rd_kafka_event_DescribeTopics_result(event), &found);
    for (size_t i = 0; i < found; i++)
        for (size_t k = 0; k < count; k++)
            if (strcmp(rd_kafka_TopicDescription_name(descriptions[i]), topics[k].name) == 0)
                take_description(descriptions[i], &topics[k]);
}

int rfm__admin_describe(rfm__admin *admin, rfm__topic_state *topics, size_t count, rfm_error *error)
{
    rd_kafka_event_t *event;
    const char **names = calloc(count, sizeof *names);
    RFM_NEED(names);
    for (size_t i = 0; i < count; i++) {
        names[i] = topics[i].name;
        topics[i] = (rfm__topic_state){.name = names[i], .code = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART};
    }
    rd_kafka_TopicCollection_t *collection = rd_kafka_TopicCollection_of_topic_names(names, count);
    rd_kafka_AdminOptions_t *options = options_for(admin, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
    rd_kafka_error_destroy(rd_kafka_AdminOptions_set_include_authorized_operations(options, 1));
    rd_kafka_DescribeTopics(admin->client, collection, options, admin->queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_TopicCollection_destroy(collection);
    free(names);
    int code = await(admin, "describing topics", &event, error);
    if (code != RFM_OK)
        return code;
    take_descriptions(event, topics, count);
    rd_kafka_event_destroy(event);
    return RFM_OK;
}

static int created(rd_kafka_event_t *event, const char *name, rfm_error *error)
{
    size_t count;
    const rd_kafka_topic_result_t **results = rd_kafka_CreateTopics_result_topics(
        rd_kafka_event_CreateTopics_result(event), &count);
    rd_kafka_resp_err_t code = count > 0 ? rd_kafka_topic_result_error(results[0]) : RD_KAFKA_RESP_ERR__FAIL;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
        return RFM_OK;
    const char *why = count > 0 ? rd_kafka_topic_result_error_string(results[0]) : NULL;
    return rfm_fail(error, rfm__kafka_denied(code) ? RFM_E_DENIED : RFM_E_REFUSED, "creating topic '%s': %s", name,
                    why ? why : rd_kafka_err2str(code));
}

int rfm__admin_create(rfm__admin *admin, const char *name, uint32_t partition_count, bool is_wal, rfm_error *error)
{
    char text[256];
    rd_kafka_event_t *event;
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, (int)partition_count, -1, text, sizeof text);
    if (topic == NULL)
        return rfm_fail(error, RFM_E_REFUSED, "creating topic '%s': %s", name, text);
    if (is_wal)
        rd_kafka_NewTopic_set_config(topic, "cleanup.policy", "delete");
    rd_kafka_AdminOptions_t *options = options_for(admin, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_AdminOptions_set_operation_timeout(options, left_ms(admin), text, sizeof text);
    rd_kafka_CreateTopics(admin->client, &topic, 1, options, admin->queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_NewTopic_destroy(topic);
    int code = await(admin, "creating a topic", &event, error);
    if (code != RFM_OK)
        return code;
    code = created(event, name, error);
    rd_kafka_event_destroy(event);
    return code;
}

static int take_settings(const rfm__admin *admin, rd_kafka_event_t *event,
                         void (*each)(void *self, const char *name, const char *value), void *self, rfm_error *error)
{
    size_t count, entry_count;
    const rd_kafka_ConfigResource_t **resources = rd_kafka_DescribeConfigs_result_resources(
        rd_kafka_event_DescribeConfigs_result(event), &count);
    for (size_t i = 0; i < count; i++) {
        rd_kafka_resp_err_t code = rd_kafka_ConfigResource_error(resources[i]);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
            return fail(admin, code, "reading a topic's settings", rd_kafka_ConfigResource_error_string(resources[i]),
                        error);
        const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resources[i], &entry_count);
        for (size_t k = 0; k < entry_count; k++)
            if (rd_kafka_ConfigEntry_value(entries[k]))
                each(self, rd_kafka_ConfigEntry_name(entries[k]), rd_kafka_ConfigEntry_value(entries[k]));
    }
    return RFM_OK;
}

int rfm__admin_settings(rfm__admin *admin, const char *topic,
                        void (*each)(void *self, const char *name, const char *value), void *self, rfm_error *error)
{
    rd_kafka_event_t *event;
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    rd_kafka_AdminOptions_t *options = options_for(admin, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_DescribeConfigs(admin->client, &resource, 1, options, admin->queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_ConfigResource_destroy(resource);
    int code = await(admin, "reading a topic's settings", &event, error);
    if (code != RFM_OK)
        return code;
    code = take_settings(admin, event, each, self, error);
    rd_kafka_event_destroy(event);
    return code;
}
