#include "command.h"

#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

static const rfm_command commands[] = {
    {"run", "the service",
     "Usage: rfmd run -c FILE [--create-topics] [--partitions N]\n\n"
     "Consumes events, keeps every client's state in Redis and sends triggers, until SIGTERM (then it finishes what is in\n"
     "flight and exits 0). SIGHUP, or a change of its files, reloads rules, segments, model and log level.\n\n"
     "  -c, --config FILE   the configuration\n"
     "  --create-topics     make the topics that are missing\n"
     "  --partitions N      how many partitions they get (8) where no input exists to go by\n",
     rfm_run_command},
    {"check", "checks configuration, rules, segments and model",
     "Usage: rfmd check -c FILE [--print]\n       rfmd check --reference [configuration|metrics|dead-letters]\n\n"
     "Tells every error as file:line:column: message; exit 0 or 1.\n\n"
     "  -c, --config FILE   the configuration\n"
     "  --print             the effective configuration, secrets redacted\n"
     "  --reference         all keys as Markdown, or all metrics, or all reasons of dead letters\n",
     rfm_check_command},
    {"demo", "the whole thing on this machine",
     "Usage: rfmd demo [--seconds N] [--rate N] [--clients N] [--http PORT] [--seed N]\n\n"
     "A Kafka of its own (in this process), a redis-server of its own (which must be installed), a year of a made-up shop's\n"
     "history, then live traffic; shows triggers as they are sent and ends with a summary. Nothing is left behind.\n\n"
     "  --seconds N   live traffic for so long (until Ctrl-C; without a terminal 20)\n"
     "  --rate N      live events a second (200)\n"
     "  --clients N   clients of the shop, 10 to 20000 (5000)\n"
     "  --http PORT   metrics and probes (9464, or another if that is taken; 0: none)\n"
     "  --seed N      another shop (1)\n",
     rfm_demo_command},
    {"replay", "the same engine over files, with virtual time",
     "Usage: rfmd replay -c FILE --events FILE... [--until TIME] [--partitions N]\n"
     "                   [--triggers FILE] [--audit FILE] [--dead-letters FILE] [--clients FILE] [--report FILE]\n"
     "                   [--experiments FILE]\n\n"
     "Needs no Kafka and no Redis. Events (NDJSON) are taken in file order, several files merged by time; the clock is the\n"
     "largest time so far. Outputs are NDJSON, - is standard output.\n\n"
     "  -c, --config FILE     the configuration\n"
     "  --events FILE...      events; - is standard input\n"
     "  --until TIME          ends there, that instant included (the last event's time)\n"
     "  --partitions N        as so many partitions (1); results do not depend on it\n"
     "  --format FORMAT       native, segment, ga4, cloudevents, or auto (if not given): told apart line by line\n"
     "  --triggers FILE       what would be sent\n"
     "  --audit FILE          what was held back, and why\n"
     "  --dead-letters FILE   what could not be taken, and why\n"
     "  --clients FILE        every client's state at the end\n"
     "  --report FILE         figures for the business at the end: CSV if it ends in .csv, JSON if in .json, else text\n"
     "  --experiments FILE    what experiments have shown at the end, in the same formats\n"
     "  --report-by, --report-from, --report-to, --report-source, --report-format   as those of rfmd report\n",
     rfm_replay_command},
    {"test", "scenarios of rules: which events bring which triggers",
     "Usage: rfmd test FILE.yaml...\n\n"
     "Runs the scenarios of each file with virtual time, without Kafka and Redis: given events and a clock, exactly the\n"
     "expected triggers must come. Tells every difference; exit 0 or 1. docs/rules-testing.md has the format.\n",
     rfm_test_command},
    {"fit", "the model's parameters from your purchases",
     "Usage: rfmd fit --purchases FILE [-o FILE] [--until DATE] [--holdout DAYS] [--plot FILE] [--cap N]\n"
     "                [--model mbg_nbd|bg_nbd] [--unit week|day] [--bad-rows N] [-c FILE]\n"
     "       rfmd fit --from-state -c FILE [-o FILE] [--cap N] [--model mbg_nbd|bg_nbd] [--unit week|day]\n\n"
     "Maximum likelihood. Prints the parameters with standard errors, and with a hold-out how well they tell who buys again,\n"
     "for several evidence caps and beside recency alone.\n\n"
     "  --purchases FILE    CSV with the columns client_id, date (or time), amount, under these or common other names;\n"
     "                      or NDJSON of rfmd's events; - is standard input\n"
     "  --from-state        the clients in Redis, as of today, while rfmd runs\n"
     "  -o, --output FILE   the model file to write, for `model:` of the configuration\n"
     "  --until DATE        end of observation, purchases of that day included (the last purchase's day)\n"
     "  --holdout DAYS      tries the model on the days after the end of observation; where there are no purchases after\n"
     "                      it, and without --until, on the last DAYS, and observation ends before them\n"
     "  --plot FILE         calibration in the hold-out, as SVG\n"
     "  --cap N             evidence cap to write, or none (with a hold-out the proposed one, else 5)\n"
     "  --model NAME        mbg_nbd, or bg_nbd to compare (mbg_nbd)\n"
     "  --unit UNIT         what alpha counts (week)\n"
     "  --bad-rows N        passes over so many rows that cannot be read (100)\n"
     "  -c, --config FILE   its time zone says which day a time is on, its rates convert amounts of NDJSON\n",
     rfm_fit_command},
    {"client", "clients' state as JSON",
     "Usage: rfmd client -c FILE ID... | --all [--as-of TIME]\n"
     "       rfmd client -c FILE --history [--since TIME] [--every-partition] ID...\n\n"
     "Reads Redis, one line of JSON for each client. With --history it reads Redis and Kafka's topics of triggers and\n"
     "audit: one line for each trigger that was sent, held back (why: suppressed_by) or is due, by time.\n\n"
     "  -c, --config FILE   the configuration\n"
     "  --all               every client\n"
     "  --as-of TIME        scores at that moment (now); not before the client's last event\n"
     "  --history           what these clients were sent and what was held back\n"
     "  --since TIME        of what was written to the topics from then on (all that they keep)\n"
     "  --every-partition   looks into all partitions: where a topic was given more of them since\n",
     rfm_client_command},
    {"report", "figures for the business",
     "Usage: rfmd report -c FILE [--by month|day] [--from PERIOD] [--to PERIOD] [--source NAME]\n"
     "                   [--format text|csv|json]\n"
     "       rfmd report -c FILE --experiments [--format text|csv|json]\n\n"
     "Reads Redis, and stops nothing: KPI by period with their change, clients by lifecycle and segment, funnel, cohorts,\n"
     "lifetime value, sources. rfmd replay --report writes the same for files.\n\n"
     "  -c, --config FILE   the configuration\n"
     "  --by month|day      periods (month)\n"
     "  --from, --to PERIOD 2026-01 or 2026-01-31, both included (the 12 months, or 30 days, until now)\n"
     "  --source NAME       only clients who came by this campaign\n"
     "  --experiments       instead: experiments' arms compared, and revenue attributed to rules\n"
     "  --format FORMAT     text, csv or json (text)\n",
     rfm_report_command},
    {"gen", "traffic of a made-up shop",
     "Usage: rfmd gen [--clients N] [--events N] [--seed N] [--start TIME] [--days N] [--output FILE]\n"
     "       rfmd gen -c FILE [--clients N] [--events N] [--seed N] [--days N] [--rate N]\n\n"
     "Events as NDJSON, the same for the same options, or with -c to the Kafka inputs of that configuration, stamped with the\n"
     "time at which they are sent: purchases and refunds to the input named purchases, visits to visits, the\n"
     "others to messages, all to the first where there is none of that name.\n\n"
     "  --clients N       clients (10000); fewer come where the events do not suffice for all\n"
     "  --events N        events (100000)\n"
     "  --seed N          another shop (1)\n"
     "  --start TIME      of the first event (2025-01-01)\n"
     "  --days N          the events are spread over so many days, or a few more where they do not suffice (365)\n"
     "  --output FILE     - is standard output (-)\n"
     "  -c, --config FILE send them to Kafka instead\n"
     "  --rate N          events a second (to Kafka 1000, to a file as fast as it goes)\n",
     rfm_gen_command},
    {"version", "version, build, libraries", "Usage: rfmd version\n", rfm_version_command},
};

