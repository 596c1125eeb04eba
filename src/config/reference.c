#include "keys.h"

static const char intro[] =
    "# Configuration\n"
    "\n"
    "This page is made from the program's own table of keys; `rfmd check -c FILE` checks a configuration against it and\n"
    "names every mistake as `file:line:column: message`, `rfmd check -c FILE --print` shows the main file's keys as they are\n"
    "in effect, and which rules there are.\n"
    "\n"
    "- YAML, one document a file, 1 MiB at most; no tags. Unknown keys are errors.\n"
    "- Durations: `90d`, `12h`, `15m`, `30s`, `250ms`, also `1h30m`; a day is 86,400 s. Sizes: `256MiB`. Shares: `5%` or\n"
    "  `0.05`. Amounts and rates are exact decimals.\n"
    "- File names are relative to the file that names them.\n"
    "- An empty value, `~` or `null` is the same as leaving the key out.\n"
    "- Every key of the main file can be set from the environment: `RFMD_KAFKA__BROKERS=a:9092,b:9092` is\n"
    "  `kafka.brokers` (two underscores for a level). Lists and maps are written as YAML:\n"
    "  `RFMD_RULES='[rules/welcome.yaml]'`; a map's entries go over the file's:\n"
    "  `RFMD_KAFKA__PROPERTIES='{sasl.password: ...}'`. File names in it are relative to the working directory.\n"
    "- Secrets come from files or from the environment and are never printed. Two may stand in the main file too, and should\n"
    "  not: a password in `redis.url`, and properties that go to librdkafka.\n"
    "\n"
    "## The main file\n"
    "\n";

static const char rule_files[] = "\n"
                                 "## Files of rules and policies\n"
                                 "\n"
                                 "A file of `rules` holds these keys; all files together are one rule set.\n"
                                 "\n";

static const char rules[] =
    "\n"
    "### A rule\n"
    "\n"
    "The version of the rules (in every trigger) is a hash of what they say: neither comments nor\n"
    "order, nor how they are spread over files, change it.\n"
    "\n";

static const char segments[] =
    "\n"
    "## A file of segments\n"
    "\n"
    "`segments: {NAME: [cells]}`; a cell is three scores, R, F and M, from 1 to 5. `[1-2]` stands for several, and two\n"
    "places alone for any M: `\"5[4-5]\"`. Each of the 125 cells belongs to one segment. Clients without purchases are\n"
    "`prospect`.\n"
    "\n"
    "## The model file\n"
    "\n";

void rfm_config_reference(rfm_buffer *markdown)
{
    rfm_write_text(markdown, intro);
    rfm__table_reference(&rfm__config_table, markdown);
    rfm_write_text(markdown, rule_files);
    rfm__table_reference(&rfm__rules_file_table, markdown);
    rfm_write_text(markdown, rules);
    rfm__table_reference(&rfm__rule_table, markdown);
    rfm_write_text(markdown, segments);
    rfm__table_reference(&rfm__model_table, markdown);
}
