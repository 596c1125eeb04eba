#include "app/file_watch.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/rfm-file-watch-XXXXXX", first[64], second[64], absent[64];

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(first, sizeof first, "%s/first", folder);
    snprintf(second, sizeof second, "%s/second", folder);
    snprintf(absent, sizeof absent, "%s/absent", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(first);
    unlink(second);
    unlink(absent);
    return rmdir(folder);
}

/* Of that time, so that the clock's resolution does not matter. */
static void write_file(const char *name, const char *text, time_t second_)
{
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    const struct timespec times[2] = {{.tv_sec = second_}, {.tv_sec = second_}};
    assert_int_equal(utimensat(AT_FDCWD, name, times, 0), 0);
}

/* Whether it differs after what has just been done; from then on it does not. */
static bool differs(rfm_file_watch *watch)
{
    bool differed = rfm_file_watch_differs(watch);
    assert_int_equal(rfm_file_watch_differs(watch), differed);
    rfm_file_watch_set(watch, &(rfm_texts){0});
    assert_false(rfm_file_watch_differs(watch));
    return differed;
}

static void each_kind_of_change_is_seen(void **state)
{
    (void)state;
    rfm_file_watch watch;
    const char *names[] = {first, second, absent};
    write_file(first, "one", 1000);
    write_file(second, "two", 1000);
    rfm_file_watch_init(&watch);
    rfm_file_watch_set(&watch, &(rfm_texts){names, 3});
    assert_false(differs(&watch));
    write_file(second, "two", 1001);
    assert_true(differs(&watch));
    write_file(second, "longer", 1001);
    assert_true(differs(&watch));
    write_file(absent, "", 5);
    assert_true(differs(&watch));
    unlink(absent);
    assert_true(differs(&watch));
    /* As an editor does it, and Kubernetes with its links: another file under the name, as old and as long. */
    char other[80];
    snprintf(other, sizeof other, "%s.new", first);
    write_file(other, "one", 1000);
    assert_int_equal(rename(other, first), 0);
    assert_true(differs(&watch));
    rfm_file_watch_release(&watch);
}

static void only_the_last_names_are_watched(void **state)
{
    (void)state;
    rfm_file_watch watch;
    char name[64];
    const char *names[] = {name};
    write_file(first, "one", 1000);
    write_file(second, "two", 1000);
    rfm_file_watch_init(&watch);
    snprintf(name, sizeof name, "%s", first);
    rfm_file_watch_set(&watch, &(rfm_texts){names, 1});
    snprintf(name, sizeof name, "%s", second); /* it has a copy */
    write_file(second, "changed", 2000);
    assert_false(differs(&watch));
    rfm_file_watch_set(&watch, &(rfm_texts){names, 1});
    write_file(first, "changed", 2000);
    assert_false(differs(&watch));
    write_file(second, "again", 3000);
    assert_true(differs(&watch));
    rfm_file_watch_release(&watch);
}

static void nothing_never_differs(void **state)
{
    (void)state;
    rfm_file_watch watch;
    rfm_file_watch_init(&watch);
    assert_false(rfm_file_watch_differs(&watch));
    assert_false(differs(&watch));
    rfm_file_watch_release(&watch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_of_change_is_seen),
        cmocka_unit_test(only_the_last_names_are_watched),
        cmocka_unit_test(nothing_never_differs),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
