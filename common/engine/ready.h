/* SPDX-License-Identifier: Apache-2.0 */
/* Readiness is a message: whoever started a daemon with --ready-fd N reads one line of JSON there,
 * {"native":"127.0.0.1:5055","http":"127.0.0.1:5050","pid":4711}, then the end of the file. */
#ifndef PF_COMMON_ENGINE_READY_H
#define PF_COMMON_ENGINE_READY_H

/* Writes the line and closes `fd`; -1: nobody asked. A reader that is gone is no matter. */
void pf_ready_tell(int fd, const char *native_address, const char *http_address);

#endif
