#include "keys.h"

#include <rfm/base/utf8.h>

#include <stdio.h>
#include <stdlib.h>

static bool currency_of(rfm__loader *loader, const rfm_yaml *node, const char *text, rfm_currency *currency)
{
    int digits = -1;
    if (strlen(text) == 3) {
        memcpy(currency->code, text, 4);
        digits = rfm_currency_digits(currency->code);
    }
    if (digits < 0) {
        rfm__report(loader, node, "a currency is three capital letters (ISO 4217), unlike \"%s\"",
                    rfm__show(text).text);
        return false;
    }
    currency->digits = (uint8_t)digits;
    return true;
}

static void read_base_currency(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    const char *text;
    rfm_currency currency = {.rate = {1, 0}};
    (void)key;
    if (rfm__text_of(loader, node, &text) && currency_of(loader, node, text, &currency))
        *(rfm_currency *)at = currency;
}

static void print_base_currency(rfm_buffer *yaml, const rfm__key *key, const rfm_config *config, const void *at)
{
    (void)key, (void)config;
    rfm_write_text(yaml, ((const rfm_currency *)at)->code);
}

const rfm__kind rfm__base_currency = {"currency", true, false, read_base_currency, print_base_currency};

static bool is_one(rfm_decimal rate)
{
    for (; rate.scale > 0 && rate.digits % 10 == 0; rate.scale--)
        rate.digits /= 10;
    return rate.scale == 0 && rate.digits == 1;
}

static void read_rate(rfm__loader *loader, const rfm_yaml *node, rfm_money_conf *money)
{
    const char *text;
    rfm_currency currency;
    if (!rfm__text_of(loader, node, &text) || !currency_of(loader, node, node->key, &currency))
        return;
    if (rfm_decimal_parse(rfm_text(text), &currency.rate) || currency.rate.digits <= 0)
        rfm__report(loader, node, "a rate is needed here, a decimal above 0 with 18 decimals at most, not %s",
                    rfm__show_node(node).text);
    else if (strcmp(currency.code, money->base.code) == 0) {
        if (!is_one(currency.rate))
            rfm__report_key(loader, node, "%s is the base currency: its rate is 1", currency.code);
    } else if (money->other_count == RFM_CURRENCIES_MAX)
        rfm__report_key(loader, node, "more than %d rates", RFM_CURRENCIES_MAX);
    else
        money->other[money->other_count++] = currency;
}

static void read_rates(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    (void)key;
    if (node->kind != RFM_YAML_MAP) {
        rfm__report(loader, node, "a map CODE: rate is needed here, not %s", rfm__show_node(node).text);
        return;
    }
    for (const rfm_yaml *rate = node->first; rate; rate = rate->next)
        read_rate(loader, rate, at);
}

static void print_rates(rfm_buffer *yaml, const rfm__key *key, const rfm_config *config, const void *at)
{
    const rfm_money_conf *money = at;
    (void)key, (void)config;
    for (size_t i = 0; i < money->other_count; i++) {
        char rate[RFM_MONEY_TEXT];
        rfm_money_format(money->other[i].rate.digits, money->other[i].rate.scale, rate);
        rfm_write_format(yaml, "%s%s: %s", i ? ", " : "{", money->other[i].code, rate);
    }
    rfm_write_text(yaml, money->other_count ? "}" : "{}");
}

const rfm__kind rfm__rates = {"map", false, false, read_rates, print_rates};

static void read_timezone(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    const char *text;
    rfm_error error;
    (void)key;
    if (!rfm__text_of(loader, node, &text))
        return;
    rfm_zone_free(loader->config->zone);
    loader->config->zone = NULL;
    if (strcmp(text, "UTC") != 0 && rfm_zone_load(text, &loader->config->zone, &error)) {
        rfm__report(loader, node, "%s", error.message);
        return;
    }
    loader->config->client.zone = loader->config->zone;
    *(const char **)at = rfm__keep(loader, text, strlen(text));
}

const rfm__kind rfm__timezone = {"time zone", true, true, read_timezone, rfm__print_text_at};

enum { EDGES = 4 };

/* Four rising numbers; `read` gives one of them. */
static bool read_edges(rfm__loader *loader, const rfm_yaml *node,
                       bool (*read)(rfm__loader *, const rfm_yaml *, int64_t *), int64_t edge[EDGES])
{
    if (node->kind != RFM_YAML_LIST || node->count != EDGES) {
        rfm__report(loader, node, "a list of %d rising numbers is needed here", EDGES);
        return false;
    }
    size_t i = 0;
    for (const rfm_yaml *item = node->first; item; item = item->next, i++) {
        if (!read(loader, item, &edge[i]))
            return false;
        if (i && edge[i] <= edge[i - 1]) {
            rfm__report(loader, item, "the numbers must rise: %s does not", rfm__show_node(item).text);
            return false;
        }
    }
    return true;
}

static bool read_edge_integer(rfm__loader *loader, const rfm_yaml *node, int64_t *edge)
{
    return rfm__integer_of(loader, node, 0, 1000000, edge);
}

