#include "position.h"

#include "committed.h"
#include "inquirer.h"
#include "offsets.h"

#include <rfm/base/time.h>
#include <stdio.h>
#include <stdlib.h>

enum { BLOCKED_MS = 1000, UNSTABLE_RETRY_MS = 50, ERROR_RETRY_MS = 250, TIMEOUT_MS = 5000 };

typedef enum stage {
    IDLE,
    WANT_COMMITTED, /* from retry_ms on */
    ASKED_COMMITTED,
    WANT_LOGS,
    ASKED_LOGS,
} stage;

typedef struct question {
    stage stage;
    uint32_t term;
    int64_t since_ms, retry_ms;      /* steady */
    bool answered, unstable, failed; /* of this round */
    rfm_position committed;
    int64_t begin[RFM_INPUTS_MAX], end[RFM_INPUTS_MAX], wal_end;
} question;

struct rfm__positions {
    const rfm_kafka_conf *conf;
    rfm_kafka_owner owner;
    rfm__inquirer inquirer;
    rfm__asker *asker;
    rfm__round logs;
    bool asking;
    question *questions;
    size_t open;
};

static void close_question(rfm__positions *positions, question *of)
{
    if (of->stage != IDLE)
        positions->open--;
    of->stage = IDLE;
}

static void answer(rfm__positions *positions, uint32_t task, rfm_answer given, const char *reason)
{
    question *of = &positions->questions[task];
    rfm_input told = {.kind = RFM_IN_POSITION,
                      .task = task,
                      .term = of->term,
                      .now_ms = rfm_clock_wall_ms(),
                      .answer = given,
                      .reason = reason};
    told.position.committed = of->committed;
    memcpy(told.position.begin, of->begin, sizeof of->begin);
    memcpy(told.position.end, of->end, sizeof of->end);
    close_question(positions, of);
    positions->owner.tell(positions->owner.self, &told);
}

static void retry(question *of, int64_t pause_ms)
{
    of->stage = WANT_COMMITTED;
    of->retry_ms = rfm_clock_steady_ms() + pause_ms;
}

/* -- committed offsets */

static rd_kafka_topic_partition_list_t *to_ask(rfm__positions *positions, stage from, stage to, bool with_wal)
{
    int64_t now_ms = rfm_clock_steady_ms();
    const rfm_kafka_conf *conf = positions->conf;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(64);
    for (uint32_t task = 0; task < conf->partition_count; task++) {
        question *of = &positions->questions[task];
        if (of->stage != from || of->retry_ms > now_ms)
            continue;
        of->stage = to;
        of->answered = of->unstable = of->failed = false;
        for (size_t input = 0; input < conf->input_count; input++)
            rd_kafka_topic_partition_list_add(list, conf->input_topic[input], (int32_t)task);
        if (with_wal)
            rd_kafka_topic_partition_list_add(list, conf->wal, (int32_t)task);
    }
    return list;
}

static void ask_committed(rfm__positions *positions)
{
    char text[128];
    rd_kafka_topic_partition_list_t *list = to_ask(positions, WANT_COMMITTED, ASKED_COMMITTED, false);
    if (list->cnt > 0) {
        rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(positions->inquirer.client,
                                                                     RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS);
        rd_kafka_AdminOptions_set_request_timeout(options, TIMEOUT_MS, text, sizeof text);
        rd_kafka_error_destroy(rd_kafka_AdminOptions_set_require_stable_offsets(options, 1));
        rd_kafka_ListConsumerGroupOffsets_t *request = rd_kafka_ListConsumerGroupOffsets_new(positions->conf->group,
                                                                                             list);
        rd_kafka_ListConsumerGroupOffsets(positions->inquirer.client, &request, 1, options, positions->inquirer.queue);
        rd_kafka_ListConsumerGroupOffsets_destroy(request);
        rd_kafka_AdminOptions_destroy(options);
        positions->asking = true;
    }
    rd_kafka_topic_partition_list_destroy(list);
}

