/* A redis-server for the demo alone: behind a socket in its folder, nothing kept on disk, ended with the demo, also if
 * that is killed. */
#ifndef RFM_APP_DEMO_REDIS_H
#define RFM_APP_DEMO_REDIS_H

#include <rfm/base/error.h>

#include <sys/types.h>

typedef struct rfm_demo_redis {
    pid_t process; /* 0: none */
} rfm_demo_redis;

/* Waits until it answers. RFM_E_NOT_FOUND: no redis-server in PATH; RFM_E_IO. */
int rfm_demo_redis_start(rfm_demo_redis *redis, const char *folder, const char *socket_path, rfm_error *error);
void rfm_demo_redis_stop(rfm_demo_redis *redis);

#endif
