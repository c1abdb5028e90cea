/* SPDX-License-Identifier: Apache-2.0 */
/* One value of a row as text for people and as JSON. */
#ifndef PF_FRAMEWORK_CLI_CELL_H
#define PF_FRAMEWORK_CLI_CELL_H

#include "common/base/buf.h"
#include "common/fb/json_writer.h"
#include "framework/cli/output.h"

/* As a table shows it, without control characters; "-" if unset. `now_ms` is wall time. */
void pf_cell_show(const struct pf_column *col, const struct pf_cell *cell, int64_t now_ms,
                  struct pf_buf *out);
/* As --filter compares it: exact, never shortened. */
void pf_cell_plain(const struct pf_column *col, const struct pf_cell *cell, struct pf_buf *out);
void pf_cell_json(const struct pf_column *col, const struct pf_cell *cell,
                  struct pf_json_writer *w);
/* Does the cell satisfy KEY=pattern? * and ? match; states without TASK_ and in any case. */
bool pf_cell_matches(const struct pf_column *col, const struct pf_cell *cell,
                     struct pf_str pattern);
/* "4 cpu, 7.5G" */
void pf_resources_show(const struct pf_resources *r, struct pf_buf *out);
void pf_resources_json(const struct pf_resources *r, struct pf_json_writer *w);
/* Columns that the text takes on a terminal. */
uint32_t pf_text_width(const char *text, size_t len);

#endif