static void take_committed(rfm__positions *positions, const rd_kafka_topic_partition_t *at)
{
    size_t input;
    if ((uint32_t)at->partition >= positions->conf->partition_count ||
        !rfm__kafka_find_input(positions->conf, at->topic, &input))
        return;
    question *of = &positions->questions[at->partition];
    if (of->stage != ASKED_COMMITTED)
        return;
    of->answered = true;
    if (at->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        of->unstable = at->err == RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT || of->unstable;
        of->failed = at->err != RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT || of->failed;
        if (at->err != RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT)
            rfm__kafka_log(positions->conf, RFM_KAFKA_LOG_WARNING, "committed offset of %s [%d]: %s", at->topic,
                           (int)at->partition, rd_kafka_err2str(at->err));
        return;
    }
    of->committed.next[input] = at->offset >= 0 ? at->offset : RFM_OFFSET_NONE;
    int64_t wal = at->offset >= 0 ? rfm__committed_wal(at) : RFM_OFFSET_NONE;
    if (wal > of->committed.wal)
        of->committed.wal = wal;
}

static void end_committed_round(rfm__positions *positions, rd_kafka_resp_err_t code, const char *why)
{
    for (uint32_t task = 0; task < positions->conf->partition_count; task++) {
        question *of = &positions->questions[task];
        if (of->stage != ASKED_COMMITTED)
            continue;
        if (rfm__kafka_denied(code)) {
            char reason[384];
            snprintf(reason, sizeof reason, "the offsets of group '%s' cannot be read: %s; grant READ on the group",
                     positions->conf->group, why);
            answer(positions, task, RFM_REFUSED_FOR_GOOD, reason);
        } else if (!of->answered || of->failed) {
            retry(of, ERROR_RETRY_MS);
        } else if (!of->unstable) {
            of->stage = WANT_LOGS;
        } else if (rfm_clock_steady_ms() - of->since_ms >= BLOCKED_MS) {
            answer(positions, task, RFM_BLOCKED, NULL);
        } else {
            retry(of, UNSTABLE_RETRY_MS);
        }
    }
}

static void clear_committed(rfm__positions *positions)
{
    for (uint32_t task = 0; task < positions->conf->partition_count; task++) {
        question *of = &positions->questions[task];
        if (of->stage != ASKED_COMMITTED)
            continue;
        of->committed.wal = RFM_OFFSET_NONE;
        for (size_t i = 0; i < RFM_INPUTS_MAX; i++)
            of->committed.next[i] = RFM_OFFSET_NONE;
    }
}

/* Returns the code of the whole answer. */
static rd_kafka_resp_err_t take_group(rfm__positions *positions, rd_kafka_event_t *event)
{
    const rd_kafka_ListConsumerGroupOffsets_result_t *result = rd_kafka_event_ListConsumerGroupOffsets_result(event);
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    const char *why = rd_kafka_event_error_string(event);
    size_t count = 0;
    const rd_kafka_group_result_t **groups = NULL;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && result)
        groups = rd_kafka_ListConsumerGroupOffsets_result_groups(result, &count);
    clear_committed(positions);
    if (count > 0 && rd_kafka_group_result_error(groups[0])) {
        code = rd_kafka_error_code(rd_kafka_group_result_error(groups[0]));
        why = rd_kafka_error_string(rd_kafka_group_result_error(groups[0]));
    } else if (count > 0) {
        const rd_kafka_topic_partition_list_t *offsets = rd_kafka_group_result_partitions(groups[0]);
        for (int i = 0; i < offsets->cnt; i++)
            take_committed(positions, &offsets->elems[i]);
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        rfm__kafka_log(positions->conf, RFM_KAFKA_LOG_WARNING, "committed offsets of group '%s': %s",
                       positions->conf->group, why);
    end_committed_round(positions, code, why);
    return code;
}

static void take_committed_answer(rfm__positions *positions)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(positions->inquirer.queue, 0);
    if (event == NULL)
        return;
    positions->asking = false;
    rd_kafka_resp_err_t code = take_group(positions, event);
    rd_kafka_event_destroy(event);
    if (code == RD_KAFKA_RESP_ERR_NOT_COORDINATOR)
        rfm__inquirer_renew(&positions->inquirer);
}

/* -- logs */

static void ask_logs(rfm__positions *positions)
{
    static const rfm__which both[] = {RFM__LOG_START, RFM__LOG_END};
    rd_kafka_topic_partition_list_t *list = to_ask(positions, WANT_LOGS, ASKED_LOGS, true);
    for (int i = 0; i < list->cnt; i++) {
        question *of = &positions->questions[list->elems[i].partition];
        for (size_t input = 0; input < RFM_INPUTS_MAX; input++)
            of->begin[input] = of->end[input] = RFM_OFFSET_NONE;
        of->wal_end = RFM_OFFSET_NONE;
    }
    if (list->cnt > 0)
        rfm__round_ask(&positions->logs, list, both, 2);
    rd_kafka_topic_partition_list_destroy(list);
}

