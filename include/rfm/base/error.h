/* Errors: 0 is success, a negative code names the failure; the table below is the only list of codes, their class and
 * their text. A function that can explain itself takes a trailing `rfm_error *` (may be NULL) and fills its message:
 * what was wrong, where, and what to do. Bad input is never an assertion; our own mistakes always are. */
#ifndef RFM_BASE_ERROR_H
#define RFM_BASE_ERROR_H

/* name, class, text. INPUT: what we were given is wrong. RETRY: the same call may succeed later. FATAL: stop. */
#define RFM_ERRORS(X)                                               \
    X(NO_MEMORY, FATAL, "out of memory")                            \
    X(FULL, RETRY, "no room left within the configured limit")      \
    X(TOO_LARGE, INPUT, "larger than its limit")                    \
    X(MALFORMED, INPUT, "not in the expected form")                 \
    X(RANGE, INPUT, "out of range")                                 \
    X(NOT_FOUND, INPUT, "not found")                                \
    X(UNKNOWN_NAME, INPUT, "unknown name")                          \
    X(DUPLICATE, INPUT, "there already")                            \
    X(CORRUPT, FATAL, "stored data cannot be read")                 \
    X(VERSION, FATAL, "written by a newer version")                 \
    X(IO, RETRY, "input or output failed")                          \
    X(AWAY, RETRY, "the service cannot be reached")                 \
    X(DENIED, FATAL, "not allowed")                                 \
    X(FENCED, FATAL, "another instance took over")                  \
    X(REFUSED, FATAL, "refused: going on could give a wrong state") \
    X(USAGE, INPUT, "wrong usage")

typedef enum rfm_code {
    RFM_OK = 0,
    RFM_E__FIRST = -1000,
#define X(name, class, text) RFM_E_##name,
    RFM_ERRORS(X)
#undef X
        RFM_E__LAST
} rfm_code;

typedef enum rfm_error_class { RFM_ERROR_INPUT, RFM_ERROR_RETRY, RFM_ERROR_FATAL } rfm_error_class;

typedef struct rfm_error {
    int code;
    char message[512]; /* always terminated; cut at a UTF-8 boundary is not promised */
} rfm_error;

/* Fills `error` if it is not NULL and returns `code`, so that a caller can `return rfm_fail(...)`. */
int rfm_fail(rfm_error *error, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Puts "format: " before the message that is there (context on the way up); returns error->code, or `code` if NULL. */
int rfm_fail_within(rfm_error *error, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
const char *rfm_error_name(int code);
const char *rfm_error_text(int code);
rfm_error_class rfm_error_class_of(int code);

/* Our own mistakes stop the program, also in release builds. */
#define RFM_ASSERT(condition) ((condition) ? (void)0 : rfm_assert_failed(#condition, __FILE__, __LINE__))
_Noreturn void rfm_assert_failed(const char *condition, const char *file, int line);

/* Memory that the system does not give ends the process with exit code 3, saying where: going on without it could only
 * decide otherwise than with it, and what was not committed yet is done by whoever starts next. */
#define RFM_NEED(memory) ((memory) ? (void)0 : rfm_out_of_memory(__FILE__, __LINE__))
_Noreturn void rfm_out_of_memory(const char *file, int line);

#endif
