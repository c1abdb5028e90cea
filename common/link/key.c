/* SPDX-License-Identifier: Apache-2.0 */
/* HMAC-SHA256, its comparison and its texts, on OpenSSL 3's interface. */
#include "common/link/key.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <string.h>

_Static_assert(sizeof(struct pf_key) == PF_KEY_BYTES, "a key is its bytes");

static const char hex_digits[] = "0123456789abcdef";

static void hex_of(const uint8_t *p, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = hex_digits[p[i] >> 4];
        out[2 * i + 1] = hex_digits[p[i] & 15];
    }
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

/* A failure inside libcrypto (no memory, no HMAC provider) leaves nothing sensible to do. */
void pf_key_mac(const struct pf_key *key, const struct pf_bytes *part, size_t n_parts,
                uint8_t out[PF_MAC_BYTES])
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                           OSSL_PARAM_construct_end()};
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    PF_ASSERT(mac != NULL);
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);
    PF_ASSERT(ctx != NULL);
    int ok = EVP_MAC_init(ctx, key->b, sizeof key->b, params);
    for (size_t i = 0; ok == 1 && i < n_parts; i++) {
        ok = part[i].len == 0 ? 1 : EVP_MAC_update(ctx, part[i].at, part[i].len);
    }
    size_t len = 0;
    if (ok == 1) {
        ok = EVP_MAC_final(ctx, out, &len, PF_MAC_BYTES);
    }
    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(mac);
    PF_ASSERT(ok == 1);
    PF_ASSERT(len == PF_MAC_BYTES);
}

bool pf_key_mac_eq(struct pf_bytes a, struct pf_bytes b)
{
    return a.at != NULL && b.at != NULL && a.len == b.len && CRYPTO_memcmp(a.at, b.at, a.len) == 0;
}

void pf_key_token(const struct pf_key *key, char out[PF_KEY_TOKEN_BYTES])
{
    static const uint8_t purpose[] = {'h', 't', 't', 'p'};
    struct pf_bytes part = {purpose, sizeof purpose};
    uint8_t mac[PF_MAC_BYTES];
    pf_key_mac(key, &part, 1, mac);
    hex_of(mac, sizeof mac, out);
    out[2 * PF_MAC_BYTES] = '\0';
}

bool pf_key_token_ok(const struct pf_key *key, struct pf_str authorization)
{
    static const char scheme[] = "bearer ";
    const uint32_t scheme_len = sizeof scheme - 1;
    if (authorization.at == NULL || authorization.len < scheme_len) {
        return false;
    }
    for (uint32_t i = 0; i < scheme_len; i++) {
        char c = authorization.at[i];
        if ((c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c) != scheme[i]) {
            return false;
        }
    }
    char token[PF_KEY_TOKEN_BYTES];
    pf_key_token(key, token);
    bool ok = pf_key_mac_eq(
        (struct pf_bytes){(const uint8_t *)authorization.at + scheme_len,
                          authorization.len - scheme_len},
        (struct pf_bytes){(const uint8_t *)token, PF_KEY_TOKEN_BYTES - 1});
    OPENSSL_cleanse(token, sizeof token);
    return ok;
}

int pf_key_parse(struct pf_bytes text, struct pf_key *out, struct pf_err *err)
{
    struct pf_key key;
    if (text.len == PF_KEY_BYTES) {
        memcpy(out->b, text.at, PF_KEY_BYTES);
        return 0;
    }
    if (text.len == 2 * PF_KEY_BYTES + 1 && text.at[text.len - 1] == '\n') {
        text.len--;
    }
    if (text.len != 2 * PF_KEY_BYTES) {
        return pf_err_set(err, PF_EINVAL, "a key is %d bytes or %d hex digits, not %u bytes",
                          PF_KEY_BYTES, 2 * PF_KEY_BYTES, text.len);
    }
    for (uint32_t i = 0; i < PF_KEY_BYTES; i++) {
        int high = hex_value(text.at[2 * i]);
        int low = hex_value(text.at[2 * i + 1]);
        if (high < 0 || low < 0) {
            pf_key_wipe(&key);
            return pf_err_set(err, PF_EINVAL, "a key of %d bytes has hex digits only", text.len);
        }
        key.b[i] = (uint8_t)(high << 4 | low);
    }
    *out = key;
    pf_key_wipe(&key);
    return 0;
}

void pf_key_format(const struct pf_key *key, char out[2 * PF_KEY_BYTES + 2])
{
    hex_of(key->b, sizeof key->b, out);
    out[2 * PF_KEY_BYTES] = '\n';
    out[2 * PF_KEY_BYTES + 1] = '\0';
}

void pf_key_wipe(struct pf_key *key)
{
    OPENSSL_cleanse(key->b, sizeof key->b);
}
