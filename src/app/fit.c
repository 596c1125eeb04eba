#include "command.h"
#include "fit/purchase_file.h"
#include "fit/report.h"
#include "fit_state.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BAD_ROWS_SHOWN = 10 };

struct fitting {
    rfm_study_conf conf;
    const char *purchases, *output, *plot;
    char source[256]; /* for the report and the model file */
    bool has_until;
    int32_t until;
    int64_t bad_rows_max;
    rfm_config *config; /* NULL: none was named */
    uint64_t bad_rows;
};

static void show_bad_row(void *owner, uint64_t line, const char *message)
{
    struct fitting *fitting = owner;
    if (++fitting->bad_rows <= BAD_ROWS_SHOWN)
        fprintf(stderr, "%s:%llu: %s\n", fitting->purchases, (unsigned long long)line, message);
}

static void show_progress(void *owner, uint64_t read)
{
    (void)owner;
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%llu read", (unsigned long long)read);
}

static void end_progress(void)
{
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
}

static int write_file(const char *path, const rfm_buffer *text, rfm_error *error)
{
    rfm_buffer next;
    rfm_buffer_init(&next, 1 << 16);
    rfm_write_format(&next, "%s.new", path);
    rfm_write_u8(&next, 0);
    const char *next_path = (const char *)next.at;
    int code = next.bad ? rfm_fail(error, RFM_E_TOO_LARGE, "%s: the path is too long", path) : RFM_OK;
    FILE *file = code == RFM_OK ? fopen(next_path, "w") : NULL;
    bool good = file != NULL && fwrite(text->at, 1, text->len, file) == text->len;
    good = file != NULL && fclose(file) == 0 && good;
    /* A running rfmd that watches the file must not see half of it. */
    if (code == RFM_OK && (!good || rename(next_path, path) != 0)) {
        code = rfm_fail(error, RFM_E_IO, "%s: %s", path, strerror(errno));
        if (file != NULL)
            remove(next_path);
    }
    rfm_buffer_release(&next);
    return code;
}

/* Report, model file, picture. */
static int hand_out(const struct fitting *fitting, const rfm_study *study, rfm_error *error)
{
    rfm_buffer text;
    int code = RFM_OK;
    rfm_buffer_init(&text, 1 << 20);
    rfm_study_report(study, &text);
    fwrite(text.at, 1, text.len, stdout);
    if (fitting->output != NULL) {
        rfm_buffer_clear(&text);
        rfm_study_model_file(study, fitting->source, &text);
        code = write_file(fitting->output, &text, error);
    }
    if (code == RFM_OK && fitting->plot != NULL) {
        rfm_buffer_clear(&text);
        rfm_study_plot(study, &text);
        code = write_file(fitting->plot, &text, error);
    }
    RFM_ASSERT(!text.bad);
    rfm_buffer_release(&text);
    if (code == RFM_OK && fitting->conf.kind == RFM_NBD_BG && fitting->output != NULL)
        fprintf(stderr, "rfmd fit: bg_nbd is for comparison: `rfmd run` scores by mbg_nbd and refuses this file\n");
    return code;
}

/* From a file. */

/* The end of observation: as named, else the last purchase's day, with a hold-out so many days before it. A hold-out of
 * which nothing is known after the day that was named lies before it. */
static int32_t until_of(const struct fitting *fitting, const rfm_purchases *purchases)
{
    int32_t last_day = rfm_purchases_last_day(purchases), until = fitting->has_until ? fitting->until : last_day;
    if (fitting->conf.holdout_days > 0 && last_day <= until)
        until -= fitting->conf.holdout_days;
    return until;
}

static void say_rows(const struct fitting *fitting, const rfm_purchase_file *file, const rfm_purchases *purchases)
{
    if (file->bad_rows > BAD_ROWS_SHOWN)
        fprintf(stderr, "%s: and %llu more rows that cannot be read\n", fitting->purchases,
                (unsigned long long)file->bad_rows - BAD_ROWS_SHOWN);
    if (file->bad_rows > 0)
        fprintf(stderr, "%s: %llu rows were left out\n", fitting->purchases, (unsigned long long)file->bad_rows);
    printf("%s: %llu rows, %u clients\n", fitting->purchases, (unsigned long long)(file->rows - file->others),
           rfm_purchases_clients(purchases));
}

