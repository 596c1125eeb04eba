/* Runs a fuzzer's function once over every file of the folders named on the command line: where there is no
 * libFuzzer, the corpus is still a test. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return -1;
    uint8_t *data = NULL;
    size_t size = 0;
    int result = -1;
    if (fseek(file, 0, SEEK_END) == 0 && ftell(file) >= 0) {
        size = (size_t)ftell(file);
        rewind(file);
        data = malloc(size > 0 ? size : 1);
        if (data != NULL && fread(data, 1, size, file) == size)
            result = LLVMFuzzerTestOneInput(data, size);
    }
    free(data);
    fclose(file);
    return result;
}

static int run_folder(const char *folder)
{
    DIR *entries = opendir(folder);
    if (entries == NULL) {
        printf("%s: no corpus\n", folder);
        return 0;
    }
    int files = 0;
    int failed = 0;
    for (struct dirent *entry = readdir(entries); entry != NULL; entry = readdir(entries)) {
        char path[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        files++;
        if (run_file(path) < 0) {
            fprintf(stderr, "%s: cannot be read\n", path);
            failed = 1;
        }
    }
    closedir(entries);
    printf("%s: %d files\n", folder, files);
    return failed;
}

int main(int argc, char **argv)
{
    int failed = 0;
    for (int i = 1; i < argc; i++)
        failed |= run_folder(argv[i]);
    return failed;
}
