/* SPDX-License-Identifier: Apache-2.0 */
/* What this machine offers: what the operator named, and for the rest what is there. */
#ifndef PF_AGENT_DAEMON_DETECT_H
#define PF_AGENT_DAEMON_DETECT_H

#include <stdint.h>
#include "common/base/err.h"
#include "common/base/resources.h"

struct pf_machine {
    uint32_t cpus;
    uint64_t mem_bytes, disk_bytes;
};

/* `disk_path`: the file system that counts. */
PF_MUST_USE int pf_machine_read(const char *disk_path, struct pf_machine *out, struct pf_err *err);

/* `text` as of --resources. Not named in it: cpus; mem less 1 GiB (half below 2 GiB); disk less
 * 5 GiB (half below 10 GiB); ports 31000-32000. `out` is empty on entry. PF_EUSAGE. */
PF_MUST_USE int pf_detect_resources(const char *text, const struct pf_machine *m,
                                    struct pf_resources *out, struct pf_err *err);

#endif
