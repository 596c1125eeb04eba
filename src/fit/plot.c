#include "report.h"

#include <math.h>
#include <stdio.h>

/* The square of the axes within the picture, in pixels. */
enum { LEFT = 70, TOP = 50, SIDE = 400, WIDTH = 680, HEIGHT = 530, LEGEND = LEFT + SIDE + 30, TICKS = 5 };

struct series {
    const char *name, *colour;
    const rfm_decile *decile;
};

static double x_of(double chance, double most)
{
    return LEFT + SIDE * chance / most;
}

static double y_of(double share, double most)
{
    return TOP + SIDE * (1 - share / most);
}

/* The axes end at the next fifth above everything that is shown. */
static double most_of(const struct series *series, size_t count)
{
    double most = .1;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < RFM_DECILES; j++)
            most = fmax(most, fmax(series[i].decile[j].predicted, series[i].decile[j].observed));
    return fmin(1, ceil(most * 5 - 1e-9) / 5);
}

static void draw_axes(rfm_buffer *svg, double most)
{
    rfm_write_format(svg, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"none\" stroke=\"#333\"/>\n", LEFT,
                     TOP, SIDE, SIDE);
    for (int i = 0; i <= TICKS; i++) {
        double at = most * i / TICKS;
        rfm_write_format(svg,
                         "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/>\n"
                         "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%g</text>\n"
                         "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n",
                         LEFT, LEFT + SIDE, y_of(at, most), y_of(at, most), x_of(at, most), TOP + SIDE + 18, at,
                         LEFT - 8, y_of(at, most) + 4, at);
    }
    rfm_write_format(
        svg,
        "<line x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\" stroke=\"#999\" stroke-dasharray=\"5 4\"/>\n"
        "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">predicted chance to buy, mean of the decile</text>\n"
        "<text transform=\"translate(20 %d) rotate(-90)\" text-anchor=\"middle\">share that bought</text>\n",
        LEFT, TOP + SIDE, LEFT + SIDE, TOP, LEFT + SIDE / 2, TOP + SIDE + 45, TOP + SIDE / 2);
}

static void draw_series(rfm_buffer *svg, const struct series *series, size_t place, double most)
{
    rfm_write_format(svg, "<g fill=\"%s\" stroke=\"%s\">\n<polyline fill=\"none\" points=\"", series->colour,
                     series->colour);
    for (size_t i = 0; i < RFM_DECILES; i++)
        if (series->decile[i].clients > 0)
            rfm_write_format(svg, "%.1f,%.1f ", x_of(series->decile[i].predicted, most),
                             y_of(series->decile[i].observed, most));
    rfm_write_text(svg, "\"/>\n");
    for (size_t i = 0; i < RFM_DECILES; i++)
        if (series->decile[i].clients > 0)
            rfm_write_format(svg,
                             "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\"><title>%s, decile %zu: %llu clients, predicted "
                             "%.4f, observed %.4f</title></circle>\n",
                             x_of(series->decile[i].predicted, most), y_of(series->decile[i].observed, most),
                             series->name, i + 1, (unsigned long long)series->decile[i].clients,
                             series->decile[i].predicted, series->decile[i].observed);
    int y = TOP + 20 + 24 * (int)place;
    rfm_write_format(svg, "<circle cx=\"%d\" cy=\"%d\" r=\"5\"/>\n</g>\n<text x=\"%d\" y=\"%d\">%s</text>\n", LEGEND, y,
                     LEGEND + 14, y + 4, series->name);
}

void rfm_study_plot(const rfm_study *study, rfm_buffer *svg)
{
    const rfm_cap_trial *chosen = &study->trial[study->chosen], *plain = rfm_study_plain(study);
    char name[40];
    snprintf(name, sizeof name, "evidence cap %g", chosen->cap);
    struct series series[3] = {{"plain model", "#7570b3", plain->quality.decile}};
    size_t count = 1;
    if (chosen != plain)
        series[count++] = (struct series){name, "#1b9e77", chosen->quality.decile};
    if (study->has_recency)
        series[count++] = (struct series){"recency alone", "#d95f02", study->recency.decile};
    double most = most_of(series, count);
    rfm_write_format(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" "
        "font-size=\"13\" role=\"img\">\n<title>Calibration</title>\n"
        "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n"
        "<text x=\"%d\" y=\"30\" font-size=\"16\">Who bought within %d days: predicted and observed</text>\n",
        WIDTH, HEIGHT, WIDTH, HEIGHT, LEFT, (int)study->conf.holdout_days);
    draw_axes(svg, most);
    for (size_t i = 0; i < count; i++)
        draw_series(svg, &series[i], i, most);
    rfm_write_text(svg, "</svg>\n");
}
