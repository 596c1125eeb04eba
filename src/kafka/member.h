/* The worker as a member of the group. It fetches nothing: the partitions that the group gives it are told to the
 * owner, and librdkafka gets an empty assignment. So membership and positions have nothing to do with each other. */
#ifndef RFM_KAFKA_MEMBER_H
#define RFM_KAFKA_MEMBER_H

#include "client.h"
#include "group.h"
#include "offsets.h"

typedef struct rfm__member rfm__member;
typedef struct rfm__member_owner {
    void *self;
    /* Tasks in rising order; may be none. `group` is the owner's. */
    void (*assigned)(void *self, const uint32_t *tasks, size_t count, rfm_group *group);
    /* All of the assignment; `lost`: it is somebody else's already. Answered by rfm__member_give_up, at once or
     * later. */
    void (*revoked)(void *self, bool lost);
    void (*failed)(void *self, const rfm_error *error);
    void (*left)(void *self); /* after rfm__member_leave */
} rfm__member_owner;

int rfm__member_new(const rfm_kafka_conf *conf, const rfm__member_owner *owner, rfm__wake *wake, rfm__member **member,
                    rfm_error *error);
void rfm__member_free(rfm__member *member);
/* Takes what has come; must be called at least every few seconds, or the group thinks that we are stuck. */
void rfm__member_serve(rfm__member *member);
void rfm__member_give_up(rfm__member *member);
bool rfm__member_is_lost(const rfm__member *member); /* while revoked */
void rfm__member_leave(rfm__member *member);         /* `revoked` if there is something, then `left` */
rd_kafka_t *rfm__member_client(rfm__member *member);
rfm__asker *rfm__member_asker(rfm__member *member);

#endif
