/* SPDX-License-Identifier: Apache-2.0 */
/* The files that `run --uri` brings to the sandboxes. */
#include <string.h>
#include "common/base/arena.h"
#include "common/base/limits.h"
#include "framework/cli/run_spec.h"

/* A word behind the URI. */
static bool word_apply(const char *word, struct pf_uri *u)
{
    if (strcmp(word, "exec") == 0) {
        u->is_executable = true;
    } else if (strcmp(word, "packed") == 0) {
        u->is_kept_packed = true;
    } else if (strcmp(word, "cache") == 0) {
        u->is_cached = true;
    } else if (strncmp(word, "as=", 3) == 0 && word[3] != '\0') {
        u->output_file = word + 3;
    } else {
        return false;
    }
    return true;
}

static int uri_read(struct pf_cli *cli, const char *text, struct pf_uri *out)
{
    struct pf_uri u = {0};
    char *copy = (char *)(uintptr_t)pf_cli_text(cli, "%s", text);
    char *save = NULL;
    u.value = strtok_r(copy, " ", &save);
    if (u.value == NULL) {
        return pf_cli_usage(cli, "--uri is empty", "for example: --uri http://host/tool.tgz");
    }
    for (char *word = strtok_r(NULL, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
        if (!word_apply(word, &u)) {
            return pf_cli_usage(cli, pf_cli_text(cli, "--uri does not know '%s'", word),
                                "behind the URI come exec, packed, cache or as=PATH");
        }
    }
    *out = u;
    return 0;
}

int pf_run_spec_uris(struct pf_cli *cli, struct pf_run_spec *s)
{
    uint32_t cursor = 0;
    const char *text;
    int status = 0;
    while (pf_args_next(&cli->args, "uri", &cursor) != NULL) {
        s->n_uris++;
    }
    s->uris = pf_arena_zalloc(&cli->arena, (s->n_uris + 1) * sizeof *s->uris);
    cursor = 0;
    for (size_t i = 0; status == 0 && (text = pf_args_next(&cli->args, "uri", &cursor)) != NULL;
         i++) {
        status = uri_read(cli, text, &s->uris[i]);
    }
    return status;
}
