/* The configuration as one plain struct: rfmd.yaml, the files that it names (rules, segments, model, secrets) and the
 * environment's overrides, checked, with defaults filled in. One table (keys.c) describes every key: it parses, checks,
 * prints and documents. A configuration is read-only once loaded and owns all that it points to: loading again gives a
 * new one and leaves the old alone, so a reload swaps a pointer. All errors of a load are collected, not only the
 * first. */
#ifndef RFM_CONFIG_CONFIG_H
#define RFM_CONFIG_CONFIG_H

#include "yaml.h"

#include <rfm/base/arena.h>
#include <rfm/engine/worker.h>

typedef enum rfm_delivery { RFM_DELIVERY_EXACTLY_ONCE, RFM_DELIVERY_AT_LEAST_ONCE } rfm_delivery;
typedef enum rfm_output { RFM_OUTPUT_BINARY, RFM_OUTPUT_STRUCTURED } rfm_output;
typedef enum rfm_log_level { RFM_LOG_DEBUG, RFM_LOG_INFO, RFM_LOG_WARN, RFM_LOG_ERROR } rfm_log_level;
typedef enum rfm_log_format { RFM_LOG_LOGFMT, RFM_LOG_JSON } rfm_log_format;

/* A property handed on to librdkafka. */
typedef struct rfm_setting {
    const char *name, *value;
} rfm_setting;
typedef struct rfm_settings {
    const rfm_setting *items;
    size_t count;
} rfm_settings;
typedef struct rfm_texts {
    const char *const *items;
    size_t count;
} rfm_texts;

enum { RFM_RULE_FILES_MAX = 64, RFM_ENGINE_WORKERS_MAX = 64 };

/* Texts are never NULL: "" is absent. */
typedef struct rfm_config {
    struct {
        const char *brokers, *group, *instance_id;
        struct {
            const char *name, *topic;
            rfm_format format;
        } input[RFM_INPUTS_MAX]; /* in the order written */
        size_t input_count;
        const char *wal, *dead_letters, *audit, *profiles;
        rfm_delivery delivery;
        rfm_partitioner partitioner;
        rfm_settings properties, consumer, producer;
    } kafka;
    struct {
        const char *url, *prefix, *username, *password;
        const char *password_file, *ca_file, *cert_file, *key_file;
        const char *sentinel_password, *sentinel_password_file;
        int64_t timeout_ms;
    } redis;
    struct {
        uint32_t workers;
        size_t cache_bytes_max, dirty_bytes_max; /* of the process: each worker has its equal part */
        uint32_t step_events_max;
        rfm_clock clock;
    } engine;
    double margin; /* money.margin, 0 to 1 */
    rfm_amount_field amount_field;
    struct {
        uint32_t clients;
        double log_likelihood;
        const char *until;
    } fitted; /* what the model file says about its fit; until "": nothing */
    const char *timezone, *segments_source, *model_file;
    enum { RFM_MODEL_MBG_NBD } model_kind;
    rfm_trait traits[RFM_TRAITS_MAX]; /* by name */
    size_t trait_count;
    rfm_texts rule_files;
    const char *promo_secret_file;
    rfm_output output;
    struct {
        const char *host, *token, *token_file;
        uint16_t port;
    } http;
    struct {
        rfm_log_level level;
        rfm_log_format format;
    } log;

    rfm_client_conf client; /* money, rfm, churn, lifecycle, ltv, segments, model; `version` covers the rules too */
    rfm_rules rules;
    rfm_texts files; /* every file that was read, the main one first: what a watcher looks at */

    rfm_arena arena; /* holds all of the above */
    rfm_zone *zone, *default_zone;
    rfm_zones *zones;
    const char *default_timezone; /* of quiet hours; NULL: UTC */
} rfm_config;

typedef struct rfm_config_error {
    const char *file; /* or the environment variable */
    uint32_t line, column;
    uint32_t source; /* order in which sources were read */
    const char *message;
} rfm_config_error;
/* Sorted by source, line, column. At most RFM_CONFIG_ERRORS_MAX are kept; `count` goes on. */
enum { RFM_CONFIG_ERRORS_MAX = 100, RFM_CONFIG_FILE_BYTES_MAX = 1 << 20 };
typedef struct rfm_config_errors {
    rfm_config_error *items;
    size_t count;
    rfm_texts files; /* of a load that failed: every file that it read or would have read, as rfm_config has them */
    rfm_arena arena;
} rfm_config_errors;

void rfm_config_errors_init(rfm_config_errors *errors);
void rfm_config_errors_release(rfm_config_errors *errors);
/* One line each: file:line:column: message. */
void rfm_config_errors_write(const rfm_config_errors *errors, rfm_buffer *text);

/* Loads `path` and what it names. `environment` is like environ ("RFMD_KAFKA__BROKERS=..."; NULL: no overrides): its
 * RFMD_ variables go over the file's keys. 0 and *config, or RFM_E_MALFORMED with everything that is wrong in `errors`,
 * also a file that cannot be read, or RFM_E_IO, the same of the system's time zones; `errors` is cleared first. */
int rfm_config_load(const char *path, char *const *environment, rfm_config **config, rfm_config_errors *errors);
/* The same of keys that stand within another file: a map of its tree (yaml.h), without overrides; `environment` is for
 * secrets. */
int rfm_config_load_map(const rfm_yaml *map, char *const *environment, rfm_config **config, rfm_config_errors *errors);
void rfm_config_free(rfm_config *config);

/* The effective configuration as YAML, secrets redacted; without secrets it loads again and gives the same. */
void rfm_config_print(const rfm_config *config, rfm_buffer *yaml);
/* docs/configuration.md. */
void rfm_config_reference(rfm_buffer *markdown);

const char *rfm_log_level_name(rfm_log_level level);

#endif
