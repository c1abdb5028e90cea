/* SPDX-License-Identifier: Apache-2.0 */
/* The health check that `run --health-*` states. */
#include <string.h>
#include "common/sys/parse.h"
#include "framework/cli/run_spec.h"

/* "8080" or, where a path may follow, "8080/health". */
static int port_read(struct pf_cli *cli, const char *option, const char *text, uint16_t *out_port,
                     const char **out_path)
{
    size_t len = strcspn(text, "/");
    uint64_t port = 0;

    if (pf_parse_u64((struct pf_str){text, (uint32_t)len}, &port, NULL) < 0 || port == 0 ||
        port > UINT16_MAX || (text[len] == '/' && out_path == NULL)) {
        return pf_cli_usage(cli, pf_cli_text(cli, "--%s %s is no port", option, text),
                            out_path != NULL ? "for example: --health-http 8080/health"
                                             : "for example: --health-tcp 8080");
    }
    *out_port = (uint16_t)port;
    if (out_path != NULL && text[len] == '/') {
        *out_path = text + len;
    }
    return 0;
}

int pf_run_spec_health(struct pf_cli *cli, struct pf_run_spec *s)
{
    const struct pf_args *a = &cli->args;
    const char *http = pf_args_text(a, "health-http"), *tcp = pf_args_text(a, "health-tcp");
    struct pf_health_check h = PF_HEALTH_CHECK_INIT;
    int status = 0;

    h.command = pf_args_text(a, "health-cmd");
    int n = (h.command != NULL ? 1 : 0) + (http != NULL ? 1 : 0) + (tcp != NULL ? 1 : 0);
    bool has_times = pf_args_has(a, "health-delay") || pf_args_has(a, "health-interval");
    if (n > 1 || (n == 0 && has_times)) {
        return pf_cli_usage(cli,
                            n > 1 ? "a task has one health check"
                                  : "--health-delay and --health-interval are of a check",
                            "give one of --health-cmd, --health-http and --health-tcp");
    }
    if (http != NULL) {
        status = port_read(cli, "health-http", http, &h.http_port, &h.http_path);
    } else if (tcp != NULL) {
        status = port_read(cli, "health-tcp", tcp, &h.tcp_port, NULL);
    }
    h.delay_ms = pf_args_num(a, "health-delay", 0);
    if (pf_args_has(a, "health-delay") && h.delay_ms == 0) {
        h.delay_ms = -1; /* in the library's words: none */
    }
    h.grace_ms = h.delay_ms; /* failures count from when checks begin */
    h.interval_ms = pf_args_num(a, "health-interval", 0);
    s->health = h;
    s->has_health = n == 1;
    return status;
}
