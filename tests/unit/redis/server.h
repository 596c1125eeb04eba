/* A redis-server of a test's own: on a unix socket and a free port, in a folder that goes with it; it dies with the
 * test. */
#ifndef RFM_TESTS_REDIS_SERVER_H
#define RFM_TESTS_REDIS_SERVER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SERVER_ARGS_MAX = 24 };

typedef struct test_server {
    char folder[64], socket[96], config[96]; /* config: of a Sentinel; empty: none */
    int port;
    pid_t pid;
} test_server;

static inline int server__free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static inline redisContext *server_connect(const test_server *server)
{
    redisContext *connection = redisConnectUnix(server->socket);
    assert_non_null(connection);
    return connection;
}

static inline void server__run(const test_server *server, const char *const *args)
{
    char port[16];
    snprintf(port, sizeof port, "%d", server->port);
    const char *argv[SERVER_ARGS_MAX + 16] = {
        "redis-server",
        "--unixsocket",
        server->socket,
        "--dir",
        server->folder,
        "--port",
        port,
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--logfile",
        "redis.log",
        "--hash-max-ziplist-value",
        "4096",
    };
    size_t count = 15;
    if (server->config[0])
        execlp("redis-server", "redis-server", server->config, "--sentinel", (char *)NULL);
    for (; args && *args; args++) /* what comes later holds */
        argv[count++] = *args;
    execvp("redis-server", (char **)(uintptr_t)argv);
    _exit(127);
}

/* Starts it (again) over the same folder. Without redis-server the test fails. */
static inline void server_start(test_server *server, const char *const *args)
{
    server->pid = fork();
    if (server->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        server__run(server, args);
    }
    for (int i = 0; i < 500; i++) {
        int status;
        if (waitpid(server->pid, &status, WNOHANG) == server->pid)
            fail_msg("redis-server does not run (%d); see %s", status, server->folder);
        redisContext *connection = redisConnectUnix(server->socket);
        redisReply *reply = connection && !connection->err ? redisCommand(connection, "PING") : NULL;
        bool answers = reply && (reply->type != REDIS_REPLY_ERROR || strncmp(reply->str, "LOADING", 7) != 0);
        freeReplyObject(reply);
        redisFree(connection);
        if (answers)
            return;
        usleep(10000);
    }
    fail_msg("redis-server does not answer; see %s", server->folder);
}

static inline void server_init(test_server *server)
{
    signal(SIGPIPE, SIG_IGN);
    char folder[] = "/tmp/rfm-redis-XXXXXX";
    assert_non_null(mkdtemp(folder));
    snprintf(server->folder, sizeof server->folder, "%s", folder);
    snprintf(server->socket, sizeof server->socket, "%s/redis.sock", folder);
    server->port = server__free_port();
    server->config[0] = '\0';
    server->pid = 0;
}

/* To be started without arguments: watches the server at `port` under the name `master`, alone. */
static inline void server_init_sentinel(test_server *server, int port, const char *more)
{
    server_init(server);
    snprintf(server->config, sizeof server->config, "%s/sentinel.conf", server->folder);
    FILE *file = fopen(server->config, "w");
    assert_non_null(file);
    fprintf(file,
            "port %d\nbind 127.0.0.1\nunixsocket %s\ndir %s\nlogfile redis.log\n"
            "sentinel monitor master 127.0.0.1 %d 1\nsentinel down-after-milliseconds master 400\n"
            "sentinel failover-timeout master 3000\n%s",
            server->port, server->socket, server->folder, port, more);
    assert_int_equal(fclose(file), 0);
}

static inline void server_kill(test_server *server)
{
    if (server->pid > 0) {
        kill(server->pid, SIGKILL);
        waitpid(server->pid, NULL, 0);
    }
    server->pid = 0;
    unlink(server->socket);
}

static inline void server_release(test_server *server)
{
    char command[96];
    server_kill(server);
    snprintf(command, sizeof command, "rm -rf '%s'", server->folder);
    assert_int_equal(system(command), 0);
}

/* Until the reply to what may fail meanwhile has the words. */
static inline void server_wait(const test_server *server, const char *command, const char *words)
{
    for (int i = 0; i < 3000; i++) {
        redisContext *connection = redisConnectUnix(server->socket);
        redisReply *readonly = redisCommand(connection, "READONLY"); /* at a Cluster's replica; elsewhere an error */
        redisReply *reply = redisCommand(connection, command);
        bool has = reply && reply->type != REDIS_REPLY_ERROR && reply->str && strstr(reply->str, words);
        freeReplyObject(readonly);
        freeReplyObject(reply);
        redisFree(connection);
        if (has)
            return;
        usleep(10000);
    }
    fail_msg("%s: %s does not come to say %s", server->folder, command, words);
}

/* A command from somebody else; an error reply fails the test unless it may. */
static inline redisReply *server_ask(const test_server *server, const char *format, ...)
{
    va_list args;
    redisContext *connection = server_connect(server);
    assert_int_equal(connection->err, 0);
    va_start(args, format);
    redisReply *reply = redisvCommand(connection, format, args);
    va_end(args);
    assert_non_null(reply);
    redisFree(connection);
    return reply;
}

static inline void server_tell(const test_server *server, const char *format, ...)
{
    va_list args;
    redisContext *connection = server_connect(server);
    assert_int_equal(connection->err, 0);
    va_start(args, format);
    redisReply *reply = redisvCommand(connection, format, args);
    va_end(args);
    assert_non_null(reply);
    if (reply->type == REDIS_REPLY_ERROR)
        fail_msg("%s", reply->str);
    freeReplyObject(reply);
    redisFree(connection);
}

#endif
