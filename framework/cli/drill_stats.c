/* SPDX-License-Identifier: Apache-2.0 */
/* See drill_stats.h. */
#include "framework/cli/drill_stats.h"

#include <inttypes.h>
#include <stdlib.h>
#include "common/base/alloc.h"

enum { BAR_MAX = 50, BINS_MAX = 24 };

void pf_samples_fini(struct pf_samples *s)
{
    PF_FREE(s->at_us);
    s->n = s->cap = 0;
}

void pf_samples_add(struct pf_samples *s, int64_t us)
{
    if (s->n == s->cap) {
        s->cap = s->cap > 0 ? 2 * s->cap : 64;
        s->at_us = pf_realloc(s->at_us, s->cap * sizeof *s->at_us);
    }
    s->at_us[s->n++] = us;
}

static int compare(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

int64_t pf_samples_at(const struct pf_samples *s, uint32_t permille)
{
    PF_ASSERT(s->n > 0 && permille <= 1000);
    int64_t *sorted = pf_memdup(s->at_us, s->n * sizeof *sorted);
    qsort(sorted, s->n, sizeof *sorted, compare);
    uint64_t rank = ((uint64_t)s->n * permille + 999) / 1000;
    int64_t at = sorted[rank > 0 ? rank - 1 : 0];
    pf_free(sorted);
    return at;
}

/* The lower ends of the bins in ms: 0, 1, 2, 5, 10, ...; bin 0 is below one millisecond. */
static int64_t bin_low_ms(uint32_t bin)
{
    static const int64_t digit[] = {1, 2, 5};
    int64_t low = bin == 0 ? 0 : digit[(bin - 1) % 3];
    for (uint32_t i = 0; bin > 0 && i < (bin - 1) / 3; i++) {
        low *= 10;
    }
    return low;
}

static uint32_t bin_of(int64_t us)
{
    uint32_t bin = 0;
    while (bin + 1 < BINS_MAX && us >= 1000 * bin_low_ms(bin + 1)) {
        bin++;
    }
    return bin;
}

void pf_samples_histogram(const struct pf_samples *s, struct pf_buf *out)
{
    uint32_t count[BINS_MAX] = {0}, first = BINS_MAX, last = 0, most = 1;
    for (uint32_t i = 0; i < s->n; i++) {
        uint32_t bin = bin_of(s->at_us[i]);
        count[bin]++;
        most = count[bin] > most ? count[bin] : most;
        first = bin < first ? bin : first;
        last = bin > last ? bin : last;
    }
    for (uint32_t bin = first; bin <= last && bin < BINS_MAX; bin++) {
        uint32_t bar = (uint32_t)(((uint64_t)count[bin] * BAR_MAX + most - 1) / most);
        pf_buf_printf(out, "%7" PRId64 " - %-7" PRId64 " ms  ", bin_low_ms(bin),
                      bin_low_ms(bin + 1));
        for (uint32_t i = 0; i < bar; i++) {
            pf_buf_add_byte(out, '#');
        }
        pf_buf_printf(out, "%s%u\n", bar > 0 ? "  " : "", count[bin]);
    }
}

void pf_samples_show(int64_t us, struct pf_buf *out)
{
    if (us < 100000) {
        pf_buf_printf(out, "%" PRId64 ".%" PRId64 "ms", us / 1000, us % 1000 / 100);
    } else if (us < 1000000) {
        pf_buf_printf(out, "%" PRId64 "ms", us / 1000);
    } else {
        pf_buf_printf(out, "%" PRId64 ".%02" PRId64 "s", us / 1000000, us % 1000000 / 10000);
    }
}
