#include "command.h"
#include "http/metrics.h"

#include <rfm/event/decode.h>
#include <stdio.h>

static void print(rfm_buffer *text)
{
    fwrite(text->at, 1, text->len, stdout);
    rfm_buffer_release(text);
}

static void write_dead_letters(rfm_buffer *markdown)
{
    rfm_write_text(
        markdown,
        "# Reasons of dead letters\n\nThe header `rfmd.reason` of a dead letter is one of these codes; they do not change. This page is made "
        "from the\nprogram's own table. [events.md](events.md) says what a dead letter holds.\n\n| reason | when |\n|---|---|\n");
    for (int reason = RFM_REASON_NONE + 1; reason < RFM_REASON_COUNT; reason++)
        rfm_write_format(markdown, "| `%s` | %s |\n", rfm_reason_name((rfm_reason)reason),
                         rfm_reason_text((rfm_reason)reason));
}

static const struct {
    const char *name;
    void (*write)(rfm_buffer *markdown);
} pages[] = {
    {"configuration", rfm_config_reference}, {"metrics", rfm_metrics_reference}, {"dead-letters", write_dead_letters}};

/* One page of docs/ that is made from a table. */
static int print_reference(const char *name, rfm_buffer *text)
{
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        if (strcmp(pages[i].name, name) != 0)
            continue;
        pages[i].write(text);
        print(text);
        return RFM_EXIT_DONE;
    }
    fprintf(stderr, "rfmd check: no reference '%s'; there are configuration, metrics and dead-letters\n", name);
    rfm_buffer_release(text);
    return RFM_EXIT_USAGE;
}

enum { CONFIG, PRINT, REFERENCE, OPTION_COUNT };

int rfm_check_command(int argc, char **argv)
{
    rfm_option options[OPTION_COUNT] = {
        {.name = "config", .letter = 'c'}, {.name = "print", .flag = true}, {.name = "reference", .flag = true}};
    int operand_at, exit_code = rfm_options_parse("check", argc, argv, options, OPTION_COUNT, &operand_at);
    if (exit_code >= 0)
        return exit_code;
    const char *page = options[REFERENCE].given && operand_at < argc ? argv[operand_at++] : "configuration";
    if (!rfm_options_end("check", argc, argv, operand_at))
        return RFM_EXIT_USAGE;
    rfm_buffer text;
    rfm_buffer_init(&text, 4 << 20);
    if (options[REFERENCE].given)
        return print_reference(page, &text);
    rfm_config *config = rfm_command_config("check", &options[CONFIG], &exit_code);
    if (config == NULL)
        return exit_code;
    if (options[PRINT].given)
        rfm_config_print(config, &text);
    else
        rfm_write_format(&text, "%s: good; %zu rules\n", options[CONFIG].value, config->rules.count);
    print(&text);
    rfm_config_free(config);
    return RFM_EXIT_DONE;
}
