/* SPDX-License-Identifier: Apache-2.0 */
/* See drill_command.h. */
#include "framework/cli/drill_command.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>

enum word { WORD_HOST, WORD_PID, WORD_SIGNAL, WORD_ADDRESS, WORD_COUNT };
static const char *const words[WORD_COUNT] = {"{host}", "{pid}", "{signal}", "{address}"};

static enum word word_at(const char *at)
{
    int i = 0;
    while (i < WORD_COUNT && strncmp(at, words[i], strlen(words[i])) != 0) {
        i++;
    }
    return (enum word)i;
}

int pf_drill_command_check(const char *pattern, struct pf_err *err)
{
    bool has_signal = false;
    for (const char *at = strchr(pattern, '{'); at != NULL; at = strchr(at + 1, '{')) {
        enum word w = word_at(at);
        size_t len = strcspn(at, "}");
        if (w == WORD_COUNT && at[len] == '}' &&
            strspn(at + 1, "abcdefghijklmnopqrstuvwxyz_") == len - 1) {
            return pf_err_set(err, PF_EUSAGE, "--kill-cmd: '%.*s' is not known", (int)len + 1, at);
        }
        has_signal |= w == WORD_SIGNAL;
    }
    return has_signal ? 0 : pf_err_set(err, PF_EUSAGE, "--kill-cmd does not say {signal}");
}

const char *pf_drill_signal_name(int signo)
{
    switch (signo) {
    case SIGKILL: return "KILL";
    case SIGSTOP: return "STOP";
    case SIGCONT: return "CONT";
    default: return NULL;
    }
}

static int text_add(const char *value, const char *word, const struct pf_drill_process *p,
                    struct pf_buf *out, struct pf_err *err)
{
    static const char harmless[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "0123456789.-_:[]";
    if (value == NULL || value[0] == '\0') {
        return pf_err_set(err, PF_ENOENT, "--kill-cmd wants the %s of %s, which is not known", word,
                          p->what);
    }
    if (value[strspn(value, harmless)] != '\0' || value[0] == '-') {
        return pf_err_set(err, PF_EPROTO, "'%s' is no %s to give to a shell", value, word);
    }
    pf_buf_add_cstr(out, value);
    return 0;
}

static int word_add(enum word w, const struct pf_drill_process *p, int signo, struct pf_buf *out,
                    struct pf_err *err)
{
    switch (w) {
    case WORD_HOST: return text_add(p->host, "host", p, out, err);
    case WORD_ADDRESS: return text_add(p->address, "address", p, out, err);
    case WORD_SIGNAL: pf_buf_add_cstr(out, pf_drill_signal_name(signo)); return 0;
    case WORD_PID:
        if (p->pid <= 0) {
            return pf_err_set(err, PF_ENOENT, "--kill-cmd wants the pid of %s, which is not known",
                              p->what);
        }
        pf_buf_printf(out, "%" PRId64, p->pid);
        return 0;
    case WORD_COUNT: break;
    }
    return 0;
}

int pf_drill_command(const char *pattern, const struct pf_drill_process *p, int signo,
                     struct pf_buf *out, struct pf_err *err)
{
    const char *at = pattern;
    PF_ASSERT(pf_drill_signal_name(signo) != NULL);
    while (*at != '\0') {
        enum word w = word_at(at);
        if (w == WORD_COUNT) {
            pf_buf_add_byte(out, (uint8_t)*at++);
            continue;
        }
        int rc = word_add(w, p, signo, out, err);
        if (rc != 0) {
            return rc;
        }
        at += strlen(words[w]);
    }
    return 0;
}