static int fit_purchases(const struct fitting *fitting, rfm_study *study, rfm_purchases *purchases, rfm_error *error)
{
    int32_t until = until_of(fitting, purchases), last_day = rfm_purchases_last_day(purchases);
    if (until < rfm_purchases_first_day(purchases))
        return rfm_fail(error, RFM_E_RANGE, "the end of observation lies before the first purchase%s",
                        fitting->conf.holdout_days > 0 ? ": the hold-out is as long as all the time that was observed"
                                                       : "");
    if (fitting->conf.holdout_days > 0 && fitting->has_until && until == fitting->until &&
        last_day < until + fitting->conf.holdout_days)
        fprintf(stderr, "rfmd fit: the purchases end %d days before the hold-out does: it looks worse than it was\n",
                (int)(until + fitting->conf.holdout_days - last_day));
    return rfm_study_purchases(study, purchases, until, error);
}

static int fit_file(struct fitting *fitting, rfm_study *study, rfm_error *error)
{
    rfm_purchases *purchases = rfm_purchases_new();
    rfm_purchase_file file = {.name = fitting->purchases,
                              .money = fitting->config ? &fitting->config->client.money : NULL,
                              .zone = fitting->config ? fitting->config->client.zone : NULL,
                              .bad_rows_max = (uint64_t)fitting->bad_rows_max,
                              .bad_row = show_bad_row,
                              .progress = show_progress,
                              .owner = fitting};
    snprintf(fitting->source, sizeof fitting->source, "%s", fitting->purchases);
    int code = rfm_purchase_file_read(&file, purchases, error);
    end_progress();
    if (code == RFM_OK)
        say_rows(fitting, &file, purchases);
    if (code == RFM_OK && rfm_purchases_count(purchases) == 0)
        code = rfm_fail(error, RFM_E_MALFORMED, "%s: no purchase in it", fitting->purchases);
    if (code == RFM_OK)
        code = fit_purchases(fitting, study, purchases, error);
    rfm_purchases_free(purchases);
    return code;
}

/* From Redis. */

static int fit_state(struct fitting *fitting, rfm_study *study, rfm_error *error)
{
    rfm_fit_state state = {.config = fitting->config, .progress = show_progress, .owner = fitting};
    study->histories.until = rfm_zone_day(fitting->config->client.zone, rfm_clock_wall_ms());
    snprintf(fitting->source, sizeof fitting->source, "the state of %s", fitting->config->kafka.group);
    int code = rfm_fit_state_read(&state, &study->histories, error);
    end_progress();
    if (code != RFM_OK)
        return code;
    printf("%llu clients in Redis, %llu of them without a purchase\n", (unsigned long long)state.clients,
           (unsigned long long)state.prospects);
    if (state.ahead > 0)
        fprintf(stderr, "rfmd fit: %llu clients left out: their last purchase lies after today\n",
                (unsigned long long)state.ahead);
    return rfm_study_histories(study, error);
}

/* Options. */

enum { PURCHASES, MODEL, UNTIL, HOLDOUT, UNIT, OUTPUT, CAP, PLOT, BAD_ROWS, FROM_STATE, CONFIG, OPTION_COUNT };

static bool choose(const rfm_option *option, const char *first, const char *second, bool *is_second)
{
    if (!option->given)
        return true;
    *is_second = strcmp(option->value, second) == 0;
    if (*is_second || strcmp(option->value, first) == 0)
        return true;
    fprintf(stderr, "rfmd fit: --%s '%s' is neither %s nor %s\n", option->name, option->value, first, second);
    return false;
}

static bool read_until(const rfm_option *option, struct fitting *fitting)
{
    fitting->has_until = option->given;
    if (!option->given || rfm_date_parse(rfm_text(option->value), &fitting->until) == RFM_OK)
        return true;
    fprintf(stderr, "rfmd fit: --until '%s' is not a date, such as 2026-01-31\n", option->value);
    return false;
}

