/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of a connection: its life, its reading, its writing. */
#ifndef PF_COMMON_NET_CONN_INTERNAL_H
#define PF_COMMON_NET_CONN_INTERNAL_H

#include "common/net/conn.h"

void pf_conn_read(struct pf_conn *c);                 /* OPEN: delivers, reads, delivers */
void pf_conn_discard(struct pf_conn *c);              /* LINGERING */
void pf_conn_stall(struct pf_conn *c);                /* until the pause ends */
void pf_conn_flush(struct pf_conn *c);
void pf_conn_mark_dirty(struct pf_conn *c);
void pf_conn_drop_output(struct pf_conn *c);

#endif
