#include <rfm/client/conf.h>

typedef struct preset_row {
    const char *name, *cells;
} preset_row;

static const preset_row classic_11[] = {
    {"champions", "555 554 544 545 454 455 445"},
    {"loyal", "543 444 435 355 354 345 344 335"},
    {"potential_loyalist",
     "553 551 552 541 542 533 532 531 452 451 442 441 431 453 433 432 423 353 352 351 342 341 333 323"},
    {"new_customers", "512 511 422 421 412 411 311"},
    {"promising", "525 524 523 522 521 515 514 513 425 424 413 414 415 315 314 313"},
    {"need_attention", "535 534 443 434 343 334 325 324"},
    {"about_to_sleep", "331 321 312 221 213 231 241 251"},
    {"at_risk_customers", "255 254 245 244 253 252 243 242 235 234 225 224 153 152 145 143 142 135 134 133 125 124"},
    {"cannot_lose", "155 154 144 214 215 115 114 113"},
    {"hibernating", "332 322 233 232 223 222 132 123 122 212 211"},
    {"lost", "111 112 121 131 141 151"},
    {NULL, NULL},
};

static const preset_row rf_10[] = {
    {"hibernating", "[1-2][1-2]"},
    {"at_risk_customers", "[1-2][3-4]"},
    {"cannot_lose", "[1-2]5"},
    {"about_to_sleep", "3[1-2]"},
    {"need_attention", "33"},
    {"loyal", "[3-4][4-5]"},
    {"promising", "41"},
    {"new_customers", "51"},
    {"potential_loyalist", "[4-5][2-3]"},
    {"champions", "5[4-5]"},
    {NULL, NULL},
};

static void clear(rfm_segments *segments)
{
    *segments = (rfm_segments){.count = 1, .name = {"prospect"}};
}

int rfm_segments_preset(rfm_segments *segments, const char *preset)
{
    const preset_row *rows = strcmp(preset, "classic-11") == 0 ? classic_11
                             : strcmp(preset, "rf-10") == 0    ? rf_10
                                                               : NULL;
    if (!rows) {
        return RFM_E_NOT_FOUND;
    }
    clear(segments);
    for (; rows->name; rows++) {
        RFM_ASSERT(rfm_segments_add(segments, rows->name, rows->cells, NULL) == RFM_OK);
    }
    return RFM_OK;
}

int rfm_segments_find(const rfm_segments *segments, rfm_bytes name)
{
    for (int i = 0; i < segments->count; i++) {
        if (rfm_bytes_is(name, segments->name[i])) {
            return i;
        }
    }
    return -1;
}

static bool name_is_valid(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
    return name[0] >= 'a' && name[0] <= 'z' && name[len] == 0 && len < sizeof((rfm_segments *)0)->name[0];
}

static int segment_of_name(rfm_segments *segments, const char *name, rfm_error *error)
{
    if (segments->count == 0) {
        clear(segments);
    }
    if (!name_is_valid(name)) {
        return rfm_fail(error, RFM_E_MALFORMED,
                        "segment '%.60s': a name has at most 47 characters of a-z, 0-9 and _ and starts with a letter",
                        name);
    }
    int segment = rfm_segments_find(segments, rfm_text(name));
    if (segment == RFM_SEGMENT_PROSPECT) {
        return rfm_fail(error, RFM_E_MALFORMED,
                        "segment 'prospect' stands for clients without purchases: it has no cells");
    }
    if (segment > 0) {
        return segment;
    }
    if (segments->count == RFM_SEGMENTS_MAX) {
        return rfm_fail(error, RFM_E_FULL, "segment '%s' is one too many: at most %d", name, RFM_SEGMENTS_MAX - 1);
    }
    strcpy(segments->name[segments->count], name);
    return segments->count++;
}

/* One digit or a set of them in brackets, "[1-24]", as a bit per score; 0: neither. */
static unsigned read_scores(const char **at)
{
    const char *text = *at;
    bool bracketed = *text == '[';
    unsigned scores = 0;
    text += bracketed;
    do {
        int from = *text, to = from;
        if (from >= '1' && from <= '5' && bracketed && text[1] == '-') {
            text += 2;
            to = *text;
        }
        if (from < '1' || to > '5' || to < from) {
            return 0;
        }
        for (int digit = from; digit <= to; digit++) {
            scores |= 1u << (digit - '1');
        }
        text++;
    } while (bracketed && *text != ']');
    *at = text + bracketed;
    return scores;
}

static bool ends_pattern(char c)
{
    return c == 0 || c == ' ' || c == ',' || c == '\t' || c == '\n';
}

static bool read_pattern(const char **at, unsigned scores[3])
{
    scores[0] = read_scores(at);
    scores[1] = read_scores(at);
    scores[2] = ends_pattern(**at) ? 0x1f : read_scores(at);
    return scores[0] && scores[1] && scores[2] && ends_pattern(**at);
}

static int take_cells(rfm_segments *segments, int segment, const unsigned scores[3], rfm_error *error)
{
    for (unsigned r = 0; r < 5; r++) {
        for (unsigned f = 0; f < 5; f++) {
            for (unsigned m = 0; m < 5; m++) {
                if (!(scores[0] >> r & scores[1] >> f & scores[2] >> m & 1)) {
                    continue;
                }
                uint8_t *cell = &segments->cell[r][f][m];
                if (*cell != RFM_SEGMENT_PROSPECT && *cell != segment) {
                    return rfm_fail(error, RFM_E_DUPLICATE,
                                    "cell %u%u%u belongs to '%s' already, it cannot be in '%s' too", r + 1, f + 1,
                                    m + 1, segments->name[*cell], segments->name[segment]);
                }
                *cell = (uint8_t)segment;
            }
        }
    }
    return RFM_OK;
}

int rfm_segments_add(rfm_segments *segments, const char *name, const char *cells, rfm_error *error)
{
    rfm_segments changed = *segments;
    int segment = segment_of_name(&changed, name, error);
    if (segment < 0) {
        return segment;
    }
    for (const char *at = cells; *at;) {
        if (ends_pattern(*at)) {
            at++;
            continue;
        }
        const char *start = at;
        unsigned scores[3];
        if (!read_pattern(&at, scores)) {
            return rfm_fail(
                error, RFM_E_MALFORMED,
                "segment '%s': '%.20s' is no cell: write scores 1 to 5 for R, F and M, such as 555 or [1-2][3-4]", name,
                start);
        }
        int code = take_cells(&changed, segment, scores, error);
        if (code) {
            return code;
        }
    }
    *segments = changed;
    return RFM_OK;
}

int rfm_segments_check(const rfm_segments *segments, rfm_error *error)
{
    for (int cell = 0; cell < 125; cell++) {
        int r = cell / 25, f = cell / 5 % 5, m = cell % 5;
        if (segments->cell[r][f][m] == RFM_SEGMENT_PROSPECT) {
            return rfm_fail(error, RFM_E_NOT_FOUND, "cell %d%d%d belongs to no segment: add it to one", r + 1, f + 1,
                            m + 1);
        }
        RFM_ASSERT(segments->cell[r][f][m] < segments->count);
    }
    return RFM_OK;
}
