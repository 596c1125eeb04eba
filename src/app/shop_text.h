/* The shop's events as native JSON. Nothing in them needs escaping: names are made of letters, digits and dashes. */
#ifndef RFM_APP_SHOP_TEXT_H
#define RFM_APP_SHOP_TEXT_H

#include "basket.h"
#include "chance.h"

#include <rfm/event/event.h>

enum { RFM__SHOP_TAG_LEN = 6, RFM__SHOP_CLIENT_MAX = 16, RFM__SHOP_EVENT_MAX = 1536 };

/* What all events have. */
typedef struct rfm__head {
    rfm_event_type type;
    const char *tag; /* of the shop: its ids are its own */
    uint64_t number; /* of the event */
    uint32_t client;
    int64_t time_ms;
} rfm__head;

rfm_bytes rfm__shop_client_id(uint32_t client, uint8_t text[RFM__SHOP_CLIENT_MAX]);

/* Each begins the text anew. `order` is the client's how-manieth. Texts may be NULL: left out. */
void rfm__shop_write_purchase(rfm_buffer *text, const rfm__head *head, uint32_t order, const rfm_basket *basket,
                              const char *channel, const char *campaign);
void rfm__shop_write_refund(rfm_buffer *text, const rfm__head *head, uint32_t order,
                            int64_t amount_minor); /* < 0: all */
typedef struct rfm__visit {
    const char *action, *channel, *campaign;
    const rfm_item *item; /* NULL: none */
    bool cart;            /* that of the client's next order */
    uint32_t order;
} rfm__visit;
void rfm__shop_write_visit(rfm_buffer *text, const rfm__head *head, const rfm__visit *visit);
void rfm__shop_write_message(rfm_buffer *text, const rfm__head *head, const char *status, const char *channel,
                             uint32_t campaign, bool permanent);
void rfm__shop_write_consent(rfm_buffer *text, const rfm__head *head, const char *channel, bool granted);
/* These draw what they say from `chance`. */
void rfm__shop_write_profile(rfm_buffer *text, const rfm__head *head, rfm_chance *chance);
void rfm__shop_write_cost(rfm_buffer *text, const rfm__head *head, rfm_chance *chance);
void rfm__shop_write_feedback(rfm_buffer *text, const rfm__head *head, uint32_t order, rfm_feedback_kind kind,
                              rfm_chance *chance);
void rfm__shop_write_points(rfm_buffer *text, const rfm__head *head, int64_t delta);
void rfm__shop_write_erase(rfm_buffer *text, const rfm__head *head);

#endif
