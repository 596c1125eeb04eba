#include "command.h"

#include <stdio.h>

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

int main(int argc, char **argv)
{
    if (argc < 2)
        return usage(stderr, RFM_EXIT_USAGE);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)
        return usage(stdout, RFM_EXIT_DONE);
    const rfm_command *command = rfm_command_find(strcmp(argv[1], "--version") == 0 ? "version" : argv[1]);
    if (command == NULL) {
        fprintf(stderr, "rfmd: no command '%s'\n\n", argv[1]);
        return usage(stderr, RFM_EXIT_USAGE);
    }
    return command->run(argc - 1, argv + 1);
}
