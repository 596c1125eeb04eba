/* YAML as a tree that knows where each node stands. A subset on purpose: one document, no tags, keys are scalars and
 * unique. An alias is a copy of what its anchor names, and counts as many values as that: a small file cannot become a
 * large tree. Everything lies in the caller's arena. */
#ifndef RFM_CONFIG_YAML_H
#define RFM_CONFIG_YAML_H

#include <rfm/base/arena.h>
#include <rfm/base/error.h>

enum { RFM_YAML_DEPTH_MAX = 16, RFM_YAML_NODES_MAX = 100000, RFM_YAML_KEYS_MAX = 1024, RFM_YAML_ANCHORS_MAX = 256 };

typedef struct rfm_yaml_source {
    const char *name;      /* for messages: a file, or an environment variable */
    const char *directory; /* what relative file names in it are relative to, "" or with its slash */
    uint32_t order;
    bool environment; /* a variable, not a file */
} rfm_yaml_source;

typedef enum rfm_yaml_kind { RFM_YAML_SCALAR, RFM_YAML_LIST, RFM_YAML_MAP } rfm_yaml_kind;
typedef struct rfm_yaml rfm_yaml;
struct rfm_yaml {
    rfm_yaml_kind kind;
    bool plain;       /* a scalar without quotes */
    bool folded;      /* a scalar that does not stand in one line, or not from its place on */
    const char *text; /* scalar: UTF-8, no NUL inside */
    const char *key;  /* within a map */
    const rfm_yaml_source *source;
    uint32_t line, column, key_line, key_column; /* from 1; column in characters */
    rfm_yaml *first, *last, *next;               /* children; the next child of the parent */
    size_t count;
};

/* What is wrong with the text and where; called once or, for keys that come twice, several times. */
typedef struct rfm_yaml_complaint {
    uint32_t line, column;
    char message[256];
} rfm_yaml_complaint;
typedef void (*rfm_yaml_complain)(void *context, const rfm_yaml_source *source, const rfm_yaml_complaint *complaint);

/* The tree of `text`; an empty text is an empty map. NULL: not readable, complained. A key that comes twice is
 * complained about, and its first value stands. */
rfm_yaml *rfm_yaml_parse(rfm_arena *arena, const rfm_yaml_source *source, rfm_bytes text, rfm_yaml_complain complain,
                         void *context);
rfm_yaml *rfm_yaml_scalar(rfm_arena *arena, const rfm_yaml_source *source, const char *text);
rfm_yaml *rfm_yaml_map(rfm_arena *arena, const rfm_yaml_source *source);
/* NULL: not a map, or no such key. */
rfm_yaml *rfm_yaml_find(const rfm_yaml *map, rfm_bytes key);
/* Puts `value` under `key`; where both the old and the new value are maps, the new one's keys go over the old one's. */
void rfm_yaml_put(rfm_yaml *map, const char *key, rfm_yaml *value);
/* A plain scalar that is empty, ~ or null. */
bool rfm_yaml_is_null(const rfm_yaml *node);

#endif
