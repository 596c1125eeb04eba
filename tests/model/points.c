/* The purchase models at points from standard input, for tests in other languages. A line is
 *     KIND r alpha a b x t_x age t
 * with KIND mbg or bg and times in one unit; its answer is a line: P(alive), expected purchases in t,
 * log-likelihood. */
#include <rfm/model/nbd.h>

#include <stdio.h>
#include <string.h>

int main(void)
{
    char kind[8];
    double x, t_x, age, t;
    rfm_nbd nbd;
    while (scanf("%7s %lf %lf %lf %lf %lf %lf %lf %lf", kind, &nbd.r, &nbd.alpha, &nbd.a, &nbd.b, &x, &t_x, &age, &t) ==
           9) {
        nbd.kind = strcmp(kind, "bg") == 0 ? RFM_NBD_BG : RFM_NBD_MBG;
        printf("%.17g %.17g %.17g\n", rfm_nbd_p_alive(&nbd, x, t_x, age), rfm_nbd_expected(&nbd, x, t_x, age, t),
               rfm_nbd_log_likelihood(&nbd, x, t_x, age, NULL));
    }
    return feof(stdin) ? 0 : 1;
}
