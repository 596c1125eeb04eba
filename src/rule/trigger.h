/* What a trigger's identity is made of. */
#ifndef RFM_RULE_TRIGGER_H
#define RFM_RULE_TRIGGER_H

#include <rfm/rule/decide.h>

enum { RFM_IDENTITY_BYTES_MAX = RFM_RULE_NAME_MAX + RFM_CLIENT_ID_MAX + RFM_CAUSE_BYTES_MAX + 2 };

/* rule 0x1F client_id 0x1F cause: hashed to the id, signed to the promo code. */
void rfm__decision_identity(rfm_buffer *identity, const rfm_decision *decision, rfm_bytes client_id);
void rfm__trigger_id(rfm_bytes rule, rfm_bytes client_id, rfm_bytes cause, uint8_t id[16]);
/* "<type> 0x1F <event id>", or "due:<moment in ms>" for a timer. */
size_t rfm__cause_text(uint8_t code, int64_t time_ms, rfm_bytes id, char text[RFM_CAUSE_BYTES_MAX]);

#endif
