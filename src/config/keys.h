/* The table of keys and what can be done with it. A key has a path, a kind (how it is read, checked and printed), a
 * place in a struct, a default written as YAML (so that it goes through the same checks) and a text for people. */
#ifndef RFM_CONFIG_KEYS_H
#define RFM_CONFIG_KEYS_H

#include "loader.h"

#include <stddef.h>

typedef struct rfm__key rfm__key;
typedef struct rfm__kind {
    const char *name; /* for the reference */
    bool scalar;      /* one text: the environment's value is taken as it is, not as YAML */
    bool text;        /* kept as const char *, "" when absent */
    void (*read)(rfm__loader *loader, const rfm__key *key, const rfm_yaml *node, void *at);
    /* Writes the value as YAML that reads the same (`null`: absent). NULL: is never printed. */
    void (*print)(rfm_buffer *yaml, const rfm__key *key, const rfm_config *config, const void *at);
} rfm__kind;

enum {
    RFM__REQUIRED = 1,        /* must be given */
    RFM__REQUIRED_WITHIN = 2, /* must be given once its section is there */
    RFM__SECRET = 4,          /* only from the environment; never printed */
};
struct rfm__key {
    const char *path; /* kafka.brokers */
    const rfm__kind *kind;
    size_t at;            /* offset in the table's struct */
    const char *fallback; /* NULL: absent */
    const char *text;
    unsigned flags;
    double low, high; /* when high > low: of numbers; of durations in seconds; of sizes and texts in bytes */
    /* Of rfm__choice, in the order of its enum, NULL at the end; "!name": known, but not supported in this version. */
    const char *const *choices;
};
typedef struct rfm__table {
    const rfm__key *keys;
    size_t count;
} rfm__table;

/* Reads the map into `target`: unknown keys, wrong types and values and missing keys are reported at their nodes; what
 * is absent takes its default. */
void rfm__table_read(rfm__loader *loader, const rfm__table *table, const rfm_yaml *map, void *target);
void rfm__table_print(const rfm__table *table, const rfm_config *config, const void *target, unsigned indent,
                      rfm_buffer *yaml);
/* One line `path=value` for each key whose value differs from that in `defaults`. */
void rfm__table_canonical(const rfm__table *table, const rfm_config *config, const void *target, const void *defaults,
                          rfm_buffer *text);
void rfm__table_reference(const rfm__table *table, rfm_buffer *markdown);
/* Of the children that the table has under the prefix ("" or "kafka."): the one nearest to a name, as its whole
 * path. */
const char *rfm__table_nearest(const rfm__table *table, const char *prefix, const char *name, char path[128]);
/* "" in all texts of a new struct. */
void rfm__table_init(const rfm__table *table, void *target);
const rfm_yaml *rfm__find_path(const rfm_yaml *map, const char *path);
bool rfm__table_has_section(const rfm__table *table, const char *path);

/* Kinds, by what `at` is. */
extern const rfm__kind rfm__text;        /* const char * */
extern const rfm__kind rfm__name;        /* const char *: a name that Kafka takes for topics */
extern const rfm__kind rfm__file;        /* const char *: a path, made relative to the file that names it */
extern const rfm__kind rfm__boolean;     /* bool */
extern const rfm__kind rfm__integer;     /* uint32_t */
extern const rfm__kind rfm__signed;      /* int32_t */
extern const rfm__kind rfm__size;        /* size_t, bytes */
extern const rfm__kind rfm__duration;    /* int64_t ms */
extern const rfm__kind rfm__days;        /* double, given as a duration */
extern const rfm__kind rfm__number;      /* double */
extern const rfm__kind rfm__share;       /* double, 0 to 1, also as 5% */
extern const rfm__kind rfm__choice;      /* int (an enum) */
extern const rfm__kind rfm__unsupported; /* nothing: this version refuses the key */

extern const char *const rfm__class_names[]; /* choices of a rfm_class */
#define RFM__TEN_YEARS_S (3650. * 86400)     /* no duration of a rule is longer */

