/* SPDX-License-Identifier: Apache-2.0 */
/* Gathers the texts of all options from the strongest source that has each, then reads them. */
#include "common/sys/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/alloc.h"
#include "common/sys/file.h"
#include "common/sys/parse.h"

/* in order of force */
enum source { SOURCE_NONE, SOURCE_LINE, SOURCE_ENV, SOURCE_FILE, SOURCE_FALLBACK };

enum { GETOPT_FIRST = 256, OPTION_NAME_MAX = 128 };

/* What was said about one option. */
struct given {
    enum source source;
    uint32_t line;       /* of the file */
    struct pf_ptrs text; /* owned strings; lists may have several */
};

struct gathering {
    const struct pf_options *o;
    struct given given[PF_OPTIONS_MAX];
    char *config_path; /* owned */
    enum source config_source;
};

static void gathering_fini(struct gathering *g)
{
    for (uint32_t i = 0; i < g->o->n_options; i++) {
        for (uint32_t k = 0; k < g->given[i].text.len; k++) {
            pf_free(g->given[i].text.at[k]);
        }
        pf_ptrs_fini(&g->given[i].text);
    }
    pf_free(g->config_path);
}

/* Notes a text unless a stronger source spoke already. The last word of one source holds, but lists
 * grow. */
static void gathering_note(struct gathering *g, uint32_t i, enum source source, uint32_t line,
                           struct pf_str text)
{
    struct given *given = &g->given[i];

    if (given->source != SOURCE_NONE && given->source < source) {
        return;
    }
    if (g->o->options[i].type != PF_OPTION_LIST && given->text.len > 0) {
        PF_FREE(given->text.at[0]);
        given->text.len = 0;
    }
    given->source = source;
    given->line = line;
    pf_ptrs_push(&given->text, pf_strndup(text.at, text.len));
}

static uint32_t option_find(const struct pf_options *o, struct pf_str name)
{
    uint32_t i = 0;

    while (i < o->n_options && !pf_str_is(name, o->options[i].name)) {
        i++;
    }
    return i;
}

void pf_options_env_name(const struct pf_options *o, const char *option, char *out,
                         size_t out_bytes)
{
    const char *dash = strchr(o->program, '-');

    (void)snprintf(out, out_bytes, "PROFFER_%s_%s", dash ? dash + 1 : o->program, option);
    for (char *c = out; *c != '\0'; c++) {
        if (*c >= 'a' && *c <= 'z') {
            *c = (char)(*c - 'a' + 'A');
        } else if (*c == '-') {
            *c = '_';
        }
    }
}

/* How the option was written where its text came from. */
static void option_origin(const struct gathering *g, uint32_t i, char *out, size_t out_bytes)
{
    const char *name = g->o->options[i].name;

    switch (g->given[i].source) {
    case SOURCE_ENV: pf_options_env_name(g->o, name, out, out_bytes); return;
    case SOURCE_FILE:
        (void)snprintf(out, out_bytes, "%s line %u: %s", g->config_path,
                       (unsigned)g->given[i].line, name);
        return;
    case SOURCE_NONE:
    case SOURCE_LINE:
    case SOURCE_FALLBACK: break;
    }
    (void)snprintf(out, out_bytes, "--%s", name);
}

static int getopt_refuse(int c, char **argv, int opt, const struct pf_options *o,
                         struct pf_err *err)
{
    /* a short option is told in optopt, a long one is the word that was read last */
    if (opt > ' ' && opt < 0x7f) {
        return pf_err_set(err, PF_EUSAGE, "unknown option '-%c'; %s --help lists them", opt,
                          o->program);
    }
    return pf_err_set(err, PF_EUSAGE, "%s '%.80s'; %s --help lists them",
                      c == ':' ? "a value is missing behind" : "unknown or ambiguous option",
                      argv[optind - 1], o->program);
}

/* The command line. --help and --version end it. */
static int gather_line(struct gathering *g, int argc, char **argv,
                       enum pf_options_verdict *out_verdict, struct pf_err *err)
{
    enum { OPT_HELP = 1, OPT_VERSION, OPT_CONFIG };
    struct option table[PF_OPTIONS_MAX + 4] = {
        {"help", no_argument, NULL, OPT_HELP},
        {"version", no_argument, NULL, OPT_VERSION},
        {"config", required_argument, NULL, OPT_CONFIG},
    };
    int c;

