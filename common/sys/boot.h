/* SPDX-License-Identifier: Apache-2.0 */
/* Facts about this machine and its processes: who it is, whether it was restarted, what it has. */
#ifndef PF_COMMON_SYS_BOOT_H
#define PF_COMMON_SYS_BOOT_H

#include <stdint.h>
#include <sys/types.h>
#include "common/base/compiler.h"
#include "common/base/err.h"

#define PF_BOOT_ID_LEN    36 /* a uuid */
#define PF_MACHINE_ID_LEN 32 /* hex digits */

/* Differs after each start of the machine. */
PF_MUST_USE int pf_boot_id(char out[PF_BOOT_ID_LEN + 1], struct pf_err *err);
/* The machine's id from /etc/machine-id; where there is none, one that was made once and kept in
 * `own_path`. */
PF_MUST_USE int pf_machine_id(const char *own_path, char out[PF_MACHINE_ID_LEN + 1],
                              struct pf_err *err);
/* When the process began, in clock ticks after boot: with the boot id it tells a process from a
 * later one of the same pid. PF_ENOENT: there is none. */
PF_MUST_USE int pf_pid_start_time(pid_t pid, uint64_t *out_ticks, struct pf_err *err);

/* Cpus this process may run on; at least 1. */
uint32_t pf_cpu_count(void);
/* Memory of the machine, or of the control group this process lives in if that is less. */
PF_MUST_USE int pf_memory_total(uint64_t *out_bytes, struct pf_err *err);

#endif
