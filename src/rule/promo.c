#include "trigger.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

enum { PROMO_DIGITS = 10, MAC_BYTES = 32 };

static void write_crockford(rfm_buffer *buffer, const uint8_t mac[MAC_BYTES])
{
    static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    uint64_t bits = 0;
    for (size_t i = 0; i < 8; i++)
        bits = bits << 8 | mac[i];
    for (size_t i = 0; i < PROMO_DIGITS; i++)
        rfm_write_u8(buffer, (uint8_t)alphabet[bits >> (59 - 5 * i) & 31]);
}

void rfm_promo_code(const rfm_rules *rules, const rfm_decision *decision, rfm_bytes client_id, char code[64])
{
    uint8_t text[RFM_IDENTITY_BYTES_MAX], mac[MAC_BYTES];
    unsigned int mac_len = 0;
    rfm_buffer buffer = rfm_buffer_over(text, sizeof text);
    rfm__decision_identity(&buffer, decision, client_id);
    const uint8_t *made = HMAC(EVP_sha256(), rules->secret, (int)rules->secret_len, text, buffer.len, mac, &mac_len);
    RFM_ASSERT(made != NULL && mac_len == MAC_BYTES);
    buffer = rfm_buffer_over(code, 63);
    rfm_write_text(&buffer, decision->rule->promo.prefix);
    rfm_write_u8(&buffer, '-');
    write_crockford(&buffer, mac);
    code[buffer.len] = 0;
}
