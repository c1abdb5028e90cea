/* SPDX-License-Identifier: Apache-2.0 */
/* Measured times: their distribution as figures and as a picture in text. Pure. */
#ifndef PF_FRAMEWORK_CLI_DRILL_STATS_H
#define PF_FRAMEWORK_CLI_DRILL_STATS_H

#include <stdint.h>
#include "common/base/buf.h"

/* All zero = empty. */
struct pf_samples {
    int64_t *at_us;
    uint32_t n, cap;
};

void pf_samples_fini(struct pf_samples *s);
void pf_samples_add(struct pf_samples *s, int64_t us);
/* The value that so many thousandths of the samples do not exceed (nearest rank); 0: the smallest,
 * 1000: the largest. There must be samples. */
int64_t pf_samples_at(const struct pf_samples *s, uint32_t permille);
/* Lines "10 - 20 ms  ######  12", steps of 1, 2 and 5, from the first that has any to the last. */
void pf_samples_histogram(const struct pf_samples *s, struct pf_buf *out);
/* "0.4ms", "12.3ms", "1.52s": three digits or so. */
void pf_samples_show(int64_t us, struct pf_buf *out);

#endif
