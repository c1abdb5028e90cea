/* SPDX-License-Identifier: Apache-2.0 */
/* proffer-master: options, limits of the process, run. */
#include <stdio.h>

#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "master/daemon/masterd.h"
#include "master/daemon/masterd_transfer.h"

#define DESCRIPTORS_MIN 256u /* 64 of them are kept for listeners and the other masters */

static int print_help(void)
{
    struct pf_buf text = {0};
    pf_options_help(&pf_masterd_option_table, &text);
    fputs(pf_buf_cstr(&text), stdout);
    pf_buf_fini(&text);
    return 0;
}

/* One line of what was done, or what is wrong and what to do. */
static int transfer(const struct pf_masterd_options *options, struct pf_err *err)
{
    struct pf_buf text = {0};
    int rc = pf_transfer_run(options, NULL, &text, err);
    if (rc == 0) {
        puts(pf_buf_cstr(&text));
    } else {
        fprintf(stderr, "proffer-master: %s\n%s\n", err->msg, pf_buf_cstr(&text));
    }
    pf_buf_fini(&text);
    return rc;
}

static int serve(const struct pf_masterd_options *options, struct pf_err *err)
{
    int rc = pf_masterd_run(options, err);
    if (rc < 0) {
        fprintf(stderr, "proffer-master: %s\n", err->msg);
    }
    return rc;
}

int main(int argc, char **argv)
{
    pf_fd_hold_standard();
    struct pf_masterd_options options = {0};
    enum pf_options_verdict verdict;
    struct pf_err err = {0};
    if (pf_masterd_options_parse(argc, argv, &options, &verdict, &err) < 0) {
        fprintf(stderr, "proffer-master: %s\n", err.msg);
        return err.code == PF_EUSAGE ? 2 : 1;
    }
    if (verdict == PF_OPTIONS_HELP) {
        return print_help();
    }
    if (verdict == PF_OPTIONS_VERSION) {
        puts("proffer-master " PF_VERSION);
        return 0;
    }
    pf_log_setup(options.log_level, NULL, NULL);
    uint64_t descriptors = 0;
    if (pf_fd_raise_limit(&descriptors, &err) < 0) {
        pf_log_err(PF_LOG_WARN, "descriptors stay limited", &err);
        pf_err_clear(&err);
    } else if (descriptors < DESCRIPTORS_MIN) {
        fprintf(stderr,
                "proffer-master: only %llu files may be open, at least %u are needed: ulimit -n\n",
                (unsigned long long)descriptors, DESCRIPTORS_MIN);
        pf_masterd_options_fini(&options);
        return 1;
    }
    int rc = pf_transfer_is_wanted(&options) ? transfer(&options, &err) : serve(&options, &err);
    pf_masterd_options_fini(&options);
    return rc < 0 ? 1 : 0;
}