static bool read_edge_money(rfm__loader *loader, const rfm_yaml *node, int64_t *edge)
{
    rfm_decimal decimal;
    const rfm_money_conf *money = &loader->config->client.money;
    if (node->kind == RFM_YAML_SCALAR && rfm_decimal_parse(rfm_text(node->text), &decimal) == 0 &&
        decimal.digits >= 0 && rfm_money_convert(money, decimal, RFM_BYTES_NONE, edge) == 0)
        return true;
    rfm__report(loader, node, "an amount in %s is needed here, not %s", money->base.code, rfm__show_node(node).text);
    return false;
}

static void read_day_list(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    int64_t edge[EDGES];
    (void)key;
    if (!read_edges(loader, node, read_edge_integer, edge))
        return;
    for (int i = 0; i < EDGES; i++)
        ((int32_t *)at)[i] = (int32_t)edge[i];
}

static void print_day_list(rfm_buffer *yaml, const rfm__key *key, const rfm_config *config, const void *at)
{
    const int32_t *edge = at;
    (void)key, (void)config;
    rfm_write_format(yaml, "[%d, %d, %d, %d]", edge[0], edge[1], edge[2], edge[3]);
}

const rfm__kind rfm__day_list = {"list", false, false, read_day_list, print_day_list};

static void read_count_list(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    int64_t edge[EDGES];
    (void)key;
    if (!read_edges(loader, node, read_edge_integer, edge))
        return;
    for (int i = 0; i < EDGES; i++)
        ((uint32_t *)at)[i] = (uint32_t)edge[i];
}

static void print_count_list(rfm_buffer *yaml, const rfm__key *key, const rfm_config *config, const void *at)
{
    const uint32_t *edge = at;
    (void)key, (void)config;
    rfm_write_format(yaml, "[%u, %u, %u, %u]", edge[0], edge[1], edge[2], edge[3]);
}

const rfm__kind rfm__count_list = {"list", false, false, read_count_list, print_count_list};

static void read_money_list(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    int64_t edge[EDGES];
    (void)key;
    if (read_edges(loader, node, read_edge_money, edge))
        memcpy(at, edge, sizeof edge);
}

static void print_money_list(rfm_buffer *yaml, const rfm__key *key, const rfm_config *config, const void *at)
{
    const int64_t *edge = at;
    (void)key;
    for (int i = 0; i < EDGES; i++) {
        char text[RFM_MONEY_TEXT];
        rfm_money_format(edge[i], config->client.money.base.digits, text);
        rfm_write_format(yaml, "%s%s", i ? ", " : "[", text);
    }
    rfm_write_text(yaml, "]");
}

const rfm__kind rfm__money_list = {"list", false, false, read_money_list, print_money_list};

static const char *const trait_types[] = {"string", "int", "double", "bool", "date", "timestamp", NULL};
struct trait {
    int type;
};
static const rfm__key trait_keys[] = {
    {"type", &rfm__choice, offsetof(struct trait, type), .choices = trait_types, .flags = RFM__REQUIRED, .text = ""},
};
static const rfm__table trait_table = {trait_keys, sizeof trait_keys / sizeof *trait_keys};

static void read_trait(rfm__loader *loader, const rfm_yaml *node)
{
    rfm_config *config = loader->config;
    struct trait trait = {0};
    if (!rfm__is_name(node->key, 64, "_"))
        rfm__report_key(loader, node, "a trait's name has letters, digits and '_' (64 at most), unlike \"%s\"",
                        rfm__show(node->key).text);
    else if (config->trait_count == RFM_TRAITS_MAX)
        rfm__report_key(loader, node, "more than %d traits", RFM_TRAITS_MAX);
    else {
        rfm__table_read(loader, &trait_table, node, &trait);
        config->traits[config->trait_count++] = (rfm_trait){rfm__keep(loader, node->key, strlen(node->key)),
                                                            (rfm_trait_type)trait.type};
    }
}

static int compare_traits(const void *a, const void *b)
{
    return strcmp(((const rfm_trait *)a)->name, ((const rfm_trait *)b)->name);
}

static void read_traits(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at)
{
    (void)key;
    if (node->kind != RFM_YAML_MAP) {
        rfm__report(loader, node, "a map NAME: {type} is needed here, not %s", rfm__show_node(node).text);
        return;
    }
    for (const rfm_yaml *trait = node->first; trait; trait = trait->next)
        read_trait(loader, trait);
    qsort(at, loader->config->trait_count, sizeof(rfm_trait), compare_traits);
    loader->config->client.traits = loader->config->traits;
    loader->config->client.trait_count = loader->config->trait_count;
}

static void print_traits(rfm_buffer *yaml, const rfm__key *key, const rfm_config *config, const void *at)
{
    const rfm_trait *traits = at;
    (void)key;
    for (size_t i = 0; i < config->trait_count; i++)
        rfm_write_format(yaml, "%s%s: {type: %s}", i ? ", " : "{", traits[i].name, trait_types[traits[i].type]);
    rfm_write_text(yaml, config->trait_count ? "}" : "{}");
}

const rfm__kind rfm__traits = {"map", false, false, read_traits, print_traits};
