/* SPDX-License-Identifier: Apache-2.0 */
/* Which TCP addresses are free on this machine. An answer is only good for the moment. */
#ifndef PF_FRAMEWORK_CLI_PORTS_H
#define PF_FRAMEWORK_CLI_PORTS_H

#include <stdbool.h>
#include <stdint.h>

/* Could one listen on 127.0.0.1:port now? */
bool pf_port_is_free(uint16_t port);

#endif
