#include "command.h"
#include "scenario.h"

#include <stdio.h>

/* True: all as expected. */
static bool run_file(const char *path)
{
    rfm_buffer report;
    rfm_buffer_init(&report, 64 << 20);
    rfm_scenario_result result = rfm_scenarios_run(path, &report);
    fwrite(report.at ? (const char *)report.at : "", 1, report.len, stdout);
    rfm_buffer_release(&report);
    if (!result.unreadable)
        printf("%s: %zu scenarios, %zu failed\n", path, result.scenarios, result.failed);
    return !result.unreadable && result.failed == 0;
}

int rfm_test_command(int argc, char **argv)
{
    int operand_at, exit_code = rfm_options_parse("test", argc, argv, NULL, 0, &operand_at);
    if (exit_code >= 0)
        return exit_code;
    if (operand_at == argc) {
        fprintf(stderr, "rfmd test: no scenarios: give files\n");
        return RFM_EXIT_USAGE;
    }
    bool good = true;
    for (int i = operand_at; i < argc; i++)
        good = run_file(argv[i]) && good;
    return good ? RFM_EXIT_DONE : RFM_EXIT_INPUT;
}
