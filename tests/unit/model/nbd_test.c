#include <rfm/model/nbd.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const rfm_nbd BG_CDNOW = {RFM_NBD_BG, .242593, 4.41352, .792905, 2.42581};
static const rfm_nbd MBG_CDNOW = {RFM_NBD_MBG, .52484, 6.1831, .89135, 1.61399};

static void published_points(void **state)
{
    (void)state;
    static const rfm_nbd bg = {RFM_NBD_BG, .25, 4, .8, 2.5};
    assert_true(fabs(rfm_nbd_log_likelihood(&bg, 0, 0, 40, NULL) + .59947382) < 1e-8);
    assert_true(fabs(rfm_nbd_log_likelihood(&bg, 200, 38, 40, NULL) - 100.7957) < 5e-5);
    assert_true(fabs(rfm_nbd_p_alive(&BG_CDNOW, 2, 30.43, 38.86) - .72660768) < 1e-8);
    assert_true(fabs(rfm_nbd_p_alive(&MBG_CDNOW, 2, 30.43, 38.86) - .70612735) < 1e-8);
    assert_true(fabs(rfm_nbd_expected(&BG_CDNOW, 2, 30.43, 38.86, 39) - 1.226) < 5e-4);
    assert_true(rfm_nbd_p_alive(&BG_CDNOW, 0, 0, 1000) == 1);
}

/* From the formulas in 40 digits (mpmath): MBG, BG. */
static void likelihoods_in_forty_digits(void **state)
{
    (void)state;
    static const struct {
        rfm_nbd nbd;
        double x, t_x, age, mbg, bg;
    } rows[] = {
        {{0, .52484, 6.1831, .89135, 1.61399}, 0, 0, 38, -0.53565405858042101, -1.0321097209655396},
        {{0, .52484, 6.1831, .89135, 1.61399}, 2, 30, 38, -9.4426838835917767, -9.1170328263426301},
        {{0, .25, 4, .8, 2.5}, 200, 38, 40, 100.78690976099133, 100.79569309270645},
        {{0, .25, 4, .8, 2.5}, 3, 1, 400, -7.9471222710642187, -7.6106508247964937},
        {{0, .25, 4, .8, 2.5}, 100000, 90000, 100000, -89494.389469999189, -89494.389451999621},
        {{0, 20, 3, 100, 0.05}, 7, 50, 52, -92.087320849927442, -89.217674945295151},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rfm_nbd nbd = rows[i].nbd;
        double scale = fmax(1, fabs(rows[i].mbg));
        nbd.kind = RFM_NBD_MBG;
        assert_true(fabs(rfm_nbd_log_likelihood(&nbd, rows[i].x, rows[i].t_x, rows[i].age, NULL) - rows[i].mbg) <
                    1e-9 * scale);
        nbd.kind = RFM_NBD_BG;
        assert_true(fabs(rfm_nbd_log_likelihood(&nbd, rows[i].x, rows[i].t_x, rows[i].age, NULL) - rows[i].bg) <
                    1e-9 * scale);
    }
}

static double moved(rfm_nbd nbd, const double history[3], size_t parameter, double factor)
{
    double *of[] = {&nbd.r, &nbd.alpha, &nbd.a, &nbd.b};
    *of[parameter] *= factor;
    return rfm_nbd_log_likelihood(&nbd, history[0], history[1], history[2], NULL);
}

static void gradients_are_those_of_the_likelihood(void **state)
{
    (void)state;
    static const double histories[][3] = {{0, 0, 0},   {0, 0, 39},    {1, 1, 39},     {2, 30, 38.5},
                                          {9, 20, 39}, {300, 38, 39}, {40, 10, 2000}, {1500, 700, 701}};
    static const rfm_nbd *const models[] = {&BG_CDNOW, &MBG_CDNOW};
    for (size_t i = 0; i < 16; i++) {
        const rfm_nbd *nbd = models[i % 2];
        const double *history = histories[i / 2], h = 1e-5;
        double parameter[] = {nbd->r, nbd->alpha, nbd->a, nbd->b}, gradient[4];
        rfm_nbd_log_likelihood(nbd, history[0], history[1], history[2], gradient);
        for (size_t j = 0; j < 4; j++) {
            double slope = (moved(*nbd, history, j, 1 + h) - moved(*nbd, history, j, 1 - h)) / (2 * h * parameter[j]);
            assert_true(fabs(gradient[j] - slope) <= 1e-5 * fmax(1, fabs(slope)));
        }
    }
}

/* With BG a client of no repeat purchase buys as a living one does: the unconditional expectation of its paper,
 * a + b - 1 over a - 1 times the bracket, here in 40 digits (mpmath). */
static void expectation_of_a_new_client(void **state)
{
    (void)state;
    assert_true(fabs(rfm_nbd_expected(&BG_CDNOW, 0, 0, 0, 39) - 1.1950150998702153) < 1e-9);
    assert_true(fabs(rfm_nbd_expected(&MBG_CDNOW, 2, 30.43, 38.86, 39) - 1.2626721813631963) < 1e-9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_points),
        cmocka_unit_test(likelihoods_in_forty_digits),
        cmocka_unit_test(gradients_are_those_of_the_likelihood),
        cmocka_unit_test(expectation_of_a_new_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
