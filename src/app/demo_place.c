#include "demo_place.h"

#include "shipped.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <rfm/base/hash.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* A path within the folder. */
typedef struct path {
    char text[192];
} path;

static path path_in(const rfm_demo_place *place, const char *name)
{
    path made;
    snprintf(made.text, sizeof made.text, "%s/%s", place->folder, name);
    return made;
}

static int write_file(const rfm_demo_place *place, const char *name, const void *at, size_t len, rfm_error *error)
{
    path to = path_in(place, name);
    int file = open(to.text, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool good = file >= 0 && write(file, at, len) == (ssize_t)len;
    int code = errno;
    if (file >= 0)
        close(file);
    return good ? RFM_OK : rfm_fail(error, RFM_E_IO, "%s: %s", to.text, strerror(code));
}

static void make_folders(const rfm_demo_place *place, const char *name)
{
    for (const char *slash = strchr(name, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        char folder[128];
        snprintf(folder, sizeof folder, "%.*s", (int)(slash - name), name);
        mkdir(path_in(place, folder).text, 0700); /* if it fails, so does the file */
    }
}

static int write_shipped(const rfm_demo_place *place, rfm_error *error)
{
    for (size_t i = 0; i < rfm_shipped_file_count; i++) {
        const rfm_shipped_file *file = &rfm_shipped_files[i];
        make_folders(place, file->name);
        int code = write_file(place, file->name, file->at, file->len, error);
        if (code != RFM_OK)
            return code;
    }
    return RFM_OK;
}

static int write_secret(const rfm_demo_place *place, rfm_error *error)
{
    uint8_t random[32];
    char secret[2 * sizeof random + 1];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return rfm_fail(error, RFM_E_IO, "getrandom: %s", strerror(errno));
    rfm_hex(random, sizeof random, secret);
    return write_file(place, "promo-secret", secret, sizeof secret - 1, error);
}

/* The socket's path must fit into a sockaddr_un, so a long TMPDIR is left aside. */
static int make_folder(rfm_demo_place *place, rfm_error *error)
{
    const char *parent = getenv("TMPDIR");
    if (parent == NULL || *parent == 0 || strlen(parent) > 40)
        parent = "/tmp";
    snprintf(place->folder, sizeof place->folder, "%s/rfmd-demo-XXXXXX", parent);
    if (mkdtemp(place->folder) == NULL)
        return rfm_fail(error, RFM_E_IO, "%s: %s", place->folder, strerror(errno));
    snprintf(place->config_path, sizeof place->config_path, "%s/demo.yaml", place->folder);
    snprintf(place->socket_path, sizeof place->socket_path, "%s/redis.sock", place->folder);
    return RFM_OK;
}

int rfm_demo_place_make(rfm_demo_place *place, rfm_error *error)
{
    int code = make_folder(place, error);
    if (code == RFM_OK)
        code = write_shipped(place, error);
    if (code == RFM_OK)
        code = write_secret(place, error);
    return code;
}

static int remove_one(const char *name, const struct stat *stat, int type, struct FTW *where)
{
    (void)stat, (void)type, (void)where;
    remove(name);
    return 0;
}

void rfm_demo_place_remove(const rfm_demo_place *place)
{
    if (place->folder[0] != 0)
        nftw(place->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static int load(const char *name, char *const *environment, rfm_config **config, rfm_error *error)
{
    rfm_config_errors errors;
    rfm_buffer text;
    rfm_config_errors_init(&errors);
    rfm_buffer_init(&text, 1 << 20);
    int code = rfm_config_load(name, environment, config, &errors);
    if (code != RFM_OK) {
        rfm_config_errors_write(&errors, &text);
        rfm_fail(error, code, "%.*s", (int)text.len, (const char *)text.at);
    }
    rfm_buffer_release(&text);
    rfm_config_errors_release(&errors);
    return code;
}

int rfm_demo_place_configure(const rfm_demo_place *place, const char *brokers, uint16_t http_port, rfm_error *error)
{
    char variables[8][512];
    char *environment[] = {variables[0], variables[1], variables[2], variables[3], variables[4],
                           variables[5], variables[6], variables[7], NULL};
    const char *folder = place->folder;
    size_t size = sizeof variables[0];
    snprintf(variables[0], size, "RFMD_KAFKA__BROKERS=%s", brokers);
    snprintf(variables[1], size, "RFMD_KAFKA__GROUP=rfmd-demo");
    snprintf(variables[2], size, "RFMD_REDIS__URL=unix://%s", place->socket_path);
    snprintf(
        variables[3], size,
        "RFMD_RULES=[%s/rules/welcome.yaml, %s/rules/thank_you.yaml, %s/rules/win_back.yaml, %s/rules/review_request.yaml]",
        folder, folder, folder, folder);
    snprintf(variables[4], size, "RFMD_PROMO__SECRET_FILE=%s/promo-secret", folder);
    snprintf(variables[5], size, "RFMD_HTTP__LISTEN=127.0.0.1:%u", http_port);
    snprintf(variables[6], size, "RFMD_LOG__LEVEL=warn");
    snprintf(
        variables[7], size,
        "RFMD_KAFKA__CONSUMER={fetch.wait.max.ms: 10}"); /* the mock does not cut a wait short when a record comes */
    rfm_config *config = NULL;
    rfm_buffer yaml;
    rfm_buffer_init(&yaml, 1 << 20);
    int code = load(path_in(place, "rfmd.yaml").text, environment, &config, error);
    if (code == RFM_OK) {
        rfm_config_print(config, &yaml);
        code = write_file(place, "demo.yaml", yaml.at, yaml.len, error);
    }
    rfm_config_free(config);
    rfm_buffer_release(&yaml);
    return code;
}

int rfm_demo_place_load(const rfm_demo_place *place, rfm_config **config, rfm_error *error)
{
    return load(place->config_path, NULL, config, error);
}