/* Values of a node, for kinds of other files; false: reported. */
bool rfm__text_of(rfm__loader *loader, const rfm_yaml *node, const char **text);
bool rfm__number_of(rfm__loader *loader, const rfm_yaml *node, double *number);
bool rfm__share_of(rfm__loader *loader, const rfm_yaml *node, double *share);
bool rfm__integer_of(rfm__loader *loader, const rfm_yaml *node, int64_t low, int64_t high, int64_t *integer);
bool rfm__duration_of(rfm__loader *loader, const rfm_yaml *node, int64_t *duration_ms);
bool rfm__is_name(const char *text, size_t len_max, const char *more); /* letters, digits and what is in `more` */

void rfm__print_text(rfm_buffer *yaml, const char *text); /* quoted; "": null */
/* A kind's `print`: of a const char *, of characters that stand there themselves, of a double. */
void rfm__print_text_at(rfm_buffer *yaml, const rfm__key *key, const rfm_config *config, const void *at);
void rfm__print_chars_at(rfm_buffer *yaml, const rfm__key *key, const rfm_config *config, const void *at);
void rfm__print_number_at(rfm_buffer *yaml, const rfm__key *key, const rfm_config *config, const void *at);
void rfm__print_number(rfm_buffer *yaml, double number); /* the fewest digits that read back the same */
void rfm__print_duration(rfm_buffer *yaml, int64_t duration_ms);
void rfm__print_size(rfm_buffer *yaml, uint64_t bytes);

/* services.c: Kafka, Redis, HTTP */
extern const rfm__kind rfm__brokers, rfm__inputs, rfm__settings;
extern const rfm__kind rfm__redis_url, rfm__redis_prefix, rfm__listen;
/* secret.c */
extern const rfm__kind rfm__secret, rfm__password_file, rfm__sentinel_file, rfm__token_file, rfm__promo_secret;
extern const rfm__kind rfm__promo_secret_file;
/* scoring.c */
extern const rfm__kind rfm__base_currency, rfm__rates, rfm__timezone, rfm__day_list, rfm__count_list, rfm__money_list;
extern const rfm__kind rfm__traits;
/* model.c */
extern const rfm__kind rfm__model_file, rfm__segments;
/* rules.c: the files of rules, and what is left to do when all are read: order, topics, version. */
extern const rfm__kind rfm__rule_files, rfm__type_prefix;
void rfm__rules_finish(rfm__loader *loader);
/* False, reported: the policy stands in another file already, where one of the two would silently win. */
bool rfm__policy_taken(rfm__loader *loader, const rfm_yaml *node, const rfm_yaml **taken);
/* expressions.c */
extern const rfm__kind rfm__condition; /* rfm_written */
extern const rfm__kind rfm__data;      /* rfm_rule.data */
extern const rfm__kind rfm__named;     /* rfm_rules.named */
/* The segments by condition of a file of rules, which are to be known before its rules are read. */
void rfm__named_read(rfm__loader *loader, const rfm_yaml *map);
int rfm__named_find(const rfm_rules *rules, const char *name); /* -1: none */
/* All expressions, once all rules are read. */
void rfm__expressions_compile(rfm__loader *loader);
/* policies.c */
extern const rfm__kind rfm__weekdays;     /* uint8_t, bit 0: Monday */
extern const rfm__kind rfm__date;         /* int32_t day */
extern const rfm__kind rfm__salt;         /* char[RFM_SALT_MAX + 1] */
extern const rfm__kind rfm__buckets;      /* uint16_t, of RFM_BUCKETS_OF_CLIENTS */
extern const rfm__kind rfm__variants;     /* rfm_experiment.variant */
extern const rfm__kind rfm__wall_time;    /* int32_t ms since midnight */
extern const rfm__kind rfm__default_zone; /* const char *, NULL: UTC */
extern const rfm__kind rfm__caps;         /* rfm_rules.cap */
/* What the keys of a rule say together (readable: each by itself could be read), the policies of a file, the caps once
 * all rules are known. */
void rfm__experiment_check(rfm__loader *loader, const rfm_yaml *node, bool readable, rfm_rule *rule);
void rfm__schedule_check(rfm__loader *loader, const rfm_yaml *node, const rfm_schedule *schedule);
void rfm__policies_check(rfm__loader *loader, const rfm_yaml *map);
void rfm__caps_check(rfm__loader *loader);

extern const rfm__table rfm__config_table, rfm__rule_table, rfm__rules_file_table, rfm__model_table;

#endif
