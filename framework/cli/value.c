/* SPDX-License-Identifier: Apache-2.0 */
/* Values of options. */
#include "framework/cli/value.h"

#include <signal.h>
#include <string.h>
#include <strings.h>
#include "common/base/resources.h"
#include "common/sys/parse.h"

int pf_signal_parse(const char *text, int *out, struct pf_err *err)
{
    const char *name = strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;
    for (int signo = 1; signo < NSIG; signo++) {
        const char *known = sigabbrev_np(signo);
        if (known != NULL && strcasecmp(known, name) == 0) {
            *out = signo;
            return 0;
        }
    }
    uint64_t number = 0;
    if (pf_parse_u64(pf_str(text), &number, NULL) == 0 && number > 0 && number < NSIG) {
        *out = (int)number;
        return 0;
    }
    return pf_err_set(err, PF_EINVAL, "there is no signal '%.32s'", text);
}

static int parse_choice(const struct pf_cli_option *o, const char *text, struct pf_err *err)
{
    size_t len = strlen(text);
    for (const char *c = o->choices; *c != '\0';) {
        size_t n = strcspn(c, " ");
        if (n == len && memcmp(c, text, n) == 0) {
            return 0;
        }
        c += n + (c[n] == ' ' ? 1 : 0);
    }
    return pf_err_set(err, PF_EINVAL, "'%.64s' is not one of: %s", text, o->choices);
}

int pf_value_parse(const struct pf_cli_option *o, const char *text, int64_t *out,
                   struct pf_err *err)
{
    int rc = 0;
    int64_t num = 0;
    struct pf_str s = pf_str(text);
    switch (o->kind) {
    case PF_ARG_FLAG: break;
    case PF_ARG_TEXT: rc = o->choices != NULL ? parse_choice(o, text, err) : 0; break;
    case PF_ARG_COUNT: {
        uint64_t count = 0;
        rc = pf_parse_u64(s, &count, err);
        if (rc == 0 && count > INT32_MAX) {
            rc = pf_err_set(err, PF_EINVAL, "%s is too large", text);
        }
        num = (int64_t)count;
        break;
    }
    case PF_ARG_DURATION: rc = pf_parse_duration_ms(s, &num, err); break;
    case PF_ARG_SIZE: rc = pf_parse_size(s, &num, err); break;
    case PF_ARG_MILLI: rc = pf_milli_parse(s, &num, err); break;
    case PF_ARG_SIGNAL: {
        int signo = 0;
        rc = pf_signal_parse(text, &signo, err);
        num = signo;
        break;
    }
    }
    if (rc == 0) {
        *out = num;
    }
    return rc;
}

const char *pf_value_hint(const struct pf_cli_option *o, struct pf_arena *arena)
{
    const char *example = o->arg;
    switch (o->kind) {
    case PF_ARG_FLAG: break;
    case PF_ARG_TEXT:
        if (o->choices != NULL) {
            return pf_arena_printf(arena, "write one of: %s", o->choices).at;
        }
        break;
    case PF_ARG_COUNT: example = "3"; break;
    case PF_ARG_DURATION: example = "30s (or 500ms, 5m, 1h)"; break;
    case PF_ARG_SIZE: example = "256M (or 512K, 2G)"; break;
    case PF_ARG_MILLI: example = "0.5"; break;
    case PF_ARG_SIGNAL: example = "TERM (or KILL, INT, 15)"; break;
    }
    return pf_arena_printf(arena, "write for example: --%s %s", o->name, example).at;
}

bool pf_value_split(const char *text, struct pf_str *out_key, struct pf_str *out_value)
{
    const char *eq = strchr(text, '=');
    if (eq == NULL || eq == text) {
        return false;
    }
    *out_key = (struct pf_str){text, (uint32_t)(eq - text)};
    *out_value = pf_str(eq + 1);
    return true;
}
