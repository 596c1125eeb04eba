#include <rfm/base/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void every_code_has_name_text_and_class(void **state)
{
    (void)state;
    for (int code = RFM_E__FIRST + 1; code < RFM_E__LAST; code++) {
        assert_true(code < 0);
        assert_string_not_equal(rfm_error_name(code), "UNKNOWN");
        assert_string_not_equal(rfm_error_text(code), "unknown error");
    }
    assert_string_equal(rfm_error_name(RFM_E_NO_MEMORY), "NO_MEMORY");
    assert_string_equal(rfm_error_name(RFM_E_USAGE), "USAGE");
    assert_string_equal(rfm_error_name(0), "OK");
    assert_string_equal(rfm_error_name(17), "UNKNOWN");
    assert_string_equal(rfm_error_name(RFM_E__FIRST), "UNKNOWN");
    assert_int_equal(rfm_error_class_of(RFM_E_IO), RFM_ERROR_RETRY);
    assert_int_equal(rfm_error_class_of(RFM_E_RANGE), RFM_ERROR_INPUT);
    assert_int_equal(rfm_error_class_of(RFM_E_FENCED), RFM_ERROR_FATAL);
}

static void context_goes_before_the_message(void **state)
{
    (void)state;
    rfm_error error = {0};
    assert_int_equal(rfm_fail(&error, RFM_E_RANGE, "%d is too much", 7), RFM_E_RANGE);
    assert_int_equal(rfm_fail_within(&error, RFM_E_IO, "line %d", 3), RFM_E_RANGE);
    assert_string_equal(error.message, "line 3: 7 is too much");
    assert_int_equal(rfm_fail(&error, RFM_E_IO, "again: %s", error.message), RFM_E_IO);
    assert_string_equal(error.message, "again: line 3: 7 is too much");
}

static void without_an_error_the_code_is_enough(void **state)
{
    (void)state;
    assert_int_equal(rfm_fail(NULL, RFM_E_RANGE, "%d", 1), RFM_E_RANGE);
    assert_int_equal(rfm_fail_within(NULL, RFM_E_IO, "%d", 1), RFM_E_IO);
}

static void long_messages_are_cut(void **state)
{
    (void)state;
    rfm_error error = {0};
    rfm_fail(&error, RFM_E_IO, "%0600d", 1);
    assert_int_equal(strlen(error.message), sizeof error.message - 1);
    rfm_fail_within(&error, RFM_E_IO, "context");
    assert_int_equal(strlen(error.message), sizeof error.message - 1);
    assert_memory_equal(error.message, "context: 000", 12);
    rfm_fail_within(&error, RFM_E_IO, "%0510d", 1);
    assert_int_equal(strlen(error.message), sizeof error.message - 1);
    assert_int_equal(error.message[510], ':');
    rfm_fail_within(&error, RFM_E_IO, "%0600d", 1);
    assert_int_equal(strlen(error.message), sizeof error.message - 1);
}

static int ending_of_a_child(const void *memory, char *said, size_t size)
{
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        RFM_NEED(memory);
        _exit(0);
    }
    close(ends[1]);
    ssize_t len = read(ends[0], said, size - 1);
    said[len > 0 ? len : 0] = 0;
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void without_memory_the_process_ends_and_says_so(void **state)
{
    (void)state;
    char said[256] = "";
    assert_int_equal(ending_of_a_child(said, said, sizeof said), 0);
    assert_string_equal(said, "");
    assert_int_equal(ending_of_a_child(NULL, said, sizeof said), 3);
    assert_non_null(strstr(said, "rfmd: out of memory ("));
    assert_non_null(strstr(said, "error_test.c:"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_name_text_and_class),
        cmocka_unit_test(context_goes_before_the_message),
        cmocka_unit_test(without_an_error_the_code_is_enough),
        cmocka_unit_test(long_messages_are_cut),
        cmocka_unit_test(without_memory_the_process_ends_and_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
