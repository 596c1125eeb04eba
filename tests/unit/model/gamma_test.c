#include <rfm/model/gamma.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* In 40 digits (mpmath). */
static void values_in_forty_digits(void **state)
{
    (void)state;
    static const struct {
        double x, psi;
    } rows[] = {
        {1e-8, -100000000.57721565},
        {0.001, -1000.5755719318103},
        {0.5, -1.9635100260214235},
        {1, -0.57721566490153286},
        {1.4616321449683622, -1.3669595495722517e-16},
        {2, 0.42278433509846714},
        {6.25, 1.750453526883736},
        {9.99, 2.2507003728312011},
        {10, 2.2517525890667211},
        {100.5, 4.6051743525818452},
        {1e6, 13.815510057964191},
        {1e15, 34.538776394910685},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_true(fabs(rfm_digamma(rows[i].x) - rows[i].psi) <= 1e-14 * fmax(1, fabs(rows[i].psi)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(values_in_forty_digits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
