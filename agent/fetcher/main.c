/* SPDX-License-Identifier: Apache-2.0 */
/* proffer-fetcher: reads a plan from standard input, carries it out, says what failed on standard
 * output. Started by the launcher as the task's user before the task itself. */
#include <curl/curl.h>
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/fetcher/fetch.h"
#include "common/base/limits.h"
#include "common/sys/fd.h"

#define EXIT_USAGE 2

static const char usage[] =
    "usage: proffer-fetcher < PLAN\n"
    "\n"
    "Brings the files of a task to its sandbox. The agent starts it, as the task's user; PLAN is "
    "a\n"
    "FetchPlan of schemas/fetcher.fbs. On failure one line on standard output says which URI and\n"
    "why. Environment: SSL_CERT_FILE names the trusted certificates, http_proxy, https_proxy and\n"
    "no_proxy are heeded.\n"
    "\n"
    "  --version\n"
    "  --help\n"
    "\n"
    "Exit status: 0 all is there, 1 it is not, 2 wrong usage.\n";

static int read_plan(struct pf_buf *in, struct pf_err *err)
{
    for (;;) {
        if (!pf_buf_reserve(in, 1)) {
            return pf_err_set(err, PF_ELIMIT, "the plan has more than %u bytes",
                              PF_FETCH_PLAN_MAX_BYTES);
        }
        ssize_t n = read(STDIN_FILENO, in->data + in->len, in->cap - in->len);
        if (n < 0 && errno != EINTR) {
            return pf_err_set_sys(err, PF_EIO, errno, "read the plan");
        }
        if (n == 0) {
            return 0;
        }
        in->len += n > 0 ? (size_t)n : 0;
    }
}

static int run(struct pf_buf *in, struct pf_buf *shown, struct pf_err *err)
{
    struct pf_msg plan;
    int rc = read_plan(in, err);

    if (rc != 0) {
        return rc;
    }
    rc = pf_fb_verify((struct pf_bytes){in->data, (uint32_t)in->len}, &FetchPlan__desc, &plan, err);
    if (rc != 0) {
        pf_err_wrap(err, "the plan");
        return rc;
    }
    return pf_fetch(FetchPlan__root(plan), shown, err);
}

static int say_failure(struct pf_buf *shown, struct pf_err *err)
{
    for (char *c = err->msg; *c != '\0'; c++) { /* one line, whatever an archive's names are */
        *c = (unsigned char)*c < 0x20 || *c == 0x7f ? '?' : *c;
    }
    (void)printf("%s%s%s\n", pf_buf_cstr(shown), shown->len > 0 ? ": " : "", err->msg);
    (void)fflush(stdout); /* nobody is left to tell */
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    struct pf_buf in = {.limit = PF_FETCH_PLAN_MAX_BYTES + 1};
    struct pf_buf shown = {0};
    struct pf_err err = {0};

    pf_fd_hold_standard();
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        (void)puts("proffer-fetcher " PF_VERSION);
        return EXIT_SUCCESS;
    }
    if (argc > 1) {
        bool is_help = argc == 2 && strcmp(argv[1], "--help") == 0;
        (void)fputs(usage, is_help ? stdout : stderr);
        return is_help ? EXIT_SUCCESS : EXIT_USAGE;
    }
    (void)setlocale(LC_CTYPE, "C.UTF-8"); /* names in archives; without it they are bytes */
    (void)umask(077);
    (void)signal(SIGPIPE, SIG_IGN); /* these two cannot fail */
    (void)signal(SIGXFSZ, SIG_IGN);
    int rc = 0;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        rc = pf_err_set(&err, PF_ENOMEM, "cannot set up libcurl");
    }
    if (rc == 0) {
        rc = run(&in, &shown, &err);
    }
    int status = rc == 0 ? EXIT_SUCCESS : say_failure(&shown, &err);
    pf_buf_fini(&in);
    pf_buf_fini(&shown);
    curl_global_cleanup();
    return status;
}
