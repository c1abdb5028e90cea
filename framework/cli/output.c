/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of data on stdout. */
#include "framework/cli/output.h"

#include <string.h>
#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "common/sys/clock.h"
#include "framework/cli/cell.h"
#include "framework/cli/value.h"

enum format { FORMAT_TABLE, FORMAT_JSON, FORMAT_JSONL, FORMAT_IDS, FORMAT_RECORD };
enum { FILTERS_MAX = 32, SHOWN_MAX = 48, ROWS_FIRST_CAP = 64 };

struct filter {
    uint32_t column;
    struct pf_str pattern;
};

struct pf_output {
    struct pf_cli *cli;
    const struct pf_columns *columns;
    enum format format;
    bool has_colour, has_header, is_narrow;
    uint32_t pick[PF_COLUMNS_MAX]; /* which columns, in which order */
    uint32_t n_picks;
    struct filter filter[FILTERS_MAX];
    uint32_t n_filters;
    struct pf_cell row[PF_COLUMNS_MAX];
    struct pf_arena arena;
    struct pf_ptrs resources; /* of this page, owned */
    struct pf_ptrs kept;      /* arrays of n_picks texts of this page, in the arena */
    uint32_t width[PF_COLUMNS_MAX];
    bool has_widths;
    struct pf_buf json;
    struct pf_json_writer writer;
    uint64_t n_rows;
};

static int column_of(const struct pf_columns *columns, struct pf_str key)
{
    for (uint32_t i = 0; i < columns->n; i++) {
        if (pf_str_is(key, columns->at[i].key)) {
            return (int)i;
        }
    }
    return -1;
}

static int unknown_key(struct pf_output *o, struct pf_str key)
{
    struct pf_cli *cli = o->cli;
    const char *all = "keys:";
    for (uint32_t i = 0; i < o->columns->n; i++) {
        all = pf_cli_text(cli, "%s %s", all, o->columns->at[i].key);
    }
    return pf_cli_usage(cli, pf_cli_text(cli, "there is no key '%.*s'", PF_STR_ARG(key)), all);
}

static int pick_columns(struct pf_output *o)
{
    const char *list = pf_args_text(&o->cli->args, "columns");
    if (list == NULL) {
        for (uint32_t i = 0; i < o->columns->n; i++) {
            if (o->format != FORMAT_TABLE || o->columns->at[i].is_shown) {
                o->pick[o->n_picks++] = i;
            }
        }
        return 0;
    }
    for (const char *at = list; *at != '\0';) {
        uint32_t len = (uint32_t)strcspn(at, ",");
        struct pf_str key = {at, len};
        int column = column_of(o->columns, key);
        if (column < 0) {
            return unknown_key(o, key);
        }
        if (o->n_picks == PF_COLUMNS_MAX) {
            return pf_cli_usage(o->cli, "too many columns", "name each one once");
        }
        o->pick[o->n_picks++] = (uint32_t)column;
        at += len + (at[len] == ',' ? 1 : 0);
    }
    return o->n_picks > 0 ? 0 : unknown_key(o, PF_STR(""));
}

static int read_filters(struct pf_output *o)
{
    uint32_t cursor = 0;
    const char *text;
    while ((text = pf_args_next(&o->cli->args, "filter", &cursor)) != NULL) {
        struct pf_str key, value;
        if (!pf_value_split(text, &key, &value) || o->n_filters == FILTERS_MAX) {
            return pf_cli_usage(o->cli, pf_cli_text(o->cli, "'%s' is no filter", text),
                                "write --filter KEY=VALUE, for example --filter state=running");
        }
        int column = column_of(o->columns, key);
        if (column < 0) {
            return unknown_key(o, key);
        }
        o->filter[o->n_filters++] = (struct filter){(uint32_t)column, value};
    }
    return 0;
}

int pf_output_open(struct pf_cli *cli, const struct pf_columns *columns, struct pf_output **out)
{
    PF_ASSERT(columns->n <= PF_COLUMNS_MAX);
    struct pf_output *o = PF_NEW(struct pf_output);
    const char *format = pf_args_text(&cli->args, "output");
    o->cli = cli;
    o->columns = columns;
    o->format = format == NULL || strcmp(format, "table") == 0 ? FORMAT_TABLE
                : strcmp(format, "json") == 0                  ? FORMAT_JSON
                                                               : FORMAT_JSONL;
    if (pf_args_has(&cli->args, "quiet")) {
        o->format = FORMAT_IDS;
    }
    const char *no_colour = cli->env("NO_COLOR");
    o->has_colour = cli->out_is_terminal && (no_colour == NULL || no_colour[0] == '\0');
    o->is_narrow = cli->out_is_terminal;
    o->has_header = !pf_args_has(&cli->args, "no-header");
    pf_jw_init(&o->writer, &o->json, false);
    int status = pick_columns(o);
    status = status != 0 ? status : read_filters(o);
    if (status != 0) {
        pf_free(o);
        return status;
    }
    *out = o;
    return 0;
}

