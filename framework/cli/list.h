/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs that list entities: connect, fetch pages, print, and again with -w. */
#ifndef PF_FRAMEWORK_CLI_LIST_H
#define PF_FRAMEWORK_CLI_LIST_H

#include "framework/cli/cli.h"
#include "framework/cli/client.h"
#include "framework/cli/output.h"

#define PF_LIST_WATCH_MS 1000

struct pf_list {
    const struct pf_columns *columns;
    /* Puts every row; flushes after each page. */
    int (*fetch)(struct pf_cli *cli, struct pf_client *c, struct pf_output *o, struct pf_err *err);
    int32_t stale_ms; /* a standby answers when none leads for that long; 0: the usual patience,
                       * -1: standbys know nothing of it */
};

/* Returns the exit status. */
int pf_list_run(struct pf_cli *cli, const struct pf_list *list);

#endif
