#include "command.h"
#include "kafka/conf.h"

#include <hiredis/hiredis.h>
#include <rfm/client/state_format.h>
#include <stdio.h>
#include <uv.h>

int rfm_version_command(int argc, char **argv)
{
    int operand_at, exit_code = rfm_options_parse("version", argc, argv, NULL, 0, &operand_at);
    if (exit_code >= 0)
        return exit_code;
    if (!rfm_options_end("version", argc, argv, operand_at))
        return RFM_EXIT_USAGE;
    printf("rfmd %s\nstate format %d\nbuilt by %s\nlibrdkafka %s\nhiredis %d.%d.%d\nlibuv %s\n", RFM_VERSION,
           RFM_STATE_FORMAT, __VERSION__, rfm_kafka_version(), HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH,
           uv_version_string());
    return RFM_EXIT_DONE;
}