static void take_log(void *self, rfm__which which, const rd_kafka_topic_partition_t *at)
{
    rfm__positions *positions = self;
    size_t input;
    if ((uint32_t)at->partition >= positions->conf->partition_count)
        return;
    question *of = &positions->questions[at->partition];
    if (of->stage != ASKED_LOGS)
        return;
    if (rfm__kafka_find_input(positions->conf, at->topic, &input))
        *(which == RFM__LOG_START ? &of->begin[input] : &of->end[input]) = at->offset;
    else if (which == RFM__LOG_END && strcmp(at->topic, positions->conf->wal) == 0)
        of->wal_end = at->offset;
}

static bool logs_known(const rfm__positions *positions, const question *of)
{
    for (size_t input = 0; input < positions->conf->input_count; input++)
        if (of->begin[input] < 0 || of->end[input] < 0)
            return false;
    return of->wal_end >= 0;
}

static void end_logs(rfm__positions *positions, uint32_t task)
{
    char reason[384];
    question *of = &positions->questions[task];
    if (rfm__kafka_denied(positions->logs.error)) {
        snprintf(reason, sizeof reason,
                 "the logs cannot be asked for their offsets: %s; grant READ on the inputs and on '%s'",
                 positions->logs.why, positions->conf->wal);
        answer(positions, task, RFM_REFUSED_FOR_GOOD, reason);
    } else if (!logs_known(positions, of)) {
        retry(of, ERROR_RETRY_MS);
    } else if (positions->conf->transactional_id && of->committed.wal >= of->wal_end) {
        snprintf(reason, sizeof reason,
                 "%s [%u]: the committed WAL record %lld lies at or beyond the log's end %lld: the topic "
                 "was made anew or lost records; restore it, or start with a new group, WAL topic and Redis prefix",
                 positions->conf->wal, task, (long long)of->committed.wal, (long long)of->wal_end);
        answer(positions, task, RFM_REFUSED_FOR_GOOD, reason);
    } else {
        answer(positions, task, RFM_DONE, NULL);
    }
}

static void take_logs(rfm__positions *positions)
{
    if (!rfm__round_take(&positions->logs, take_log, positions))
        return;
    if (positions->logs.error != RD_KAFKA_RESP_ERR_NO_ERROR)
        rfm__kafka_log(positions->conf, RFM_KAFKA_LOG_WARNING, "asking for log offsets: %s", positions->logs.why);
    for (uint32_t task = 0; task < positions->conf->partition_count; task++)
        if (positions->questions[task].stage == ASKED_LOGS)
            end_logs(positions, task);
}

/* -- interface */

void rfm__positions_serve(rfm__positions *positions)
{
    take_committed_answer(positions);
    take_logs(positions);
    if (positions->open == 0)
        return;
    if (!positions->asking)
        ask_committed(positions);
    if (positions->logs.waiting == 0 && rfm__asker_ready(positions->asker))
        ask_logs(positions);
}

void rfm__positions_ask(rfm__positions *positions, uint32_t task, uint32_t term)
{
    question *of = &positions->questions[task];
    if (of->stage == IDLE)
        positions->open++;
    *of = (question){.stage = WANT_COMMITTED, .term = term, .since_ms = rfm_clock_steady_ms()};
}

void rfm__positions_forget(rfm__positions *positions, uint32_t task)
{
    close_question(positions, &positions->questions[task]);
}

rfm__positions *rfm__positions_new(const rfm_kafka_conf *conf, const rfm_kafka_owner *owner, rd_kafka_t *member,
                                   rfm__asker *asker, rfm__wake *wake)
{
    rfm__positions *positions = calloc(1, sizeof *positions);
    RFM_NEED(positions);
    positions->conf = conf;
    positions->owner = *owner;
    positions->asker = asker;
    rfm__inquirer_init(&positions->inquirer, conf, member, wake);
    rfm__round_init(&positions->logs, asker, wake);
    positions->questions = calloc(conf->partition_count, sizeof *positions->questions);
    RFM_NEED(positions->questions);
    return positions;
}

void rfm__positions_free(rfm__positions *positions)
{
    if (positions == NULL)
        return;
    rfm__inquirer_release(&positions->inquirer);
    rfm__round_release(&positions->logs);
    free(positions->questions);
    free(positions);
}
