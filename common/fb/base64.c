/* SPDX-License-Identifier: Apache-2.0 */
/* Base64. */
#include "common/fb/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void pf_base64_encode(struct pf_buf *out, struct pf_bytes bytes)
{
    char text[1024];
    uint32_t n = 0;
    for (uint32_t i = 0; i < bytes.len; i += 3) {
        uint32_t left = bytes.len - i;
        uint32_t v = (uint32_t)bytes.at[i] << 16;
        v |= left > 1 ? (uint32_t)bytes.at[i + 1] << 8 : 0;
        v |= left > 2 ? bytes.at[i + 2] : 0;
        text[n++] = alphabet[v >> 18];
        text[n++] = alphabet[(v >> 12) & 63];
        text[n++] = '=';
        text[n++] = '=';
        if (left > 1) {
            text[n - 2] = alphabet[(v >> 6) & 63];
        }
        if (left > 2) {
            text[n - 1] = alphabet[v & 63];
        }
        if (n == sizeof text) {
            pf_buf_add(out, text, n);
            n = 0;
        }
    }
    pf_buf_add(out, text, n);
}

/* 0-63, or 64 for what is not in the alphabet. */
static uint32_t digit(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return (uint32_t)(c - 'A');
    }
    if (c >= 'a' && c <= 'z') {
        return (uint32_t)(c - 'a') + 26;
    }
    if (c >= '0' && c <= '9') {
        return (uint32_t)(c - '0') + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : 64;
}

/* The length without padding; false where there is too much or too little of it. */
static bool digits_len(struct pf_str text, uint32_t *out)
{
    uint32_t n = text.len;
    while (n > 0 && text.len - n < 2 && text.at[n - 1] == '=') {
        n--;
    }
    *out = n;
    return n % 4 != 1 && (n == text.len || text.len % 4 == 0);
}

bool pf_base64_decoded_len(struct pf_str text, uint32_t *out_len)
{
    uint32_t n;
    if (!digits_len(text, &n)) {
        return false;
    }
    *out_len = n / 4 * 3 + (n % 4 != 0 ? n % 4 - 1 : 0);
    return true;
}

bool pf_base64_decode(struct pf_str text, uint8_t *out)
{
    uint32_t n;
    if (!digits_len(text, &n)) {
        return false;
    }
    uint32_t bits = 0, n_bits = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t d = digit(text.at[i]);
        if (d > 63) {
            return false;
        }
        bits = bits << 6 | d;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            *out++ = (uint8_t)(bits >> n_bits);
        }
    }
    return true;
}