    for (uint32_t i = 0; i < g->o->n_options; i++) {
        const struct pf_option *o = &g->o->options[i];

        table[3 + i] = (struct option){
            o->name, o->type == PF_OPTION_FLAG ? optional_argument : required_argument, NULL,
            GETOPT_FIRST + (int)i};
    }
    optind = 0; /* GNU: begin anew */
    opterr = 0;
    *out_verdict = PF_OPTIONS_RUN;
    while ((c = getopt_long(argc, argv, "+:", table, NULL)) != -1) {
        if (c == OPT_HELP || c == OPT_VERSION) {
            *out_verdict = c == OPT_HELP ? PF_OPTIONS_HELP : PF_OPTIONS_VERSION;
            return 0;
        }
        if (c == OPT_CONFIG) {
            pf_free(g->config_path);
            g->config_path = pf_strdup(optarg);
            g->config_source = SOURCE_LINE;
        } else if (c >= GETOPT_FIRST) {
            gathering_note(g, (uint32_t)(c - GETOPT_FIRST), SOURCE_LINE, 0,
                           optarg ? pf_str(optarg) : PF_STR("true"));
        } else {
            return getopt_refuse(c, argv, optopt, g->o, err);
        }
    }
    if (optind < argc && !g->o->args) {
        return pf_err_set(err, PF_EUSAGE, "'%.80s' is no option, and no argument is expected",
                          argv[optind]);
    }
    return 0;
}

static void gather_env(struct gathering *g)
{
    char name[OPTION_NAME_MAX];
    const char *text;

    for (uint32_t i = 0; i < g->o->n_options; i++) {
        pf_options_env_name(g->o, g->o->options[i].name, name, sizeof name);
        text = getenv(name);
        if (text) {
            gathering_note(g, i, SOURCE_ENV, 0, pf_str(text));
        }
    }
    pf_options_env_name(g->o, "config", name, sizeof name);
    text = getenv(name);
    if (text && text[0] != '\0' && !g->config_path) {
        g->config_path = pf_strdup(text);
        g->config_source = SOURCE_ENV;
    }
}

static struct pf_str trim(struct pf_str s)
{
    static const char blank[] = " \t\r";

    while (s.len > 0 && memchr(blank, s.at[0], sizeof blank - 1)) {
        s = (struct pf_str){s.at + 1, s.len - 1};
    }
    while (s.len > 0 && memchr(blank, s.at[s.len - 1], sizeof blank - 1)) {
        s.len--;
    }
    return s;
}

/* "option = value", a comment or nothing. A value may be in double quotes, to keep a '#' or
 * blanks. */
static int gather_file_line(struct gathering *g, struct pf_str text, uint32_t line,
                            struct pf_err *err)
{
    text = trim(text);
    if (text.len == 0 || text.at[0] == '#') {
        return 0;
    }
    const char *equals = memchr(text.at, '=', text.len);
    struct pf_str name = text, value = {0};

    if (equals) {
        uint32_t at = (uint32_t)(equals - text.at);

        name = trim((struct pf_str){text.at, at});
        value = trim((struct pf_str){equals + 1, text.len - at - 1});
    }
    uint32_t i = option_find(g->o, name);
    if (!equals || i == g->o->n_options) {
        return pf_err_set(err, PF_EUSAGE, "%s line %u: '%.*s' is no option; write 'name = value', "
                          "%s --help lists the names", g->config_path, (unsigned)line,
                          name.len > 40 ? 40 : (int)name.len, name.at, g->o->program);
    }
    const char *close =
        value.len >= 2 && value.at[0] == '"' ? memchr(value.at + 1, '"', value.len - 1) : NULL;
    if (close) {
        value = (struct pf_str){value.at + 1, (uint32_t)(close - value.at - 1)};
    } else {
        for (uint32_t k = 1; k < value.len; k++) {
            if (value.at[k] == '#' && (value.at[k - 1] == ' ' || value.at[k - 1] == '\t')) {
                value = trim((struct pf_str){value.at, k});
            }
        }
    }
    gathering_note(g, i, SOURCE_FILE, line, value);
    return 0;
}

static int gather_file(struct gathering *g, struct pf_err *err)
{
    struct pf_buf text = {0};
    int rc = pf_file_read(g->config_path, PF_OPTIONS_FILE_MAX_BYTES, &text, err);
    uint32_t line = 0;

    for (size_t at = 0; rc == 0 && at < text.len;) {
        const uint8_t *begin = text.data + at;
        const uint8_t *end = memchr(begin, '\n', text.len - at);
        size_t len = end ? (size_t)(end - begin) : text.len - at;

        rc = gather_file_line(g, (struct pf_str){(const char *)begin, (uint32_t)len}, ++line, err);
        at += len + 1;
    }
    pf_buf_fini(&text);
    return rc;
}

