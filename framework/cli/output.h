/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of data on stdout, in the form that -o, -q, --columns, --no-header and --filter ask for. One
 * table of columns describes an entity for all of them. Rows are printed page by page, so memory
 * does not grow with the list; a table takes its widths from the first page. */
#ifndef PF_FRAMEWORK_CLI_OUTPUT_H
#define PF_FRAMEWORK_CLI_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/arena.h"
#include "common/base/compiler.h"
#include "common/base/resources.h"
#include "framework/cli/cli.h"

enum pf_cell_kind {
    PF_CELL_TEXT,
    PF_CELL_INT,
    PF_CELL_BOOL,
    PF_CELL_TIME,      /* wall ms: RFC 3339 in UTC, in tables the age of it */
    PF_CELL_MS,        /* ms: a number, in tables "5m30s" */
    PF_CELL_RESOURCES, /* {cpus, mem_bytes, disk_bytes, gpus, ports} */
    PF_CELL_RAW,       /* `json` as it is, `text` in tables */
};

struct pf_column {
    const char *key;      /* in JSON, --columns and --filter; heading of the table in capitals */
    enum pf_cell_kind kind;
    bool is_shown;        /* in tables without --columns */
};

struct pf_columns {
    const struct pf_column *at;
    uint32_t n;
};
#define PF_COLUMNS(array) {(array), (uint32_t)PF_ARRAY_LEN(array)}
#define PF_COLUMNS_MAX 32

/* All zero = unset: null in JSON, "-" in tables. Everything is borrowed until the page is flushed:
 * make texts in pf_output_arena(). */
struct pf_cell {
    bool is_set;
    struct pf_str text;  /* TEXT, RAW */
    struct pf_str shown; /* in tables instead of the text; absent: the text */
    struct pf_str json;  /* RAW */
    int64_t num;
    const struct pf_resources *resources;
};

struct pf_output;

/* Reads the verb's output options. 0; or the exit status, the error is printed. Columns are
 * borrowed. */
int pf_output_open(struct pf_cli *cli, const struct pf_columns *columns, struct pf_output **out);
/* A row of unset cells to fill, valid until the put. */
struct pf_cell *pf_output_row(struct pf_output *o);
/* Prints it, or keeps it for the table, unless the filters refuse it. */
void pf_output_put(struct pf_output *o);
/* The end of a page: what was kept is printed, the arena is reset. */
void pf_output_flush(struct pf_output *o);
/* Memory until the next flush. */
struct pf_arena *pf_output_arena(struct pf_output *o);
/* An empty amount that lives as long. */
struct pf_resources *pf_output_resources(struct pf_output *o);
/* Flushes, ends the JSON array, frees. Returns how many rows there were. */
uint64_t pf_output_close(struct pf_output *o);
/* Ends it without printing anything. */
void pf_output_discard(struct pf_output *o);
/* What --filter wants `key` to be, NULL if it says nothing of it: a list may ask for less. */
const char *pf_output_filter(const struct pf_output *o, const char *key);
/* Rows for people, or for programs? */
bool pf_output_is_table(const struct pf_output *o);
/* One row as "key: value" lines (or as JSON, by -o): how `show` prints. */
void pf_output_as_record(struct pf_output *o);

static inline void pf_cell_text(struct pf_cell *c, struct pf_str s)
{
    c->is_set = s.at != NULL;
    c->text = s;
}

/* An empty text counts as unset. */
static inline void pf_cell_name(struct pf_cell *c, struct pf_str s)
{
    c->is_set = s.len > 0;
    c->text = s;
}

static inline void pf_cell_num(struct pf_cell *c, int64_t num)
{
    c->is_set = true;
    c->num = num;
}

/* 0 counts as unset (times that have not come). */
static inline void pf_cell_time(struct pf_cell *c, int64_t wall_ms)
{
    c->is_set = wall_ms > 0;
    c->num = wall_ms;
}

static inline void pf_cell_resources(struct pf_cell *c, const struct pf_resources *r)
{
    c->is_set = true;
    c->resources = r;
}

#endif
