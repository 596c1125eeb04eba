/* A purchase's items in expressions: the event's own, or those that were kept of it while a rule waits. Packed, where
 * they fit: currency, then for each sku, category, quantity, price. */
#ifndef RFM_RULE_ITEMS_H
#define RFM_RULE_ITEMS_H

#include <rfm/event/event.h>
#include <rfm/expr/expr.h>

enum { RFM_KEPT_ITEMS_MAX = 16 }; /* an item takes 7 bytes at least */

/* What items are while an expression reads them. */
typedef struct rfm_items {
    const rfm_money_conf *money;
    rfm_bytes currency;
    rfm_event_item kept[RFM_KEPT_ITEMS_MAX];
    rfm_expr_value values[RFM_EVENT_ITEMS_MAX];
} rfm_items;

extern const rfm_expr_type rfm__items_type;
/* The context of expressions over them must be `items`' own: rfm__items_context leads there. */
void rfm__items_of_event(rfm_items *items, const rfm_event *event, rfm_expr_value *list);
void rfm__items_keep(const rfm_event *event, rfm_buffer *kept);
/* False: unreadable. Any bytes are safe. */
bool rfm__items_of_kept(rfm_items *items, rfm_bytes kept, rfm_expr_value *list);
/* environment.c: where the context of an expression has them. */
const rfm_items *rfm__items_context(void *context);

#endif
