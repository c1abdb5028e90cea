/* SPDX-License-Identifier: Apache-2.0 */
/* proffer-agent: options, limits of the process, run. */
#include <stdio.h>

#include "agent/daemon/agentd.h"
#include "agent/daemon/simulate.h"
#include "agent/daemon/stop.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"

#define EXIT_USAGE 2

static int print_help(void)
{
    struct pf_buf text = {0};

    pf_options_help(&pf_agentd_option_table, &text);
    (void)fputs(pf_buf_cstr(&text), stdout);
    pf_buf_fini(&text);
    return 0;
}

int main(int argc, char **argv)
{
    pf_fd_hold_standard();

    struct pf_agentd_options options = {0};
    enum pf_options_verdict verdict;
    struct pf_err err = {0};

    if (pf_agentd_options_parse(argc, argv, &options, &verdict, &err) < 0) {
        (void)fprintf(stderr, "proffer-agent: %s\n", err.msg);
        return err.code == PF_EUSAGE ? EXIT_USAGE : 1;
    }
    if (verdict == PF_OPTIONS_HELP) {
        return print_help();
    }
    if (verdict == PF_OPTIONS_VERSION) {
        (void)puts("proffer-agent " PF_VERSION);
        return 0;
    }
    pf_log_setup(options.log_level, NULL, NULL);
    int rc;
    if (options.stop_launcher) {
        rc = pf_stop_launcher(options.work_dir, &err);
    } else if (options.simulate > 0) {
        rc = pf_simulate_run(&options, &err);
    } else {
        rc = pf_agentd_run(&options, &err);
    }
    if (rc < 0) {
        (void)fprintf(stderr, "proffer-agent: %s\n", err.msg);
    }
    pf_agentd_options_fini(&options);
    return rc == 0 ? 0 : err.code == PF_EUSAGE ? EXIT_USAGE : 1;
}