void pf_output_as_record(struct pf_output *o)
{
    if (o->format != FORMAT_TABLE) {
        return;
    }
    o->format = FORMAT_RECORD;
    if (!pf_args_has(&o->cli->args, "columns")) {
        for (o->n_picks = 0; o->n_picks < o->columns->n; o->n_picks++) {
            o->pick[o->n_picks] = o->n_picks;
        }
    }
}

struct pf_cell *pf_output_row(struct pf_output *o)
{
    memset(o->row, 0, sizeof o->row);
    return o->row;
}

struct pf_arena *pf_output_arena(struct pf_output *o)
{
    return &o->arena;
}

struct pf_resources *pf_output_resources(struct pf_output *o)
{
    struct pf_resources *r = PF_NEW(struct pf_resources);
    pf_ptrs_push(&o->resources, r);
    return r;
}

bool pf_output_is_table(const struct pf_output *o)
{
    return o->format == FORMAT_TABLE || o->format == FORMAT_RECORD;
}

const char *pf_output_filter(const struct pf_output *o, const char *key)
{
    for (uint32_t i = 0; i < o->n_filters; i++) {
        if (strcmp(o->columns->at[o->filter[i].column].key, key) == 0) {
            return o->filter[i].pattern.at;
        }
    }
    return NULL;
}

static void write_out(struct pf_output *o, const char *at, size_t len)
{
    (void)fwrite(at, 1, len, o->cli->out); /* looked at once, at the end of the command */
}

static void put_json(struct pf_output *o)
{
    if (o->format == FORMAT_JSON) {
        const char *before = o->n_rows == 0 ? "[\n" : ",\n";
        write_out(o, before, strlen(before));
    }
    pf_buf_clear(&o->json);
    pf_jw_init(&o->writer, &o->json, false);
    pf_jw_begin_object(&o->writer);
    for (uint32_t i = 0; i < o->n_picks; i++) {
        pf_cell_json(&o->columns->at[o->pick[i]], &o->row[o->pick[i]], &o->writer);
    }
    pf_jw_end_object(&o->writer);
    write_out(o, (const char *)o->json.data, o->json.len);
    if (o->format == FORMAT_JSONL) {
        write_out(o, "\n", 1);
    }
}

static const char *colour_of(const char *key, const char *text)
{
    static const struct {
        const char *word, *colour;
    } table[] = {
        {"TASK_RUNNING", "\033[32m"},     {"REGISTERED", "\033[32m"},   {"leading", "\033[32m"},
        {"ACTIVE", "\033[32m"},           {"TASK_FAILED", "\033[31m"},  {"TASK_ERROR", "\033[31m"},
        {"TASK_LOST", "\033[31m"},        {"UNREACHABLE", "\033[31m"},  {"TASK_GONE", "\033[31m"},
        {"TASK_DROPPED", "\033[31m"},     {"TASK_WAITING", "\033[33m"}, {"TASK_KILLED", "\033[33m"},
        {"TASK_UNREACHABLE", "\033[31m"}, {"DISCONNECTED", "\033[33m"},
    };
    if (strcmp(key, "state") != 0) {
        return NULL;
    }
    for (size_t i = 0; i < PF_ARRAY_LEN(table); i++) {
        if (strcmp(text, table[i].word) == 0) {
            return table[i].colour;
        }
    }
    return NULL;
}

/* The text of a cell, shortened on a terminal so that a line stays a line. */
static const char *shown_text(struct pf_output *o, uint32_t column)
{
    struct pf_buf text = {0};
    pf_cell_show(&o->columns->at[column], &o->row[column], pf_wall_ms(), &text);
    if (o->is_narrow && o->format == FORMAT_TABLE && text.len > SHOWN_MAX) {
        text.len = SHOWN_MAX - 3;
        while (text.len > 0 && (text.data[text.len] & 0xc0) == 0x80) {
            text.len--;
        }
        pf_buf_add_cstr(&text, "...");
    }
    struct pf_str s = {pf_buf_cstr(&text), (uint32_t)text.len};
    const char *kept = pf_arena_strdup(&o->arena, s).at;
    pf_buf_fini(&text);
    return kept;
}

/* A text of several lines, one below the other. */
static void put_lines(struct pf_output *o, uint32_t column, const char *key, int left)
{
    struct pf_cell *cell = &o->row[column];
    struct pf_str rest = cell->shown.at != NULL ? cell->shown : cell->text;
    do {
        const char *end = rest.len > 0 ? memchr(rest.at, '\n', rest.len) : NULL;
        uint32_t len = end != NULL ? (uint32_t)(end - rest.at) : rest.len;
        cell->shown = (struct pf_str){rest.at, len};
        (void)fprintf(o->cli->out, "%-*s  %s\n", left, key, len > 0 ? shown_text(o, column) : "-");
        key = "";
        rest = end != NULL ? (struct pf_str){end + 1, rest.len - len - 1} : (struct pf_str){0};
    } while (rest.len > 0);
}

