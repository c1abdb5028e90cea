/* SPDX-License-Identifier: Apache-2.0 */
/* One value of a row. */
#include "framework/cli/cell.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "common/sys/parse.h"

enum { FILTER_MAX = 4096 };

static int64_t bytes_of(int64_t milli_mb)
{
    return milli_mb / 1000 * 1048576 + milli_mb % 1000 * 1048576 / 1000;
}

void pf_resources_show(const struct pf_resources *r, struct pf_buf *out)
{
    char bytes[PF_FORMAT_BYTES_MAX];
    pf_format_bytes((uint64_t)bytes_of(r->scalar_milli[PF_RES_MEM]), bytes);
    pf_milli_format(r->scalar_milli[PF_RES_CPUS], out);
    pf_buf_printf(out, " cpu, %s", bytes);
    if (r->scalar_milli[PF_RES_GPUS] != 0) {
        pf_buf_add_cstr(out, ", ");
        pf_milli_format(r->scalar_milli[PF_RES_GPUS], out);
        pf_buf_add_cstr(out, " gpu");
    }
}

static void put_decimals(struct pf_json_writer *w, const char *key, int64_t milli)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%" PRId64 ".%03d", milli / 1000, (int)(milli % 1000));
    pf_jw_key(w, key);
    pf_jw_raw(w, pf_str(text));
}

void pf_resources_json(const struct pf_resources *r, struct pf_json_writer *w)
{
    const struct pf_res_item *ports = pf_res_find(r, PF_STR("ports"));
    pf_jw_begin_object(w);
    put_decimals(w, "cpus", r->scalar_milli[PF_RES_CPUS]);
    pf_jw_field_int(w, "mem_bytes", bytes_of(r->scalar_milli[PF_RES_MEM]));
    pf_jw_field_int(w, "disk_bytes", bytes_of(r->scalar_milli[PF_RES_DISK]));
    pf_jw_field_milli(w, "gpus", r->scalar_milli[PF_RES_GPUS]);
    pf_jw_key(w, "ports");
    pf_jw_begin_array(w);
    for (uint32_t i = 0; ports != NULL && ports->kind == PF_RES_KIND_RANGES && i < ports->n; i++) {
        pf_jw_begin_array(w);
        pf_jw_uint(w, ports->range[i].begin);
        pf_jw_uint(w, ports->range[i].end);
        pf_jw_end_array(w);
    }
    pf_jw_end_array(w);
    pf_jw_end_object(w);
}

static void add_clean(struct pf_buf *out, struct pf_str s)
{
    for (uint32_t i = 0; i < s.len; i++) {
        uint8_t c = (uint8_t)s.at[i];
        pf_buf_add_byte(out, c < 0x20 || c == 0x7f ? (uint8_t)' ' : c);
    }
}

void pf_cell_show(const struct pf_column *col, const struct pf_cell *cell, int64_t now_ms,
                  struct pf_buf *out)
{
    char text[PF_FORMAT_DURATION_MAX];
    if (!cell->is_set) {
        pf_buf_add_byte(out, '-');
        return;
    }
    switch (col->kind) {
    case PF_CELL_TEXT:
    case PF_CELL_RAW:
        add_clean(out, cell->shown.at != NULL ? cell->shown : cell->text);
        break;
    case PF_CELL_INT: pf_buf_printf(out, "%" PRId64, cell->num); break;
    case PF_CELL_BOOL: pf_buf_add_cstr(out, cell->num != 0 ? "yes" : "no"); break;
    case PF_CELL_TIME: {
        int64_t age = now_ms - cell->num;
        pf_format_duration(age > 0 ? age : 0, text);
        pf_buf_printf(out, "%s ago", text);
        break;
    }
    case PF_CELL_MS:
        pf_format_duration(cell->num, text);
        pf_buf_add_cstr(out, text);
        break;
    case PF_CELL_RESOURCES: pf_resources_show(cell->resources, out); break;
    }
}

void pf_cell_plain(const struct pf_column *col, const struct pf_cell *cell, struct pf_buf *out)
{
    char text[PF_FORMAT_TIME_MAX];
    if (!cell->is_set) {
        return;
    }
    switch (col->kind) {
    case PF_CELL_TEXT: pf_buf_add_str(out, cell->text); break;
    case PF_CELL_RAW: pf_buf_add_str(out, cell->text.at != NULL ? cell->text : cell->json); break;
    case PF_CELL_INT:
    case PF_CELL_MS: pf_buf_printf(out, "%" PRId64, cell->num); break;
    case PF_CELL_BOOL: pf_buf_add_cstr(out, cell->num != 0 ? "true" : "false"); break;
    case PF_CELL_TIME:
        pf_format_time(cell->num, text);
        pf_buf_add_cstr(out, text);
        break;
    case PF_CELL_RESOURCES: pf_res_format(cell->resources, out); break;
    }
}

void pf_cell_json(const struct pf_column *col, const struct pf_cell *cell,
                  struct pf_json_writer *w)
{
    char text[PF_FORMAT_TIME_MAX];
    pf_jw_key(w, col->key);
    if (!cell->is_set) {
        pf_jw_null(w);
        return;
    }
    switch (col->kind) {
    case PF_CELL_TEXT: pf_jw_str(w, cell->text); break;
    case PF_CELL_RAW: pf_jw_raw(w, cell->json); break;
    case PF_CELL_INT:
    case PF_CELL_MS: pf_jw_int(w, cell->num); break;
    case PF_CELL_BOOL: pf_jw_bool(w, cell->num != 0); break;
    case PF_CELL_TIME:
        pf_format_time(cell->num, text);
        pf_jw_cstr(w, text);
        break;
    case PF_CELL_RESOURCES: pf_resources_json(cell->resources, w); break;
    }
}

static void fold_state(struct pf_str s, struct pf_buf *out)
{
    size_t begin = out->len;
    for (uint32_t i = 0; i < s.len; i++) {
        uint8_t c = (uint8_t)s.at[i];
        pf_buf_add_byte(out, c >= 'a' && c <= 'z' ? (uint8_t)(c - 'a' + 'A') : c);
    }
    if (out->len - begin > 5 && memcmp(out->data + begin, "TASK_", 5) == 0) {
        memmove(out->data + begin, out->data + begin + 5, out->len - begin - 5);
        out->len -= 5;
    }
}

bool pf_cell_matches(const struct pf_column *col, const struct pf_cell *cell, struct pf_str pattern)
{
    struct pf_buf plain = {0}, have = {0}, want = {0};
    pf_cell_plain(col, cell, &plain);
    if (strcmp(col->key, "state") == 0) {
        fold_state((struct pf_str){pf_buf_cstr(&plain), (uint32_t)plain.len}, &have);
        fold_state(pattern, &want);
    } else {
        pf_buf_add(&have, plain.data, plain.len);
        pf_buf_add_str(&want, pattern);
    }
    bool matches = have.len <= FILTER_MAX &&
                   pf_str_glob((struct pf_str){pf_buf_cstr(&want), (uint32_t)want.len},
                               (struct pf_str){pf_buf_cstr(&have), (uint32_t)have.len});
    pf_buf_fini(&plain);
    pf_buf_fini(&have);
    pf_buf_fini(&want);
    return matches;
}

uint32_t pf_text_width(const char *text, size_t len)
{
    uint32_t width = 0;
    for (size_t i = 0; i < len; i++) {
        width += ((uint8_t)text[i] & 0xc0) != 0x80 ? 1u : 0u;
    }
    return width;
}
