/* SPDX-License-Identifier: Apache-2.0 */
/* Which TCP addresses are free. */
#ifndef PF_FRAMEWORK_CLI_PORTS_H
#define PF_FRAMEWORK_CLI_PORTS_H

#include <stdbool.h>
#include <stdint.h>

/* Could a daemon listen at that port on loopback now? It may be taken the moment after. */
bool pf_port_is_free(uint16_t port);

/* Ports for those who must find them free again after a restart, none given twice: below those that
 * the kernel gives to outgoing connections (one of them could sit on the port of a daemon that is
 * away, or even connect to itself there) and below those of tasks. */
struct pf_port_picker {
    uint16_t at;     /* the next one to try */
    uint32_t n_left; /* how many more to try */
};
void pf_port_picker_init(struct pf_port_picker *p, uint64_t dice);
/* 0: none is free. */
uint16_t pf_port_pick(struct pf_port_picker *p);

#endif
