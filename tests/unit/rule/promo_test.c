/* Expected codes from Python's hmac and hashlib. */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <rfm/rule/decide.h>
#include <stdio.h>

static void expect_code(const char *prefix, rfm_bytes secret, const char *name, const char *client_id,
                        const char *cause, const char *expected)
{
    static rfm_rules rules;
    rfm_rule rule = {0};
    rfm_decision decision = {.rule = &rule, .cause_len = (uint16_t)strlen(cause)};
    char code[64];
    memcpy(rules.secret, secret.at, secret.len);
    rules.secret_len = secret.len;
    snprintf(rule.name, sizeof rule.name, "%s", name);
    snprintf(rule.promo.prefix, sizeof rule.promo.prefix, "%s", prefix);
    memcpy(decision.cause, cause, decision.cause_len);
    rfm_promo_code(&rules, &decision, rfm_text(client_id), code);
    assert_string_equal(code, expected);
}

static void test_codes(void **state)
{
    (void)state;
    uint8_t secret[RFM_SECRET_MAX];
    char visit[6 + 512 + 1] = "visit\x1f";
    memset(visit + 6, 'x', 512);
    for (size_t i = 0; i < sizeof secret; i++)
        secret[i] = (uint8_t)i;
    rfm_bytes all = rfm_bytes_of(secret, sizeof secret);
    expect_code("BACK", rfm_text("secret"), "thank_you", "alice",
                "purchase\x1f"
                "e-1",
                "BACK-SKGGTJY1FT");
    expect_code("BACK", rfm_text("secret"), "win_back", "client-42", "due:1700000000000", "BACK-RNRMGZVAN6");
    expect_code("P", all, "win_back", "client-42", "due:1700000000000", "P-ZR9D5H7DY5");
    expect_code("P", all, "welcome", "Zo\xc3\xab \xe2\x98\x82", visit, "P-1VE3GCB9JN");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_codes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
