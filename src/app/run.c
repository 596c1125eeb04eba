#include "command.h"
#include "service.h"

enum { CONFIG, CREATE_TOPICS, PARTITIONS, OPTION_COUNT };

int rfm_run_command(int argc, char **argv)
{
    rfm_option options[OPTION_COUNT] = {
        {.name = "config", .letter = 'c'}, {.name = "create-topics", .flag = true}, {.name = "partitions"}};
    int64_t partitions = 0;
    int operand_at, exit_code = rfm_options_parse("run", argc, argv, options, OPTION_COUNT, &operand_at);
    if (exit_code >= 0)
        return exit_code;
    if (!rfm_options_end("run", argc, argv, operand_at) ||
        !rfm_option_number("run", &options[PARTITIONS], 1, RFM_TASKS_MAX, &partitions))
        return RFM_EXIT_USAGE;
    rfm_config *config = rfm_command_config("run", &options[CONFIG], &exit_code);
    if (config == NULL)
        return exit_code;
    rfm_service_conf conf = {.config_path = options[CONFIG].value,
                             .config = config,
                             .create_topics = options[CREATE_TOPICS].given,
                             .partitions = (uint32_t)partitions};
    rfm_service *service = rfm_service_new(&conf);
    exit_code = rfm_service_run(service);
    rfm_service_free(service);
    return exit_code;
}
