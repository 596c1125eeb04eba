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

static bool same_field(const rfm_yaml *field, int64_t start_ms, const rfm_outcome *outcome, yyjson_val *value)
{
    int64_t time_ms;
    if (strcmp(field->key, "time") == 0)
        return rfm_scenario_time(field, start_ms, &time_ms) && time_ms == outcome->time_ms;
    return same_value(field, yyjson_obj_get(value, field->key));
}

/* What rfmd itself wrote. */
static yyjson_doc *parse(const rfm_outcome *outcome)
{
    yyjson_doc *doc = yyjson_read((const char *)outcome->value.at, outcome->value.len, 0);
    RFM_NEED(doc);
    return doc;
}

/* How many of the fields differ; each is written, if they are asked for. */
static size_t compare(const rfm_yaml *expected, int64_t start_ms, const rfm_outcome *outcome, rfm_buffer *differences)
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

static bool same_rule(const rfm_yaml *expected, const rfm_outcome *outcome)
{
    const rfm_yaml *rule = rfm_yaml_find(expected, rfm_text("rule"));
    yyjson_doc *doc = parse(outcome);
    bool same = rule && same_value(rule, yyjson_obj_get(yyjson_doc_get_root(doc), "rule"));
    yyjson_doc_free(doc);
    return same;
}

/* The fields that say what a record is. */
static void write_outcome(rfm_buffer *text, const rfm_outcome *outcome)
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

static int find_same(const rfm_yaml *expected, int64_t start_ms, const rfm_outcome *outcomes, size_t count,
                     const bool *taken)
{
    for (size_t i = 0; i < count; i++) {
        if (!taken[i] && compare(expected, start_ms, &outcomes[i], NULL) == 0)
            return (int)i;
    }
    return -1;
}

/* The one of the same rule that differs in the fewest fields. */
static int find_nearest(const rfm_yaml *expected, int64_t start_ms, const rfm_outcome *outcomes, size_t count,
                        const bool *taken)
{
    int nearest = -1;
    size_t fewest = SIZE_MAX;
    for (size_t i = 0; i < count; i++) {
        if (taken[i] || !same_rule(expected, &outcomes[i]))
            continue;
        size_t differences = compare(expected, start_ms, &outcomes[i], NULL);
        if (differences < fewest)
            fewest = differences, nearest = (int)i;
    }
    return nearest;
}

static void write_missing(const rfm_yaml *expected, int64_t start_ms, const rfm_outcome *outcomes, size_t count,
                          bool *taken, rfm_buffer *differences)
{
    int nearest = find_nearest(expected, start_ms, outcomes, count, taken);
    rfm_write_format(differences, "    %s:%u:%u: ", expected->source->name, expected->line, expected->column);
    if (nearest < 0) {
        rfm_write_text(differences, "expected, and has not come\n");
        return;
    }
    rfm_write_text(differences, "what has come differs: ");
    write_outcome(differences, &outcomes[nearest]);
    rfm_write_text(differences, "\n");
    (void)compare(expected, start_ms, &outcomes[nearest], differences);
    taken[nearest] = true;
}

bool rfm_expectation_met(const rfm_yaml *expect, int64_t start_ms, const rfm_outcome *outcomes, size_t count,
                         rfm_buffer *differences)
{
    bool audit = expects_held_back(expect), *taken = calloc(count + 1, sizeof *taken);
    size_t before = differences->len, missing = 0;
    const rfm_yaml **left = calloc(expect->count + 1, sizeof *left);
    RFM_NEED(taken && left);
    for (const rfm_yaml *expected = expect->first; expected; expected = expected->next) {
        int found = find_same(expected, start_ms, outcomes, count, taken);
        if (found >= 0)
            taken[found] = true;
        else
            left[missing++] = expected;
    }
    for (size_t i = 0; i < missing; i++)
        write_missing(left[i], start_ms, outcomes, count, taken, differences);
    for (size_t i = 0; i < count; i++) {
        if (taken[i] || (outcomes[i].held_back && !audit))
            continue;
        rfm_write_text(differences, "    not expected: ");
        write_outcome(differences, &outcomes[i]);
        rfm_write_text(differences, "\n");
    }
    free(taken);
    free(left);
    return differences->len == before;
}
