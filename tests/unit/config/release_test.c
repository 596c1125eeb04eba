/* Configurations of releases: each is taken as it is, and means the same. Run in the root of the sources. */
#include "files.h"

#include <unistd.h>

/* What the release's own program has made of every key that it knew. Another version of the rules is in every trigger;
 * of the client, and every client takes its new values without transitions: whoever was about to be sent something is
 * not. */
static const struct {
    const char *path, *rules_version;
    uint32_t client_version;
} releases[] = {
    {"tests/fixtures/conf-0.1.0/rfmd.yaml", "34df9224d8ca1dd3ad200d504c786447", 1993298651},
    {"tests/fixtures/conf-0.2.0/rfmd.yaml", "ab12b2bc98f16243537657d7dd910353", 2585649718},
};

static char promo[] = "RFMD_PROMO__SECRET=a", redis[] = "RFMD_REDIS__PASSWORD=b", http[] = "RFMD_HTTP__TOKEN=c",
            sentinel[] = "RFMD_REDIS__SENTINEL_PASSWORD=d";

static void test_releases(void **state)
{
    (void)state;
    char *const environment[] = {promo, redis, http, sentinel, NULL};
    for (size_t i = 0; i < sizeof releases / sizeof *releases; i++) {
        rfm_config *config = NULL;
        rfm_config_errors errors;
        rfm_config_errors_init(&errors);
        if (rfm_config_load(releases[i].path, environment, &config, &errors))
            fail_msg("%s:%u: %s", errors.items[0].file, errors.items[0].line, errors.items[0].message);
        assert_string_equal(config->rules.version, releases[i].rules_version);
        assert_int_equal(config->client.version, releases[i].client_version);
        rfm_config_errors_release(&errors);
        rfm_config_free(config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_releases)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