const rfm_command *rfm_command_at(size_t index)
{
    return index < sizeof commands / sizeof *commands ? &commands[index] : NULL;
}

const rfm_command *rfm_command_find(const char *name)
{
    for (size_t i = 0; rfm_command_at(i) != NULL; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static rfm_option *option_named(rfm_option *options, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(options[i].name, name) == 0)
            return &options[i];
    return NULL;
}

static rfm_option *option_lettered(rfm_option *options, size_t count, int letter)
{
    for (size_t i = 0; i < count; i++)
        if (options[i].letter != 0 && options[i].letter == letter)
            return &options[i];
    return NULL;
}

enum { OPTIONS_MAX = 24 };

bool rfm_option_add(const char *command, const rfm_option *option, const char *value)
{
    rfm_option_values *values = option->values;
    const size_t most = sizeof values->at / sizeof *values->at;
    bool room = values->count < most;
    if (room)
        values->at[values->count++] = value;
    else
        fprintf(stderr, "rfmd %s: more than %zu values for --%s\n", command, most, option->name);
    return room;
}

static bool take_option(const char *command, rfm_option *option, const char *value)
{
    if (option->given && option->values == NULL) {
        fprintf(stderr, "rfmd %s: --%s is given twice\n", command, option->name);
        return false;
    }
    option->given = true;
    option->value = value;
    return option->values == NULL || rfm_option_add(command, option, value);
}

int rfm_options_parse(const char *command, int argc, char **argv, rfm_option *options, size_t count, int *operand_at)
{
    struct option longs[OPTIONS_MAX + 2] = {{"help", no_argument, NULL, 'h'}};
    char shorts[2 * OPTIONS_MAX + 4] = "h";
    RFM_ASSERT(count <= OPTIONS_MAX);
    for (size_t i = 0; i < count; i++) {
        longs[i + 1] = (struct option){options[i].name, options[i].flag ? no_argument : required_argument, NULL, 1};
        size_t len = strlen(shorts);
        if (options[i].letter != 0)
            snprintf(shorts + len, sizeof shorts - len, "%c%s", options[i].letter, options[i].flag ? "" : ":");
    }
    int index = 0, found;
    optind = 0;
    while ((found = getopt_long(argc, argv, shorts, longs, &index)) != -1) {
        if (found == 'h') {
            fputs(rfm_command_find(command)->usage, stdout);
            return RFM_EXIT_DONE;
        }
        rfm_option *option = found == 1 ? option_named(options, count, longs[index].name)
                                        : option_lettered(options, count, found);
        if (option == NULL || !take_option(command, option, optarg)) {
            fprintf(stderr, "See rfmd %s --help.\n", command);
            return RFM_EXIT_USAGE;
        }
    }
    *operand_at = optind;
    return -1;
}

int rfm_exit_code_of(int code)
{
    if (code == RFM_OK)
        return RFM_EXIT_DONE;
    return code == RFM_E_NOT_FOUND || code == RFM_E_RANGE ? RFM_EXIT_INPUT : RFM_EXIT_ENVIRONMENT;
}

bool rfm_options_end(const char *command, int argc, char **argv, int operand_at)
{
    if (operand_at < argc)
        fprintf(stderr, "rfmd %s: '%s': no such argument\nSee rfmd %s --help.\n", command, argv[operand_at], command);
    return operand_at >= argc;
}

bool rfm_option_number(const char *command, const rfm_option *option, int64_t least, int64_t most, int64_t *number)
{
    int64_t value;
    if (!option->given)
        return true;
    if (rfm_integer_parse(rfm_text(option->value), &value) != RFM_OK || value < least || value > most) {
        fprintf(stderr, "rfmd %s: --%s '%s' is not a whole number from %lld to %lld\n", command, option->name,
                option->value, (long long)least, (long long)most);
        return false;
    }
    *number = value;
    return true;
}

bool rfm_option_time(const char *command, const rfm_option *option, int64_t *time_ms)
{
    int64_t value;
    if (!option->given)
        return true;
    if (rfm_integer_parse(rfm_text(option->value), &value) == RFM_OK && value >= 0 && value <= RFM_TIME_MAX_MS) {
        *time_ms = value;
        return true;
    }
    if (rfm_time_parse(rfm_text(option->value), time_ms) == RFM_OK)
        return true;
    fprintf(
        stderr,
        "rfmd %s: --%s '%s' is neither RFC 3339 with an offset (2026-01-31T09:00:00Z) nor milliseconds since 1970\n",
        command, option->name, option->value);
    return false;
}

rfm_config *rfm_command_config(const char *command, const rfm_option *option, int *exit_code)
{
    extern char **environ;
    if (!option->given) {
        fprintf(stderr, "rfmd %s: no configuration: give one with -c FILE\n", command);
        *exit_code = RFM_EXIT_USAGE;
        return NULL;
    }
    rfm_config *config = NULL;
    rfm_config_errors errors;
    rfm_config_errors_init(&errors);
    int code = rfm_config_load(option->value, environ, &config, &errors);
    if (code != RFM_OK) {
        rfm_buffer text;
        rfm_buffer_init(&text, 1 << 20);
        rfm_config_errors_write(&errors, &text);
        fwrite(text.at, 1, text.len, stderr);
        rfm_buffer_release(&text);
        *exit_code = code == RFM_E_IO ? RFM_EXIT_ENVIRONMENT : RFM_EXIT_INPUT;
    }
    rfm_config_errors_release(&errors);
    return code == RFM_OK ? config : NULL;
}

void rfm_show_partition(uint32_t task, uint32_t partitions)
{
    if (!isatty(STDERR_FILENO))
        return;
    if (task < partitions)
        fprintf(stderr, "\rpartition %u of %u", task + 1, partitions);
    else
        fprintf(stderr, "\r%30s\r", "");
}
