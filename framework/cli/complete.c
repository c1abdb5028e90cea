/* SPDX-License-Identifier: Apache-2.0 */
/* Completion by the command table. */
#include "framework/cli/complete.h"

#include <string.h>

struct line {
    const struct pf_command *cmd;      /* NULL until the verb is known */
    const struct pf_cli_option *awaiting;  /* the option whose argument comes next */
    uint32_t n_operands;
    bool options_ended;
    struct pf_arena *arena;
    struct pf_completion *out;
};

static const struct pf_command no_verb_yet = {.name = "", .sets = PF_SET_CLUSTER};

static const struct pf_cli_option *option_of(const struct line *l, const char *word)
{
    const struct pf_command *cmd = l->cmd != NULL ? l->cmd : &no_verb_yet;
    const struct pf_cli_option *o;
    size_t len = strlen(word);
    for (uint32_t i = 0; (o = pf_command_option(cmd, i)) != NULL; i++) {
        if (word[1] == '-' ? strcmp(word + 2, o->name) == 0
                           : o->letter != 0 && word[len - 1] == o->letter) {
            return o;
        }
    }
    return NULL;
}

static void note_cluster(struct pf_completion *out, const struct pf_cli_option *o, const char *word)
{
    const struct {
        const char *name;
        const char **at;
    } known[] = {{"master", &out->master}, {"cluster", &out->cluster}, {"dir", &out->dir},
                 {"key-file", &out->key_file}};
    for (size_t i = 0; i < PF_ARRAY_LEN(known); i++) {
        if (strcmp(o->name, known[i].name) == 0) {
            *known[i].at = word;
        }
    }
}

/* A word that is complete. */
static void pass(struct line *l, const char *word)
{
    if (l->awaiting != NULL) {
        if (strcmp(word, "=") != 0) {
            note_cluster(l->out, l->awaiting, word);
            l->awaiting = NULL;
        }
        return;
    }
    if (l->options_ended || word[0] != '-' || word[1] == '\0') {
        if (l->cmd == NULL) {
            l->cmd = pf_command_find(word);
            l->cmd = l->cmd != NULL ? l->cmd : &no_verb_yet;
            return;
        }
        l->n_operands++;
        l->options_ended |= l->cmd->stops_at_operand;
    } else if (strcmp(word, "--") == 0) {
        l->options_ended = true;
    } else {
        const struct pf_cli_option *o = option_of(l, word);
        if (o != NULL && o->kind != PF_ARG_FLAG) {
            l->awaiting = o;
        }
    }
}

static void offer(struct line *l, const char *word)
{
    if (strncmp(word, l->out->prefix, strlen(l->out->prefix)) == 0) {
        pf_ptrs_push(&l->out->words, (void *)(uintptr_t)word);
    }
}

static void offer_verbs(struct line *l)
{
    for (uint32_t i = 0; pf_commands[i] != NULL; i++) {
        if (!pf_commands[i]->is_hidden) {
            offer(l, pf_commands[i]->name);
            if (pf_commands[i]->alias != NULL) {
                offer(l, pf_commands[i]->alias);
            }
        }
    }
}

static void offer_options(struct line *l)
{
    const struct pf_command *cmd = l->cmd != NULL ? l->cmd : &no_verb_yet;
    const struct pf_cli_option *o;
    for (uint32_t i = 0; (o = pf_command_option(cmd, i)) != NULL; i++) {
        offer(l, pf_arena_printf(l->arena, "--%s", o->name).at);
    }
}

static void offer_choices(struct line *l, const char *choices)
{
    while (*choices != '\0') {
        uint32_t len = (uint32_t)strcspn(choices, " ");
        offer(l, pf_arena_strdup(l->arena, (struct pf_str){choices, len}).at);
        choices += len + (choices[len] == ' ' ? 1 : 0);
    }
}

static void complete_by(struct line *l, enum pf_complete kind, const char *choices)
{
    switch (kind) {
    case PF_COMPLETE_NONE: break;
    case PF_COMPLETE_CHOICES: offer_choices(l, choices); break;
    case PF_COMPLETE_VERB: offer_verbs(l); break;
    case PF_COMPLETE_FILE:
    case PF_COMPLETE_DIR:
    case PF_COMPLETE_COMMAND:
    case PF_COMPLETE_TASK:
    case PF_COMPLETE_FRAMEWORK:
    case PF_COMPLETE_AGENT:
    case PF_COMPLETE_ANY_ID: l->out->want = kind; break;
    }
}

void pf_complete_line(const char *const *word, uint32_t n, struct pf_arena *arena,
                      struct pf_completion *out)
{
    *out = (struct pf_completion){.prefix = n > 0 ? word[n - 1] : ""};
    struct line l = {.arena = arena, .out = out};
    for (uint32_t i = 0; i + 1 < n; i++) {
        pass(&l, word[i]);
    }
    if (l.awaiting != NULL) {
        if (strcmp(out->prefix, "=") == 0) {
            out->prefix = "";
        }
        complete_by(&l, l.awaiting->complete, l.awaiting->choices);
    } else if (!l.options_ended && out->prefix[0] == '-') {
        offer_options(&l);
    } else if (l.cmd == NULL) {
        offer_verbs(&l);
    } else if (l.cmd->complete == PF_COMPLETE_COMMAND && l.n_operands > 0) {
        out->want = PF_COMPLETE_FILE; /* arguments of somebody else's command */
    } else if (l.n_operands == 0 && l.cmd->choices != NULL) {
        offer_choices(&l, l.cmd->choices);
    } else if (l.cmd->operands != NULL) {
        complete_by(&l, l.cmd->complete, NULL);
    }
}

void pf_completion_fini(struct pf_completion *c)
{
    pf_ptrs_fini(&c->words);
}
