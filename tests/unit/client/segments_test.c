#include <rfm/client/conf.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char *segment_of(const rfm_segments *segments, int cell)
{
    return segments->name[segments->cell[cell / 100 - 1][cell / 10 % 10 - 1][cell % 10 - 1]];
}

static void classic_11_covers_every_cell(void **state)
{
    (void)state;
    rfm_segments segments;
    rfm_error error;
    assert_int_equal(rfm_segments_preset(&segments, "classic-11"), 0);
    assert_int_equal(rfm_segments_check(&segments, &error), 0);
    assert_int_equal(segments.count, 12);
    static const int sizes[] = {0, 7, 8, 24, 7, 16, 8, 8, 22, 8, 11, 6}; /* counted in the source's list */
    int counts[12] = {0};
    for (int cell = 0; cell < 125; cell++) {
        counts[segments.cell[cell / 25][cell / 5 % 5][cell % 5]]++;
    }
    assert_memory_equal(counts, sizes, sizeof sizes);
    assert_string_equal(segments.name[RFM_SEGMENT_PROSPECT], "prospect");
    assert_string_equal(segment_of(&segments, 555), "champions");
    assert_string_equal(segment_of(&segments, 435), "loyal");
    assert_string_equal(segment_of(&segments, 323), "potential_loyalist");
    assert_string_equal(segment_of(&segments, 511), "new_customers");
    assert_string_equal(segment_of(&segments, 413), "promising");
    assert_string_equal(segment_of(&segments, 343), "need_attention");
    assert_string_equal(segment_of(&segments, 251), "about_to_sleep");
    assert_string_equal(segment_of(&segments, 124), "at_risk_customers");
    assert_string_equal(segment_of(&segments, 214), "cannot_lose");
    assert_string_equal(segment_of(&segments, 332), "hibernating");
    assert_string_equal(segment_of(&segments, 111), "lost");
}

static void rf_10_covers_every_cell(void **state)
{
    (void)state;
    rfm_segments segments;
    assert_int_equal(rfm_segments_preset(&segments, "rf-10"), 0);
    assert_int_equal(rfm_segments_check(&segments, NULL), 0);
    assert_int_equal(segments.count, 11);
    static const char *const by_rf[5][5] = {
        {"hibernating", "hibernating", "at_risk_customers", "at_risk_customers", "cannot_lose"},
        {"hibernating", "hibernating", "at_risk_customers", "at_risk_customers", "cannot_lose"},
        {"about_to_sleep", "about_to_sleep", "need_attention", "loyal", "loyal"},
        {"promising", "potential_loyalist", "potential_loyalist", "loyal", "loyal"},
        {"new_customers", "potential_loyalist", "potential_loyalist", "champions", "champions"},
    };
    for (int cell = 0; cell < 125; cell++) {
        const char *name = segments.name[segments.cell[cell / 25][cell / 5 % 5][cell % 5]];
        assert_string_equal(name, by_rf[cell / 25][cell / 5 % 5]);
    }
}

static void an_unknown_preset_is_not_found(void **state)
{
    (void)state;
    rfm_segments segments;
    assert_int_equal(rfm_segments_preset(&segments, "classic-12"), RFM_E_NOT_FOUND);
}

static void cells_are_digits_and_ranges(void **state)
{
    (void)state;
    rfm_segments segments = {0};
    rfm_error error;
    assert_int_equal(rfm_segments_add(&segments, "best", "5[4-5]5, 455", &error), 0);
    assert_int_equal(rfm_segments_add(&segments, "some", "[13]1", &error), 0);
    assert_int_equal(rfm_segments_add(&segments, "best", "355", &error), 0);
    assert_int_equal(segments.count, 3);
    static const int best[] = {555, 545, 455, 355}, some[] = {111, 115, 311, 313};
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(segment_of(&segments, best[i]), "best");
        assert_string_equal(segment_of(&segments, some[i]), "some");
    }
    assert_string_equal(segment_of(&segments, 211), "prospect");
    assert_int_equal(rfm_segments_find(&segments, rfm_text("some")), 2);
    assert_int_equal(rfm_segments_find(&segments, rfm_text("nobody")), -1);
    assert_int_equal(rfm_segments_check(&segments, &error), RFM_E_NOT_FOUND);
    assert_non_null(strstr(error.message, "121"));
}

