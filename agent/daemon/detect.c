/* SPDX-License-Identifier: Apache-2.0 */
/* See detect.h. The reserves are those of Mesos. */
#include "agent/daemon/detect.h"

#include <string.h>

#include "common/sys/boot.h"
#include "common/sys/file.h"

#define GIB         (UINT64_C(1) << 30)
#define MEM_RESERVE (1 * GIB)
#define DISK_RESERVE (5 * GIB)
#define PORTS_BEGIN 31000
#define PORTS_END   32000

int pf_machine_read(const char *disk_path, struct pf_machine *out, struct pf_err *err)
{
    struct pf_machine m = {.cpus = pf_cpu_count()};
    uint64_t free_bytes;

    int rc = pf_memory_total(&m.mem_bytes, err);
    if (rc == 0) {
        rc = pf_fs_space(disk_path, &free_bytes, &m.disk_bytes, err);
    }
    if (rc == 0) {
        *out = m;
    }
    return rc;
}

/* Is `name` one of the names of "a:1; b(*):2"? */
static bool names(const char *text, const char *name)
{
    size_t len = strlen(name);

    for (const char *p = text; p != NULL; p = strchr(p, ';')) {
        p += strspn(p, "; \t");
        if (strncmp(p, name, len) == 0 && strchr(":( \t", p[len]) != NULL && p[len] != '\0') {
            return true;
        }
    }
    return false;
}

static int64_t mb_milli(uint64_t total, uint64_t reserve)
{
    uint64_t bytes = total < 2 * reserve ? total / 2 : total - reserve;

    return (int64_t)(bytes >> 20) * 1000;
}

int pf_detect_resources(const char *text, const struct pf_machine *m, struct pf_resources *out,
                        struct pf_err *err)
{
    const struct {
        const char *name;
        int64_t milli;
    } scalars[] = {
        {"cpus", (int64_t)m->cpus * 1000},
        {"mem", mb_milli(m->mem_bytes, MEM_RESERVE)},
        {"disk", mb_milli(m->disk_bytes, DISK_RESERVE)},
    };
    struct pf_resources r = {0};

    int rc = pf_res_parse(pf_str(text), &r, err);
    for (size_t i = 0; rc == 0 && i < PF_ARRAY_LEN(scalars); i++) {
        if (!names(text, scalars[i].name)) {
            rc = pf_res_add_scalar(&r, pf_str(scalars[i].name), scalars[i].milli, err);
        }
    }
    if (rc == 0 && !names(text, "ports")) {
        rc = pf_res_add_range(&r, PF_STR("ports"), PORTS_BEGIN, PORTS_END, err);
    }
    if (rc < 0) {
        pf_err_wrap(err, "--resources");
        if (err != NULL) {
            err->code = PF_EUSAGE; /* the text is the operator's */
        }
        pf_res_fini(&r);
        return PF_EUSAGE;
    }
    *out = r;
    return 0;
}
