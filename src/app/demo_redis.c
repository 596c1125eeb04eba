#include "demo_redis.h"

#include <errno.h>
#include <fcntl.h>
#include <rfm/base/time.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { START_TIMEOUT_MS = 10000, STOP_TIMEOUT_MS = 2000, LOOK_MS = 10 };

static bool find_program(const char *name, char *found, size_t size)
{
    const char *path = getenv("PATH");
    char folders[4096], *save = NULL;
    snprintf(folders, sizeof folders, "%s", path != NULL ? path : "/usr/local/bin:/usr/bin");
    for (char *folder = strtok_r(folders, ":", &save); folder != NULL; folder = strtok_r(NULL, ":", &save)) {
        snprintf(found, size, "%s/%s", folder, name);
        if (access(found, X_OK) == 0)
            return true;
    }
    return false;
}

/* In the child: in a group of its own, so that a Ctrl-C for the demo is not one for Redis, which must outlive the
 * service. */
static _Noreturn void become(const char *program, const char *folder, const char *socket_path, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    char log[128];
    snprintf(log, sizeof log, "%s/redis.log", folder);
    int nothing = open("/dev/null", O_RDWR);
    int to = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(nothing, STDIN_FILENO);
    dup2(to, STDOUT_FILENO);
    dup2(to, STDERR_FILENO);
    execl(program, program, "--port", "0", "--unixsocket", socket_path, "--unixsocketperm", "700", "--save", "",
          "--appendonly", "no", "--maxmemory-policy", "noeviction", "--hash-max-ziplist-value", "4096",
          "--hash-max-ziplist-entries", "512", "--daemonize", "no", "--dir", folder, (char *)NULL);
    _exit(127);
}

static bool answers(const char *socket_path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char answer[8] = "";
    snprintf(address.sun_path, sizeof address.sun_path, "%s", socket_path);
    int connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool good = connection >= 0 && connect(connection, (struct sockaddr *)&address, sizeof address) == 0 &&
                send(connection, "PING\r\n", 6, MSG_NOSIGNAL) == 6 && read(connection, answer, sizeof answer - 1) > 0;
    if (connection >= 0)
        close(connection);
    return good && strncmp(answer, "+PONG", 5) == 0;
}

static void last_line_of_log(const char *folder, char *line, size_t size)
{
    char name[128], next[256];
    snprintf(name, sizeof name, "%s/redis.log", folder);
    snprintf(line, size, "no reason given");
    FILE *log = fopen(name, "r");
    if (log == NULL)
        return;
    while (fgets(next, sizeof next, log) != NULL) {
        next[strcspn(next, "\n")] = 0;
        if (next[0] != 0)
            snprintf(line, size, "%s", next);
    }
    fclose(log);
}

int rfm_demo_redis_start(rfm_demo_redis *redis, const char *folder, const char *socket_path, rfm_error *error)
{
    char program[4200], reason[256];
    if (!find_program("redis-server", program, sizeof program))
        return rfm_fail(error, RFM_E_NOT_FOUND,
                        "there is no redis-server in PATH, which the demo needs: install it (Debian, Ubuntu: "
                        "apt install redis-server; Fedora: dnf install redis) and try again");
    pid_t parent = getpid();
    redis->process = fork();
    if (redis->process < 0)
        return rfm_fail(error, RFM_E_IO, "fork: %s", strerror(errno));
    if (redis->process == 0)
        become(program, folder, socket_path, parent);
    int64_t until_ns = rfm_clock_steady_ns() + START_TIMEOUT_MS * INT64_C(1000000);
    while (!answers(socket_path)) {
        bool ended = waitpid(redis->process, NULL, WNOHANG) == redis->process;
        if (ended)
            redis->process = 0;
        if (ended || rfm_clock_steady_ns() > until_ns) {
            last_line_of_log(folder, reason, sizeof reason);
            return rfm_fail(error, RFM_E_IO, "%s %s: %s", program, ended ? "has ended" : "does not answer", reason);
        }
        rfm_sleep_ms(LOOK_MS);
    }
    return RFM_OK;
}

void rfm_demo_redis_stop(rfm_demo_redis *redis)
{
    if (redis->process == 0)
        return;
    kill(redis->process, SIGTERM);
    for (int waited_ms = 0; waitpid(redis->process, NULL, WNOHANG) == 0; waited_ms += LOOK_MS) {
        if (waited_ms == STOP_TIMEOUT_MS)
            kill(redis->process, SIGKILL);
        rfm_sleep_ms(LOOK_MS);
    }
    redis->process = 0;
}
