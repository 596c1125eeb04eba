#include "command.h"

#include <stdio.h>

static void print(rfm_buffer *text) {
    fwrite(text->at, 1, text->len, stdout);
    rfm_buffer_release(text);
}

enum { CONFIG, PRINT, REFERENCE, OPTION_COUNT };

int rfm_check_command(int argc, char **argv) {
    rfm_option options[OPTION_COUNT] = {{.name = "config", .letter = 'c'}, {.name = "print", .flag = true}, {.name = "reference", .flag = true}};
    int operand_at, exit_code = rfm_options_parse("check", argc, argv, options, OPTION_COUNT, &operand_at);
    if (exit_code >= 0) return exit_code;
    rfm_buffer text;
    rfm_buffer_init(&text, 4 << 20);
    if (options[REFERENCE].given) {
        rfm_config_reference(&text);
        print(&text);
        return RFM_EXIT_DONE;
    }
    rfm_config *config = rfm_command_config("check", &options[CONFIG], &exit_code);
    if (config == NULL) return exit_code;
    if (options[PRINT].given) rfm_config_print(config, &text);
    else rfm_write_format(&text, "%s: good; %zu rules\n", options[CONFIG].value, config->rules.count);
    print(&text);
    rfm_config_free(config);
    return RFM_EXIT_DONE;
}