static void put_record(struct pf_output *o)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < o->n_picks; i++) {
        uint32_t len = (uint32_t)strlen(o->columns->at[o->pick[i]].key);
        left = len > left ? len : left;
    }
    for (uint32_t i = 0; i < o->n_picks; i++) {
        uint32_t column = o->pick[i];
        const char *key = o->columns->at[column].key;
        if (o->columns->at[column].kind == PF_CELL_RAW && o->row[column].is_set) {
            put_lines(o, column, key, (int)left);
        } else {
            (void)fprintf(o->cli->out, "%-*s  %s\n", (int)left, key, shown_text(o, column));
        }
    }
}

void pf_output_put(struct pf_output *o)
{
    for (uint32_t i = 0; i < o->n_filters; i++) {
        uint32_t column = o->filter[i].column;
        if (!pf_cell_matches(&o->columns->at[column], &o->row[column], o->filter[i].pattern)) {
            return;
        }
    }
    switch (o->format) {
    case FORMAT_JSON:
    case FORMAT_JSONL: put_json(o); break;
    case FORMAT_IDS:
        write_out(o, o->row[0].text.at, o->row[0].text.len);
        write_out(o, "\n", 1);
        break;
    case FORMAT_RECORD:
        if (o->n_rows > 0) {
            write_out(o, "\n", 1);
        }
        put_record(o);
        break;
    case FORMAT_TABLE: {
        const char **texts = pf_arena_alloc(&o->arena, o->n_picks * sizeof *texts);
        for (uint32_t i = 0; i < o->n_picks; i++) {
            texts[i] = shown_text(o, o->pick[i]);
        }
        pf_ptrs_push(&o->kept, texts);
        break;
    }
    }
    o->n_rows++;
}

static void heading(const struct pf_output *o, uint32_t i, char out[64])
{
    size_t n = 0;
    for (const char *c = o->columns->at[o->pick[i]].key; *c != '\0' && n < 63; c++) {
        out[n++] = *c == '_' ? ' ' : (char)(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
    }
    out[n] = '\0';
}

static void measure(struct pf_output *o)
{
    char head[64];
    for (uint32_t i = 0; i < o->n_picks; i++) {
        heading(o, i, head);
        o->width[i] = o->has_header ? (uint32_t)strlen(head) : 0;
        for (uint32_t r = 0; r < o->kept.len; r++) {
            const char *const *texts = o->kept.at[r];
            uint32_t width = pf_text_width(texts[i], strlen(texts[i]));
            o->width[i] = width > o->width[i] ? width : o->width[i];
        }
    }
    o->has_widths = true;
}

static void put_padded(struct pf_output *o, uint32_t i, const char *text, const char *colour)
{
    uint32_t width = pf_text_width(text, strlen(text));
    bool is_last = i + 1 == o->n_picks;
    bool is_right = o->columns->at[o->pick[i]].kind == PF_CELL_INT;
    int pad = width < o->width[i] ? (int)(o->width[i] - width) : 0;
    (void)fprintf(o->cli->out, "%*s%s%s%s%*s", is_right ? pad : 0, "", colour != NULL ? colour : "",
                  text, colour != NULL ? "\033[0m" : "", is_right || is_last ? 0 : pad, "");
    (void)fputs(is_last ? "\n" : "  ", o->cli->out);
}

static void put_table(struct pf_output *o)
{
    bool is_first = !o->has_widths;
    if (is_first) {
        measure(o);
    }
    for (uint32_t i = 0; is_first && o->has_header && i < o->n_picks; i++) {
        char head[64];
        heading(o, i, head);
        put_padded(o, i, head, o->has_colour ? "\033[1m" : NULL);
    }
    for (uint32_t r = 0; r < o->kept.len; r++) {
        const char *const *texts = o->kept.at[r];
        for (uint32_t i = 0; i < o->n_picks; i++) {
            const char *key = o->columns->at[o->pick[i]].key;
            put_padded(o, i, texts[i], o->has_colour ? colour_of(key, texts[i]) : NULL);
        }
    }
}

void pf_output_flush(struct pf_output *o)
{
    if (o->format == FORMAT_TABLE && o->kept.len > 0) {
        put_table(o);
    }
    o->kept.len = 0;
    for (uint32_t i = 0; i < o->resources.len; i++) {
        pf_res_fini(o->resources.at[i]);
        pf_free(o->resources.at[i]);
    }
    o->resources.len = 0;
    pf_arena_reset(&o->arena);
}

void pf_output_discard(struct pf_output *o)
{
    o->kept.len = 0;
    pf_output_flush(o);
    pf_ptrs_fini(&o->kept);
    pf_ptrs_fini(&o->resources);
    pf_buf_fini(&o->json);
    pf_arena_fini(&o->arena);
    pf_free(o);
}

uint64_t pf_output_close(struct pf_output *o)
{
    pf_output_flush(o);
    if (o->format == FORMAT_TABLE && !o->has_widths) {
        put_table(o); /* the headings of an empty table */
    } else if (o->format == FORMAT_JSON) {
        const char *end = o->n_rows == 0 ? "[]\n" : "\n]\n";
        write_out(o, end, strlen(end));
    }
    (void)fflush(o->cli->out);
    uint64_t n_rows = o->n_rows;
    pf_output_discard(o);
    return n_rows;
}
