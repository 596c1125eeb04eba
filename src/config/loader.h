/* What one load needs besides its result: the trees, the errors so far, the sources. Files come through one function,
 * so that a test or a fuzzer brings its own. */
#ifndef RFM_CONFIG_LOADER_H
#define RFM_CONFIG_LOADER_H

#include "config.h"
#include "yaml.h"

/* The whole of a file into the arena; more than bytes_max: RFM_E_TOO_LARGE. RFM_E_NOT_FOUND, RFM_E_IO with a
 * message. */
typedef int (*rfm__read)(void *context, rfm_arena *arena, const char *path, size_t bytes_max, rfm_bytes *content,
                         rfm_error *error);
int rfm__read_file(void *context, rfm_arena *arena, const char *path, size_t bytes_max, rfm_bytes *content,
                   rfm_error *error);

enum { RFM__FILES_MAX = RFM_RULE_FILES_MAX + 16 };
typedef struct rfm__loader {
    rfm_config *config;
    rfm_config_errors *errors;
    rfm__read read;
    void *read_context;
    rfm_arena scratch;
    uint32_t source_count;
    const char *file[RFM__FILES_MAX]; /* kept in the configuration's arena */
    size_t file_count;
    const char *key; /* the path of the key that is being read, for messages; NULL: none */
    const rfm_yaml *max_trigger_age, *silent_until, *frequency_caps, *quiet_hours, *holdout;
    const rfm_yaml *consent[RFM_CLASS_COUNT];
    const rfm_yaml *cap_node[RFM_CAPS_MAX];
    rfm_named *named; /* config->rules.named, RFM_NAMED_MAX of them; NULL: none yet */
    const rfm_yaml *named_node[RFM_NAMED_MAX];
    const rfm_yaml **rule_node; /* where each rule stands, as in config->rules.rule */
} rfm__loader;

/* Adds an error at the node, or at its key; the message begins with the path of the key that is being read. */
void rfm__report(rfm__loader *loader, const rfm_yaml *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void rfm__report_key(rfm__loader *loader, const rfm_yaml *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A user's text for a message: cut. */
typedef struct rfm__shown {
    char text[72];
} rfm__shown;
rfm__shown rfm__show(const char *text);
/* A node as a message calls it: its text in quotes, "a list", "a map", "nothing". */
rfm__shown rfm__show_node(const rfm_yaml *node);

/* Copies that live as long as the configuration. */
const char *rfm__keep(rfm__loader *loader, const char *text, size_t len);
void *rfm__keep_room(rfm__loader *loader, size_t len);

const rfm_yaml_source *rfm__source_new(rfm__loader *loader, const char *name, const char *directory);
/* The file that a node names, relative to where the node stands; kept. */
const char *rfm__path_of(rfm__loader *loader, const rfm_yaml *node);
/* Reads a file that `node` names, noting it among the configuration's files. false: reported at the node. */
bool rfm__read_named(rfm__loader *loader, const rfm_yaml *node, const char *path, rfm_bytes *content);
/* The same, parsed. NULL: reported. */
const rfm_yaml *rfm__load_named(rfm__loader *loader, const rfm_yaml *node, const char *path);
rfm_yaml *rfm__parse_text(rfm__loader *loader, const rfm_yaml_source *source, rfm_bytes text);

/* The environment's RFMD_ variables over the main file's tree. */
void rfm__environment_apply(rfm__loader *loader, rfm_yaml *root, char *const *environment);
enum { RFM__VARIABLE_MAX = 96 };
/* The variable of a key: RFMD_REDIS__PASSWORD for redis.password; cut if it is longer than any key's. */
void rfm__variable_of(const char *path, char name[RFM__VARIABLE_MAX]);
/* rfm_config_load with its files from elsewhere. */
int rfm__config_load(rfm__read read, void *read_context, const char *path, char *const *environment,
                     rfm_config **config, rfm_config_errors *errors);

#endif