static bool read_cap(const rfm_option *option, double *cap)
{
    char *end;
    if (!option->given)
        return true;
    *cap = strcmp(option->value, "none") == 0 ? INFINITY : strtod(option->value, &end);
    if (*cap > 0 && (isinf(*cap) ? strcmp(option->value, "none") == 0 : *end == 0))
        return true;
    fprintf(stderr, "rfmd fit: --cap '%s' is neither a number above 0 nor none\n", option->value);
    return false;
}

static bool check_together(const rfm_option *options)
{
    const char *wrong = NULL;
    if (options[PURCHASES].given == options[FROM_STATE].given)
        wrong = "name the purchases with --purchases FILE, or --from-state -c FILE";
    else if (options[FROM_STATE].given && (options[UNTIL].given || options[HOLDOUT].given))
        wrong = "the state knows today only: --until and --holdout need --purchases";
    else if (options[PLOT].given && !options[HOLDOUT].given)
        wrong = "--plot shows a hold-out: say --holdout DAYS";
    if (wrong != NULL)
        fprintf(stderr, "rfmd fit: %s\n", wrong);
    return wrong == NULL;
}

static bool read_options(const rfm_option *options, struct fitting *fitting)
{
    bool is_bg = false, is_day = false;
    int64_t holdout_days = 0;
    if (!check_together(options) || !choose(&options[MODEL], "mbg_nbd", "bg_nbd", &is_bg) ||
        !choose(&options[UNIT], "week", "day", &is_day) || !read_until(&options[UNTIL], fitting) ||
        !rfm_option_number("fit", &options[HOLDOUT], 1, 3650, &holdout_days) ||
        !rfm_option_number("fit", &options[BAD_ROWS], 0, INT64_MAX, &fitting->bad_rows_max) ||
        !read_cap(&options[CAP], &fitting->conf.cap))
        return false;
    fitting->conf.kind = is_bg ? RFM_NBD_BG : RFM_NBD_MBG;
    fitting->conf.unit_days = is_day ? 1 : 7;
    fitting->conf.holdout_days = (int32_t)holdout_days;
    fitting->purchases = options[PURCHASES].value;
    fitting->output = options[OUTPUT].value;
    fitting->plot = options[PLOT].value;
    return true;
}

static int exit_code_of(int code)
{
    if (code == RFM_OK)
        return RFM_EXIT_DONE;
    return rfm_error_class_of(code) == RFM_ERROR_INPUT ? RFM_EXIT_INPUT : RFM_EXIT_ENVIRONMENT;
}

int rfm_fit_command(int argc, char **argv)
{
    rfm_option options[OPTION_COUNT] = {{.name = "purchases"},
                                        {.name = "model"},
                                        {.name = "until"},
                                        {.name = "holdout"},
                                        {.name = "unit"},
                                        {.name = "output", .letter = 'o'},
                                        {.name = "cap"},
                                        {.name = "plot"},
                                        {.name = "bad-rows"},
                                        {.name = "from-state", .flag = true},
                                        {.name = "config", .letter = 'c'}};
    struct fitting fitting = {.bad_rows_max = 100};
    int operand_at, exit_code = rfm_options_parse("fit", argc, argv, options, OPTION_COUNT, &operand_at);
    if (exit_code >= 0)
        return exit_code;
    if (operand_at < argc) {
        fprintf(stderr, "rfmd fit: '%s': name the purchases with --purchases FILE\n", argv[operand_at]);
        return RFM_EXIT_USAGE;
    }
    if (!read_options(options, &fitting))
        return RFM_EXIT_USAGE;
    if (options[FROM_STATE].given || options[CONFIG].given) {
        fitting.config = rfm_command_config("fit", &options[CONFIG], &exit_code);
        if (fitting.config == NULL)
            return exit_code;
    }
    rfm_study study;
    rfm_error error = {0};
    rfm_study_init(&study, &fitting.conf);
    int code = fitting.purchases ? fit_file(&fitting, &study, &error) : fit_state(&fitting, &study, &error);
    if (code == RFM_OK)
        code = hand_out(&fitting, &study, &error);
    if (code != RFM_OK)
        fprintf(stderr, "rfmd fit: %s\n", error.message);
    rfm_study_release(&study);
    rfm_config_free(fitting.config);
    return exit_code_of(code);
}
