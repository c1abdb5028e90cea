/* SPDX-License-Identifier: Apache-2.0 */
/* Which TCP addresses are free. */
#include "framework/cli/ports.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PICK_BEGIN = 20000, PICK_END = 30000 };

bool pf_port_is_free(uint16_t port)
{
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    /* as the daemons do: connections that are still closing are no hindrance */
    bool is_free = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, (socklen_t)sizeof one) == 0 &&
                   bind(fd, (const struct sockaddr *)&sa, (socklen_t)sizeof sa) == 0 &&
                   listen(fd, 1) == 0;
    (void)close(fd);
    return is_free;
}

void pf_port_picker_init(struct pf_port_picker *p, uint64_t dice)
{
    p->at = (uint16_t)(PICK_BEGIN + dice % (PICK_END - PICK_BEGIN));
    p->n_left = PICK_END - PICK_BEGIN;
}

uint16_t pf_port_pick(struct pf_port_picker *p)
{
    while (p->n_left > 0) {
        uint16_t port = p->at;
        p->at = (uint16_t)(port + 1 < PICK_END ? port + 1 : PICK_BEGIN);
        p->n_left--;
        if (pf_port_is_free(port)) {
            return port;
        }
    }
    return 0;
}
