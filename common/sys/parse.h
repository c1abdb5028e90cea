/* SPDX-License-Identifier: Apache-2.0 */
/* Values as people write them, in both directions. Parsers leave the output untouched on failure;
 * errors say what is wrong and what would be right. */
#ifndef PF_COMMON_SYS_PARSE_H
#define PF_COMMON_SYS_PARSE_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/compiler.h"
#include "common/base/err.h"
#include "common/base/str.h"

#define PF_HOST_MAX            253 /* bytes of a host name */
#define PF_FORMAT_BYTES_MAX    16
#define PF_FORMAT_DURATION_MAX 32
#define PF_FORMAT_TIME_MAX     32
#define PF_FORMAT_HOSTPORT_MAX (PF_HOST_MAX + 9)

/* Digits only. */
PF_MUST_USE int pf_parse_u64(struct pf_str text, uint64_t *out, struct pf_err *err);
/* Digits with an optional sign. */
PF_MUST_USE int pf_parse_i64(struct pf_str text, int64_t *out, struct pf_err *err);
/* "true yes on 1" and "false no off 0", any case. */
PF_MUST_USE int pf_parse_bool(struct pf_str text, bool *out, struct pf_err *err);
/* "256M", "1.5G", "64KiB", "1000": K, M, G, T, P are powers of 2^10, with or without B or iB. */
PF_MUST_USE int pf_parse_size(struct pf_str text, int64_t *out_bytes, struct pf_err *err);
/* "5s", "1.5h", "250ms", "1h30m", "2days": us ms s m h d w, also Mesos's long forms (secs, mins,
 * hrs, days, weeks). A plain number is seconds. Rounded to milliseconds. */
PF_MUST_USE int pf_parse_duration_ms(struct pf_str text, int64_t *out_ms, struct pf_err *err);

struct pf_hostport {
    char host[PF_HOST_MAX + 1]; /* empty: all addresses (or this machine); IPv6 without brackets */
    uint16_t port;
};

/* "host:port", "[::1]:5050", ":5050"; "host" and "[::1]" too if default_port is not 0. */
PF_MUST_USE int pf_parse_hostport(struct pf_str text, uint16_t default_port,
                                  struct pf_hostport *out, struct pf_err *err);
/* The text that pf_parse_hostport reads. */
void pf_format_hostport(const struct pf_hostport *hp, char out[PF_FORMAT_HOSTPORT_MAX]);

/* "0B", "512B", "1.5K", "256M": at most three digits before the point, one behind it. */
void pf_format_bytes(uint64_t bytes, char out[PF_FORMAT_BYTES_MAX]);
/* "0s", "250ms", "1.5s", "5m30s", "2h5m", "3d4h": the two largest units. */
void pf_format_duration(int64_t ms, char out[PF_FORMAT_DURATION_MAX]);
/* RFC 3339 in UTC with milliseconds: "2025-11-21T06:15:00.123Z". */
void pf_format_time(int64_t wall_ms, char out[PF_FORMAT_TIME_MAX]);
/* RFC 3339 with or without a fraction, 'Z' or a numeric offset. */
PF_MUST_USE int pf_parse_time(struct pf_str text, int64_t *out_wall_ms, struct pf_err *err);

#endif
