#include "expectation.h"

#include <rfm/base/time.h>
#include <rfm/base/utf8.h>
#include <stdlib.h>
#include <yyjson.h>

bool rfm_scenario_time(const rfm_yaml *node, int64_t start_ms, int64_t *time_ms)
{
    int64_t since_ms;
    if (node->kind != RFM_YAML_SCALAR)
        return false;
    if (rfm_duration_parse(rfm_text(node->text), &since_ms) == RFM_OK)
        return !__builtin_add_overflow(start_ms, since_ms, time_ms);
    return rfm_time_parse(rfm_text(node->text), time_ms) == RFM_OK;
}

static bool same_number(const rfm_yaml *node, yyjson_val *value)
{
    char *end;
    double number = strtod(node->text, &end);
    return *node->text && *end == 0 && number == yyjson_get_num(value);
}

static bool same_scalar(const rfm_yaml *node, yyjson_val *value)
{
    if (yyjson_is_null(value))
        return rfm_yaml_is_null(node);
    if (yyjson_is_bool(value))
        return strcmp(node->text, yyjson_get_bool(value) ? "true" : "false") == 0;
    if (yyjson_is_num(value))
        return same_number(node, value);
    return yyjson_is_str(value) && strcmp(node->text, yyjson_get_str(value)) == 0;
}

/* Of an object what is expected; of a list all. */
static bool same_value(const rfm_yaml *node, yyjson_val *value)
{
    if (node->kind == RFM_YAML_SCALAR)
        return same_scalar(node, value);
    bool list = node->kind == RFM_YAML_LIST;
    if (list ? yyjson_arr_size(value) != node->count || !yyjson_is_arr(value) : !yyjson_is_obj(value))
        return false;
    size_t i = 0;
    for (const rfm_yaml *child = node->first; child; child = child->next) {
        yyjson_val *of = list ? yyjson_arr_get(value, i++) : yyjson_obj_get(value, child->key);
        if (!same_value(child, of))
            return false;
    }
    return true;
}

static bool same_field(const rfm_yaml *field, int64_t start_ms, const rfm_scenario_outcome *outcome, yyjson_val *value)
{
    int64_t time_ms;
    if (strcmp(field->key, "time") == 0)
        return rfm_scenario_time(field, start_ms, &time_ms) && time_ms == outcome->time_ms;
    return same_value(field, yyjson_obj_get(value, field->key));
}

/* What rfmd itself wrote. */
static yyjson_doc *parse(const rfm_scenario_outcome *outcome)
{
    yyjson_doc *doc = yyjson_read((const char *)outcome->value.at, outcome->value.len, 0);
    RFM_NEED(doc);
    return doc;
}

/* How many of the fields differ; each is written, if they are asked for. */
static size_t compare(const rfm_yaml *expected, int64_t start_ms, const rfm_scenario_outcome *outcome,
                      rfm_buffer *differences)
{
    yyjson_doc *doc = parse(outcome);
    yyjson_val *root = yyjson_doc_get_root(doc);
    size_t count = !rfm_yaml_find(expected, rfm_text("suppressed_by")) && outcome->held_back;
    for (const rfm_yaml *field = expected->first; field; field = field->next) {
        if (same_field(field, start_ms, outcome, root))
            continue;
        count++;
        if (!differences)
            continue;
        char *is = yyjson_val_write(yyjson_obj_get(root, field->key), 0, NULL);
        rfm_write_format(differences, "      %s is %s, expected was %s\n", field->key, is ? is : "not there",
                         field->kind == RFM_YAML_SCALAR ? field->text : "another");
        free(is);
    }
    yyjson_doc_free(doc);
    return count;
}

static bool same_rule(const rfm_yaml *expected, const rfm_scenario_outcome *outcome)
{
    const rfm_yaml *rule = rfm_yaml_find(expected, rfm_text("rule"));
    yyjson_doc *doc = parse(outcome);
    bool same = rule && same_value(rule, yyjson_obj_get(yyjson_doc_get_root(doc), "rule"));
    yyjson_doc_free(doc);
    return same;
}

