/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens by which a process proves that the agent started it as an executor: SipHash-2-4 with 128
 * bits of output, over the executor's uuid, keyed with a secret of this agent's start. The dice
 * would not do: whoever sees enough of their numbers can tell the others. */
#include "agent/core/calls_internal.h"
#include "agent/core/executors_internal.h"

static uint64_t rotl(uint64_t x, int b)
{
    return x << b | x >> (64 - b);
}

static void sip_rounds(uint64_t v[4], int n)
{
    for (int i = 0; i < n; i++) {
        v[0] += v[1];
        v[1] = rotl(v[1], 13) ^ v[0];
        v[0] = rotl(v[0], 32);
        v[2] += v[3];
        v[3] = rotl(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = rotl(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = rotl(v[1], 17) ^ v[2];
        v[2] = rotl(v[2], 32);
    }
}

static void sip_word(uint64_t v[4], uint64_t m)
{
    v[3] ^= m;
    sip_rounds(v, 2);
    v[0] ^= m;
}

static uint64_t load_le(const uint8_t *p)
{
    uint64_t x = 0;

    for (int i = 7; i >= 0; i--) {
        x = x << 8 | p[i];
    }
    return x;
}

void ag_token_of(const uint64_t key[2], struct pf_uuid id, uint64_t out[2])
{
    uint64_t v[4] = {
        key[0] ^ 0x736f6d6570736575u,
        key[1] ^ 0x646f72616e646f6du ^ 0xee,
        key[0] ^ 0x6c7967656e657261u,
        key[1] ^ 0x7465646279746573u,
    };

    sip_word(v, load_le(id.b));
    sip_word(v, load_le(id.b + 8));
    sip_word(v, (uint64_t)sizeof id.b << 56);
    v[2] ^= 0xee;
    sip_rounds(v, 4);
    out[0] = v[0] ^ v[1] ^ v[2] ^ v[3];
    v[1] ^= 0xdd;
    sip_rounds(v, 4);
    out[1] = v[0] ^ v[1] ^ v[2] ^ v[3];
}

void ag_token_make(const struct pf_agent *a, struct pf_uuid executor, char out[AGENT_TOKEN_LEN + 1])
{
    static const char digits[] = "0123456789abcdef";
    uint64_t tag[2];

    ag_token_of(a->opt.token_key, executor, tag);
    for (int i = 0; i < AGENT_TOKEN_LEN; i++) {
        out[i] = digits[tag[i / 16] >> (i % 16 * 4) & 15];
    }
    out[AGENT_TOKEN_LEN] = '\0';
}

/* In a time that does not tell how much of it was right. */
bool ag_token_is(const char *token, struct pf_str said)
{
    unsigned char differs = 0;

    if (said.len != AGENT_TOKEN_LEN || strlen(token) != AGENT_TOKEN_LEN) {
        return false;
    }
    for (uint32_t i = 0; i < AGENT_TOKEN_LEN; i++) {
        differs = (unsigned char)(differs | (token[i] ^ said.at[i]));
    }
    return differs == 0;
}