static int number_set(const struct pf_option *o, struct pf_str text, int64_t *field,
                      struct pf_err *err)
{
    int64_t value = 0;
    int64_t max = o->min == 0 && o->max == 0 ? INT64_MAX : o->max;
    int rc = o->type == PF_OPTION_SIZE       ? pf_parse_size(text, &value, err)
             : o->type == PF_OPTION_DURATION ? pf_parse_duration_ms(text, &value, err)
                                             : pf_parse_i64(text, &value, err);

    if (rc == 0 && (value < o->min || value > max)) {
        const char *unit = o->type == PF_OPTION_SIZE       ? " bytes"
                           : o->type == PF_OPTION_DURATION ? " ms"
                                                           : "";
        rc = pf_err_set(err, PF_EUSAGE, "'%.*s' is out of range; write %lld to %lld%s",
                        (int)text.len, text.at, (long long)o->min, (long long)max, unit);
    }
    if (rc == 0) {
        *field = value;
    }
    return rc;
}

static void list_add(struct pf_ptrs *list, struct pf_str text)
{
    while (text.len > 0) {
        const char *comma = memchr(text.at, ',', text.len);
        uint32_t len = comma ? (uint32_t)(comma - text.at) : text.len;
        struct pf_str item = trim((struct pf_str){text.at, len});

        if (item.len > 0) {
            pf_ptrs_push(list, pf_strndup(item.at, item.len));
        }
        len += comma ? 1 : 0;
        text = (struct pf_str){text.at + len, text.len - len};
    }
}

static int option_set(const struct pf_option *o, struct pf_str text, void *config,
                      struct pf_err *err)
{
    void *field = (char *)config + o->offset;

    switch (o->type) {
    case PF_OPTION_FLAG: return pf_parse_bool(text, field, err);
    case PF_OPTION_STRING:
        pf_free(*(char **)field);
        *(char **)field = pf_strndup(text.at, text.len);
        return 0;
    case PF_OPTION_INT:
    case PF_OPTION_SIZE:
    case PF_OPTION_DURATION: return number_set(o, text, field, err);
    case PF_OPTION_LIST: list_add(field, text); return 0;
    }
    pf_assert_fail("a type of option", __FILE__, __LINE__);
}

/* Reads what was gathered into the fields. */
static int gathering_apply(struct gathering *g, void *config, struct pf_err *err)
{
    char origin[200];

    for (uint32_t i = 0; i < g->o->n_options; i++) {
        const struct pf_option *o = &g->o->options[i];
        const struct given *given = &g->given[i];

        if (given->source == SOURCE_NONE && o->fallback) {
            gathering_note(g, i, SOURCE_FALLBACK, 0, pf_str(o->fallback));
        }
        if (given->source == SOURCE_NONE && o->is_required) {
            return pf_err_set(err, PF_EUSAGE, "--%s is missing; give --%s %s", o->name, o->name,
                              o->arg ? o->arg : "");
        }
        for (uint32_t k = 0; k < given->text.len; k++) {
            if (option_set(o, pf_str(given->text.at[k]), config, err) < 0) {
                option_origin(g, i, origin, sizeof origin);
                pf_err_wrap(err, "%s", origin);
                if (err) {
                    err->code = PF_EUSAGE;
                }
                return PF_EUSAGE;
            }
        }
    }
    return 0;
}

int pf_options_parse(const struct pf_options *o, int argc, char **argv, void *config,
                     enum pf_options_verdict *out_verdict, int *out_first_arg, struct pf_err *err)
{
    struct gathering g = {.o = o};

    PF_ASSERT(o->n_options <= PF_OPTIONS_MAX);
    int rc = gather_line(&g, argc, argv, out_verdict, err);

    if (rc < 0 || *out_verdict != PF_OPTIONS_RUN) {
        goto out;
    }
    *out_first_arg = optind;
    gather_env(&g);
    if (g.config_path) {
        rc = gather_file(&g, err);
        if (rc < 0) {
            pf_err_wrap(err, "%s", g.config_source == SOURCE_ENV ? "configuration" : "--config");
            goto out;
        }
    }
    rc = gathering_apply(&g, config, err);
    if (rc < 0) {
        pf_options_fini(o, config);
    }
out:
    gathering_fini(&g);
    return rc;
}

void pf_options_fini(const struct pf_options *o, void *config)
{
    for (uint32_t i = 0; i < o->n_options; i++) {
        void *field = (char *)config + o->options[i].offset;

        if (o->options[i].type == PF_OPTION_STRING) {
            PF_FREE(*(char **)field);
        } else if (o->options[i].type == PF_OPTION_LIST) {
            struct pf_ptrs *list = field;

            for (uint32_t k = 0; k < list->len; k++) {
                pf_free(list->at[k]);
            }
            pf_ptrs_fini(list);
        }
    }
}
