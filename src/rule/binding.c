#include "binding.h"

#include "experiment.h"
#include "named.h"

#include <math.h>
#include <rfm/base/hash.h>
#include <stdlib.h>

int rfm__rule_set_next(const rfm_rule_set *set, size_t rule)
{
    for (size_t i = rule / 64; i < RFM_RULE_SET_WORDS; i++) {
        uint64_t word = set->word[i];
        if (i == rule / 64)
            word &= UINT64_MAX << (rule % 64);
        if (word != 0)
            return (int)(i * 64 + (size_t)__builtin_ctzll(word));
    }
    return RFM_RULE_NONE;
}

static void list_add(rfm_rule_list *list, size_t rule)
{
    list->rule[list->count++] = (uint8_t)rule;
}

static void watch(rfm_binding *binding, const rfm_rule *rule, size_t i)
{
    switch (rule->on.kind) {
    case RFM_CAUSE_EVENT: rfm__rule_set_add(&binding->on_event[rule->on.event], i); break;
    case RFM_CAUSE_ENTER_SEGMENT:
    case RFM_CAUSE_LEAVE_SEGMENT: list_add(&binding->segments, i); break;
    case RFM_CAUSE_ENTER_LIFECYCLE:
    case RFM_CAUSE_LEAVE_LIFECYCLE: list_add(&binding->lifecycles, i); break;
    case RFM_CAUSE_RISE_RATIO:
    case RFM_CAUSE_FALL_RATIO:
        list_add(&binding->ratios, i);
        binding->ratio_max = fmax(binding->ratio_max, rule->on.threshold);
        break;
    case RFM_CAUSE_RISE_RISK:
    case RFM_CAUSE_FALL_RISK: list_add(&binding->risks, i); break;
    case RFM_CAUSE_IDLE:
        list_add(&binding->idles, i);
        if (rule->on.event != RFM_EVENT_PURCHASE && rule->on.event != RFM_EVENT_VISIT)
            binding->since_types |= 1u << rule->on.event;
        break;
    case RFM_CAUSE_LATE: list_add(&binding->lates, i); break;
    case RFM_CAUSE_ANNIVERSARY: list_add(&binding->anniversaries, i); break;
    case RFM_CAUSE_ENTER_NAMED:
    case RFM_CAUSE_LEAVE_NAMED: list_add(&binding->named, i); break;
    }
}

static bool watches_time(const rfm_rule *rule)
{
    return rule->on.kind >= RFM_CAUSE_RISE_RISK;
}

static void order_by_number(rfm_binding *binding, const rfm_rules *rules)
{
    rfm_rule_list *list = &binding->by_number;
    for (size_t i = 0; i < rules->count; i++) {
        if (binding->number[i] == RFM_NUMBER_NONE || !watches_time(&rules->rule[i]))
            continue;
        size_t at = list->count++;
        for (; at > 0 && binding->number[list->rule[at - 1]] > binding->number[i]; at--)
            list->rule[at] = list->rule[at - 1];
        list->rule[at] = (uint8_t)i;
    }
}

static uint32_t version_of(const rfm_rules *rules, const rfm_client_conf *conf)
{
    uint8_t bytes[4 + sizeof rules->version];
    rfm_buffer buffer = rfm_buffer_over(bytes, sizeof bytes);
    rfm_write_u32(&buffer, conf->version);
    rfm_write_text(&buffer, rules->version);
    return (uint32_t)rfm_hash64(rfm_buffer_view(&buffer));
}

/* A full table answers with the name "other", which is none of ours. */
static uint16_t own_number(const rfm_binding *binding, const rfm_rule *rule, rfm_names *names)
{
    uint16_t number = rfm_names_own(names, rfm_text(rule->name));
    bool own = rfm_bytes_is(rfm_names_text(names, number), rule->name) && binding->rule_of[number] == RFM_RULE_NONE;
    return own ? number : RFM_NUMBER_NONE;
}