static void a_wrong_cell_changes_nothing(void **state)
{
    (void)state;
    rfm_segments segments = {0}, before;
    rfm_error error;
    assert_int_equal(rfm_segments_add(&segments, "a", "111 112", &error), 0);
    before = segments;
    static const char *const wrong[] = {"5",     "5555", "561",   "[1-6]1", "[3-2]1", "[12", "[]1",  "[1-",
                                        "5[1-2", "11x",  "222 0", "[",      "-11",    "1 1", "[1-2]"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(rfm_segments_add(&segments, "b", wrong[i], &error), RFM_E_MALFORMED);
        assert_memory_equal(&segments, &before, sizeof before);
    }
    assert_int_equal(rfm_segments_add(&segments, "b", "222 111", &error), RFM_E_DUPLICATE);
    assert_non_null(strstr(error.message, "111"));
    assert_non_null(strstr(error.message, "'a'"));
    static const char *const names[] = {"",    "A",        "1a",
                                        "a-b", "prospect", "abcdefghijklmnopqrstuvwxyz_abcdefghijklmnopqrstuv"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_int_equal(rfm_segments_add(&segments, names[i], "222", NULL), RFM_E_MALFORMED);
    }
    assert_memory_equal(&segments, &before, sizeof before);
}

static void there_is_room_for_63(void **state)
{
    (void)state;
    rfm_segments segments = {0};
    char name[8] = "s00";
    for (int i = 1; i < RFM_SEGMENTS_MAX; i++) {
        name[1] = (char)('0' + i / 10), name[2] = (char)('0' + i % 10);
        assert_int_equal(rfm_segments_add(&segments, name, "", NULL), 0);
    }
    assert_int_equal(rfm_segments_add(&segments, "too_many", "", NULL), RFM_E_FULL);
}

static void the_version_follows_what_marks_depend_on(void **state)
{
    (void)state;
    rfm_client_conf conf, other;
    rfm_client_conf_defaults(&conf);
    assert_int_equal(conf.version, rfm_client_conf_version(&conf));
    other = conf;
    other.rfm.refresh_ms = 1;
    assert_int_equal(rfm_client_conf_version(&other), conf.version);
    other.model.evidence_cap = 6;
    assert_int_not_equal(rfm_client_conf_version(&other), conf.version);
    other = conf;
    other.segments.cell[0][0][0] = 1;
    assert_int_not_equal(rfm_client_conf_version(&other), conf.version);
    other = conf;
    other.rfm.monetary_minor[3]++;
    assert_int_not_equal(rfm_client_conf_version(&other), conf.version);
    other = conf;
    other.lifecycle.lapsed = .25;
    assert_int_not_equal(rfm_client_conf_version(&other), conf.version);
}

static void the_defaults_are_sound(void **state)
{
    (void)state;
    rfm_client_conf conf;
    rfm_client_conf_defaults(&conf);
    assert_int_equal(rfm_model_check(&conf.model, NULL), 0);
    assert_int_equal(rfm_segments_check(&conf.segments, NULL), 0);
    assert_string_equal(conf.money.base.code, "EUR");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classic_11_covers_every_cell),
        cmocka_unit_test(rf_10_covers_every_cell),
        cmocka_unit_test(an_unknown_preset_is_not_found),
        cmocka_unit_test(cells_are_digits_and_ranges),
        cmocka_unit_test(a_wrong_cell_changes_nothing),
        cmocka_unit_test(there_is_room_for_63),
        cmocka_unit_test(the_version_follows_what_marks_depend_on),
        cmocka_unit_test(the_defaults_are_sound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