/* The fields that say what a record is. */
static void write_outcome(rfm_buffer *text, const rfm_scenario_outcome *outcome)
{
    static const char *const fields[] = {"rule",    "client_id", "time",  "channel",      "template",
                                         "variant", "data",      "cause", "suppressed_by"};
    yyjson_doc *doc = parse(outcome);
    const char *separator = "{";
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        yyjson_val *value = yyjson_obj_get(yyjson_doc_get_root(doc), fields[i]);
        if (!value || yyjson_is_null(value))
            continue;
        char *json = yyjson_val_write(value, 0, NULL);
        rfm_write_format(text, "%s%s: %s", separator, fields[i], json ? json : "");
        separator = ", ";
        free(json);
    }
    rfm_write_text(text, "}");
    yyjson_doc_free(doc);
}

static bool expects_held_back(const rfm_yaml *expect)
{
    for (const rfm_yaml *expected = expect->first; expected; expected = expected->next) {
        if (rfm_yaml_find(expected, rfm_text("suppressed_by")))
            return true;
    }
    return false;
}

/* Who has which: outcomes, and for each the expectation that it meets, or NULL; `asked` has been tried for this one. */
typedef struct pairing {
    int64_t start_ms;
    const rfm_scenario_outcome *outcomes;
    size_t count;
    const rfm_yaml **of;
    bool *asked;
} pairing;

static bool meets(const pairing *p, const rfm_yaml *expected, size_t i)
{
    return !p->asked[i] && compare(expected, p->start_ms, &p->outcomes[i], NULL) == 0;
}

/* One that is free, else one whose expectation finds another (an augmenting path: Kuhn 1955): an expectation with few
 * fields must not take what only one with more fields could not do without. */
static bool pair(pairing *p, const rfm_yaml *expected)
{
    for (size_t i = 0; i < p->count; i++) {
        if (!p->of[i] && meets(p, expected, i)) {
            p->of[i] = expected;
            return true;
        }
    }
    for (size_t i = 0; i < p->count; i++) {
        if (!p->of[i] || !meets(p, expected, i))
            continue;
        p->asked[i] = true;
        if (pair(p, p->of[i])) {
            p->of[i] = expected;
            return true;
        }
    }
    return false;
}

/* The one of the same rule that differs in the fewest fields. */
static int find_nearest(const pairing *p, const rfm_yaml *expected)
{
    int nearest = -1;
    size_t fewest = SIZE_MAX;
    for (size_t i = 0; i < p->count; i++) {
        if (p->of[i] || !same_rule(expected, &p->outcomes[i]))
            continue;
        size_t differences = compare(expected, p->start_ms, &p->outcomes[i], NULL);
        if (differences < fewest)
            fewest = differences, nearest = (int)i;
    }
    return nearest;
}

static void write_missing(pairing *p, const rfm_yaml *expected, rfm_buffer *differences)
{
    int nearest = find_nearest(p, expected);
    rfm_write_format(differences, "    %s:%u:%u: ", expected->source->name, expected->line, expected->column);
    if (nearest < 0) {
        rfm_write_text(differences, "expected, and has not come\n");
        return;
    }
    rfm_write_text(differences, "what has come differs: ");
    write_outcome(differences, &p->outcomes[nearest]);
    rfm_write_text(differences, "\n");
    (void)compare(expected, p->start_ms, &p->outcomes[nearest], differences);
    p->of[nearest] = expected;
}

static void write_extra(const pairing *p, bool audit, rfm_buffer *differences)
{
    for (size_t i = 0; i < p->count; i++) {
        if (p->of[i] || (p->outcomes[i].held_back && !audit))
            continue;
        rfm_write_text(differences, "    not expected: ");
        write_outcome(differences, &p->outcomes[i]);
        rfm_write_text(differences, "\n");
    }
}

bool rfm_expectation_met(const rfm_yaml *expect, int64_t start_ms, const rfm_scenario_outcome *outcomes, size_t count,
                         rfm_buffer *differences)
{
    pairing p = {start_ms, outcomes, count, calloc(count + 1, sizeof *p.of), calloc(count + 1, sizeof *p.asked)};
    const rfm_yaml **left = calloc(expect->count + 1, sizeof *left);
    RFM_NEED(p.of && p.asked && left);
    size_t before = differences->len, missing = 0;
    for (const rfm_yaml *expected = expect->first; expected; expected = expected->next) {
        memset(p.asked, 0, count * sizeof *p.asked);
        if (!pair(&p, expected))
            left[missing++] = expected;
    }
    for (size_t i = 0; i < missing; i++)
        write_missing(&p, left[i], differences);
    write_extra(&p, expects_held_back(expect), differences);
    free(p.of);
    free(p.asked);
    free(left);
    return differences->len == before;
}