static void add_best(rfm_binding *binding, uint16_t number, const char *text)
{
    for (size_t i = 0; i < binding->best_count; i++) {
        if (binding->best_number[i] == number)
            return;
    }
    if (number == RFM_NUMBER_NONE || binding->best_count == RFM_BEST_CHANNELS_MAX)
        return;
    binding->best_number[binding->best_count] = number;
    binding->best_text[binding->best_count++] = rfm_text(text);
}

/* A channel that has no number of its own shares "other"; one that has none at all is every channel: a cap must not be
 * missed. */
static void bind_cap(rfm_binding *binding, const rfm_cap *cap, size_t i, rfm_names *names)
{
    binding->cap[i] = (rfm_cap_numbers){rfm_names_own(names, rfm_text(cap->channel)),
                                        rfm_names_own(names, rfm_text(cap->rule))};
}

static uint16_t arm_number(const char *arm, rfm_names *names)
{
    uint16_t number = rfm_names_own(names, rfm_text(arm));
    return rfm_bytes_is(rfm_names_text(names, number), arm) ? number : RFM_NUMBER_NONE;
}

static void bind_experiment(rfm_binding *binding, const rfm_experiment *experiment, size_t i, rfm_names *names)
{
    binding->salt[i] = rfm__experiment_salt(experiment);
    binding->arm[i][0] = arm_number("control", names);
    for (size_t v = 0; v < experiment->variant_count; v++)
        binding->arm[i][1 + v] = arm_number(experiment->variant[v].name, names);
}

static void bind_rule(rfm_binding *binding, const rfm_rule *rule, size_t i, rfm_names *names)
{
    uint16_t number = own_number(binding, rule, names);
    binding->number[i] = number;
    binding->when[i] = rule->when.expr;
    if (number != RFM_NUMBER_NONE)
        binding->rule_of[number] = (int16_t)i;
    for (size_t c = 0; c < rule->channel_count; c++) {
        binding->channel[i][c] = rfm_names_own(names, rfm_text(rule->channel[c]));
        add_best(binding, binding->channel[i][c], rule->channel[c]);
    }
    if (rule->on.kind == RFM_CAUSE_ANNIVERSARY)
        binding->trait[i] = rfm_names_own(names, rfm_text(rule->on.trait));
    if (rule->experiment.given)
        bind_experiment(binding, &rule->experiment, i, names);
    if (number != RFM_NUMBER_NONE || !watches_time(rule))
        watch(binding, rule, i);
}

rfm_binding *rfm_binding_new(const rfm_rules *rules, const rfm_client_conf *conf, rfm_names *names)
{
    RFM_ASSERT(rules->count <= RFM_RULES_MAX && conf->segments.count <= RFM_SEGMENTS_MAX &&
               rules->named_count <= RFM_NAMED_MAX);
    rfm_binding *binding = calloc(1, sizeof *binding);
    RFM_NEED(binding);
    for (size_t i = 0; i <= RFM_NAMES_MAX; i++)
        binding->rule_of[i] = RFM_RULE_NONE;
    binding->version = version_of(rules, conf);
    binding->population = rfm_client_conf_needs_population(conf);
    binding->ratio_max = fmax(conf->lifecycle.at_risk, conf->lifecycle.lapsed);
    for (size_t i = 0; i < conf->segments.count; i++)
        binding->segment[i] = rfm_names_own(names, rfm_text(conf->segments.name[i]));
    for (size_t i = 0; i < rules->count; i++)
        bind_rule(binding, &rules->rule[i], i, names);
    binding->named_count = rules->named_count;
    for (size_t i = 0; i < rules->named_count; i++)
        binding->named_number[i] = rfm__named_number(&rules->named[i], names);
    for (size_t i = 0; i < rules->cap_count; i++)
        bind_cap(binding, &rules->cap[i], i, names);
    order_by_number(binding, rules);
    return binding;
}

void rfm_binding_free(rfm_binding *binding)
{
    free(binding);
}

uint8_t rfm__binding_segment(const rfm_binding *binding, const rfm_client_conf *conf, uint16_t number)
{
    for (uint8_t i = 0; i < conf->segments.count; i++) {
        if (binding->segment[i] == number)
            return i;
    }
    return RFM_SEGMENT_PROSPECT;
}
