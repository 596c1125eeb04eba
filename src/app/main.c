#include "command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int usage(FILE *to, int code)
{
    fputs(
        "rfmd keeps every client's RFM and churn state in Redis, from events on Kafka, and sends triggers, exactly once.\n\n"
        "Usage: rfmd COMMAND [OPTIONS]\n\n",
        to);
    for (size_t i = 0; rfm_command_at(i) != NULL; i++)
        fprintf(to, "  %-8s %s\n", rfm_command_at(i)->name, rfm_command_at(i)->purpose);
    fputs(
        "\nrfmd COMMAND --help tells more. Exit codes: 0 done, 1 the input is wrong, 2 usage, 3 the environment failed.\n",
        to);
    return code;
}

/* What standard output did not take, as on a full disk, is a failure of every command. */
static int finish(int exit_code)
{
    bool flushed = fflush(stdout) == 0;
    if (flushed && !ferror(stdout))
        return exit_code;
    fprintf(stderr, "rfmd: standard output: %s\n", flushed ? "not all of it could be written" : strerror(errno));
    return exit_code == RFM_EXIT_DONE ? RFM_EXIT_ENVIRONMENT : exit_code;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return usage(stderr, RFM_EXIT_USAGE);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)
        return finish(usage(stdout, RFM_EXIT_DONE));
    const rfm_command *command = rfm_command_find(strcmp(argv[1], "--version") == 0 ? "version" : argv[1]);
    if (command == NULL) {
        fprintf(stderr, "rfmd: no command '%s'\n\n", argv[1]);
        return usage(stderr, RFM_EXIT_USAGE);
    }
    return finish(command->run(argc - 1, argv + 1));
}
