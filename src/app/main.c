#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "version") == 0) {
        printf("rfmd %s\n", RFM_VERSION);
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        printf("Usage: rfmd version\n");
        return 0;
    }
    fprintf(stderr, "rfmd: unknown command; see rfmd --help\n");
    return 2;
}
