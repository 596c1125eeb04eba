/* The program's commands. Each takes its own arguments (argv[0] is its name) and returns an exit code. */
#ifndef RFM_APP_COMMAND_H
#define RFM_APP_COMMAND_H

#include "config/config.h"

enum { RFM_EXIT_DONE = 0, RFM_EXIT_INPUT = 1, RFM_EXIT_USAGE = 2, RFM_EXIT_ENVIRONMENT = 3 };

typedef struct rfm_command {
    const char *name, *purpose, *usage;
    int (*run)(int argc, char **argv);
} rfm_command;

int rfm_run_command(int argc, char **argv);
int rfm_check_command(int argc, char **argv);
int rfm_demo_command(int argc, char **argv);
int rfm_replay_command(int argc, char **argv);
int rfm_test_command(int argc, char **argv);
int rfm_fit_command(int argc, char **argv);
int rfm_client_command(int argc, char **argv);
int rfm_report_command(int argc, char **argv);
int rfm_gen_command(int argc, char **argv);
int rfm_version_command(int argc, char **argv);

const rfm_command *rfm_command_at(size_t index);       /* in the order of the help; NULL: no more */
const rfm_command *rfm_command_find(const char *name); /* NULL: none */

/* The values of an option that may be given more than once, and operands that go with them. */
typedef struct rfm_option_values {
    const char *at[1024];
    size_t count;
} rfm_option_values;

/* One option of a command: "-c" has a short name, all have a long one. Flags take no value. */
typedef struct rfm_option {
    const char *name; /* without the dashes */
    char letter;      /* 0: none */
    bool flag, given;
    const char *value;
    rfm_option_values *values; /* NULL: it may be given once */
} rfm_option;
/* Reads options; what is left are operands, argv[*operand_at ...]. `--help` prints the command's help. Returns -1: go
 * on, else the exit code (usage errors are told on standard error). An option without `values` that is given twice is
 * one. */
int rfm_options_parse(const char *command, int argc, char **argv, rfm_option *options, size_t count, int *operand_at);
/* False, told on standard error: there are operands, and the command takes none. */
bool rfm_options_end(const char *command, int argc, char **argv, int operand_at);
/* One value more; false: told on standard error. */
bool rfm_option_add(const char *command, const rfm_option *option, const char *value);
/* A whole number within [least, most]; false: told on standard error. */
bool rfm_option_number(const char *command, const rfm_option *option, int64_t least, int64_t most, int64_t *number);
/* RFC 3339 or whole milliseconds since 1970. */
bool rfm_option_time(const char *command, const rfm_option *option, int64_t *time_ms);

/* How a command ends whose work gave this code: what was asked for is not there, or the environment failed. */
int rfm_exit_code_of(int code);
/* Loads the configuration that -c names, telling all errors on standard error; NULL: *exit_code says how to end. */
rfm_config *rfm_command_config(const char *command, const rfm_option *option, int *exit_code);
/* How far one that goes from partition to partition has come, on a terminal; `task` as many as there are: it is
 * done. */
void rfm_show_partition(uint32_t task, uint32_t partitions);

#endif
