#include "keys.h"

#include <math.h>
#include <stdlib.h>

#include <rfm/base/nearest.h>

#define AT(member) offsetof(rfm_config, member)

static void read_unit(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    const char *text;
    (void)key;
    if (!rfm__text_of(loader, node, &text))
        return;
    if (strcmp(text, "day") == 0)
        *(double *)at = 1;
    else if (strcmp(text, "week") == 0)
        *(double *)at = 7;
    else
        rfm__report(loader, node, "may be day, week; not %s", rfm__show_node(node).text);
}

static void print_unit(rfm_buffer *yaml, const rfm__key *key, const rfm_config *config, const void *at)
{
    (void)key, (void)config;
    rfm_write_text(yaml, *(const double *)at == 7 ? "week" : "day");
}

static const rfm__kind unit = {"one of: `day`, `week`", true, false, read_unit, print_unit};

static void read_positive(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    double number;
    (void)key;
    if (!rfm__number_of(loader, node, &number))
        return;
    if (number > 0)
        *(double *)at = number;
    else
        rfm__report(loader, node, "a number above 0 is needed here, not %s", rfm__show_node(node).text);
}

static const rfm__kind positive = {"number above 0", true, false, read_positive, rfm__print_number_at};

static void read_cap(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    if (node->kind == RFM_YAML_SCALAR && strcmp(node->text, "none") == 0)
        *(double *)at = INFINITY;
    else
        read_positive(loader, key, node, at);
}

static void print_cap(rfm_buffer *yaml, const rfm__key *key, const rfm_config *config, const void *at)
{
    (void)key, (void)config;
    if (isinf(*(const double *)at))
        rfm_write_text(yaml, "none");
    else
        rfm__print_number(yaml, *(const double *)at);
}

static const rfm__kind cap = {"number above 0 or `none`", true, false, read_cap, print_cap};

static const char *const models[] = {"mbg_nbd", "!bg_nbd", NULL};

static const rfm__key keys[] = {
    {"model", &rfm__choice, AT(model_kind), .choices = models, .flags = RFM__REQUIRED,
     .text = "The model that was fitted"},
    {"unit", &unit, AT(client.model.unit_days), .flags = RFM__REQUIRED, .text = "What `alpha` counts"},
    {"r", &positive, AT(client.model.r), .flags = RFM__REQUIRED, .text = "Shape of the purchase rate among clients"},
    {"alpha", &positive, AT(client.model.alpha), .flags = RFM__REQUIRED, .text = "Its scale, in units of time"},
    {"a", &positive, AT(client.model.a), .flags = RFM__REQUIRED,
     .text = "Beta distribution of dropping out after a purchase"},
    {"b", &positive, AT(client.model.b), .flags = RFM__REQUIRED, .text = "The same"},
    {"evidence_cap", &cap, AT(client.model.evidence_cap), "5",
     .text = "Purchases after which a long history weighs no more; `none`: the plain model"},
    {"spend.p", &positive, AT(client.model.spend.p), .flags = RFM__REQUIRED_WITHIN,
     .text = "Gamma-Gamma model of what an order is worth"},
    {"spend.q", &positive, AT(client.model.spend.q), .flags = RFM__REQUIRED_WITHIN, .text = "The same"},
    {"spend.v", &positive, AT(client.model.spend.v), .flags = RFM__REQUIRED_WITHIN,
     .text = "The same, in the base currency"},
    {"fitted.clients", &rfm__integer, AT(fitted.clients), "0", .low = 0, .high = UINT32_MAX,
     .text = "Clients that it was fitted on"},
    {"fitted.log_likelihood", &rfm__number, AT(fitted.log_likelihood), "0", .text = "How well"},
    {"fitted.until", &rfm__text, AT(fitted.until), .high = 64, .text = "End of the purchases that it has seen"},
};
const rfm__table rfm__model_table = {keys, sizeof keys / sizeof *keys};

static void read_model_file(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    const char *text;
    rfm_error error;
    (void)key;
    if (!rfm__text_of(loader, node, &text))
        return;
    *(const char **)at = rfm__path_of(loader, node);
    const rfm_yaml *map = rfm__load_named(loader, node, *(const char **)at);
    if (!map)
        return;
    size_t errors_before = loader->errors->count;
    rfm__table_read(loader, &rfm__model_table, map, loader->config);
    if (loader->errors->count == errors_before && rfm_model_check(&loader->config->client.model, &error))
        rfm__report(loader, map, "%s", error.message);
}

const rfm__kind rfm__model_file = {"file", true, true, read_model_file, rfm__print_text_at};

static void add_cells(rfm__loader *loader, rfm_segments *segments, const rfm_yaml *segment)
{
    rfm_error error;
    const rfm_yaml *cell = segment->kind == RFM_YAML_LIST ? segment->first : segment;
    if (!cell || segment->kind == RFM_YAML_MAP || rfm_yaml_is_null(segment))
        rfm__report(loader, segment, "a list of cells is needed here, such as [555, 554] or [\"5[4-5]\"], not %s",
                    rfm__show_node(segment).text);
    else if (rfm_segments_add(segments, segment->key, "", &error))
        rfm__report_key(loader, segment, "%s", error.message);
    else {
        for (; cell; cell = cell == segment ? NULL : cell->next) {
            const char *text;
            if (rfm__text_of(loader, cell, &text) && rfm_segments_add(segments, segment->key, text, &error))
                rfm__report(loader, cell, "%s", error.message);
        }
    }
}

static void read_segments_file(rfm__loader *loader, const rfm_yaml *node, const char *path)
{
    rfm_error error;
    rfm_segments segments = {0};
    const rfm_yaml *root = rfm__load_named(loader, node, path);
    if (!root)
        return;
    size_t errors_before = loader->errors->count;
    const rfm_yaml *map = rfm_yaml_find(root, rfm_text("segments"));
    loader->key = NULL;
    if (!map || map->kind != RFM_YAML_MAP || root->count > 1) {
        rfm__report(loader, root, "a file of segments has one key, segments: {NAME: [cells]}");
        return;
    }
    for (const rfm_yaml *segment = map->first; segment; segment = segment->next)
        add_cells(loader, &segments, segment);
    if (loader->errors->count == errors_before && rfm_segments_check(&segments, &error))
        rfm__report_key(loader, map, "%s", error.message);
    loader->config->client.segments = segments;
}

/* A file has a slash or a dot in its name, a preset has not. */
static void read_segments(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    static const char *const presets[] = {"classic-11", "rf-10", NULL};
    const char *text;
    (void)key;
    if (!rfm__text_of(loader, node, &text))
        return;
    if (strpbrk(text, "/.")) {
        *(const char **)at = rfm__path_of(loader, node);
        read_segments_file(loader, node, *(const char **)at);
    } else if (rfm_segments_preset(&loader->config->client.segments, text) == 0) {
        *(const char **)at = rfm__keep(loader, text, strlen(text));
    } else {
        rfm__report(loader, node, "no such preset %s; the nearest is %s, and a file has a slash or a dot in its name",
                    rfm__show_node(node).text, rfm_nearest(presets, text));
    }
}

const rfm__kind rfm__segments = {"preset or file", true, true, read_segments, rfm__print_text_at};
