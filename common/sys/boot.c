/* SPDX-License-Identifier: Apache-2.0 */
/* Reading /proc, /etc/machine-id and the scheduler's mask. */
#include "common/sys/boot.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>
#include "common/base/buf.h"
#include "common/base/id.h"
#include "common/sys/file.h"
#include "common/sys/parse.h"
#include "common/sys/random.h"

enum { BOOT_FILE_MAX = 4096, CPU_MASK_MAX = 1 << 16 };

/* The first line of a small file. */
static int read_line(const char *path, struct pf_buf *out, struct pf_err *err)
{
    int rc = pf_file_read(path, BOOT_FILE_MAX, out, err);

    if (rc == 0) {
        const char *text = pf_buf_cstr(out);

        out->len = strcspn(text, "\n");
        (void)pf_buf_cstr(out); /* puts the NUL where the line ends now */
    }
    return rc;
}

int pf_boot_id(char out[PF_BOOT_ID_LEN + 1], struct pf_err *err)
{
    static const char path[] = "/proc/sys/kernel/random/boot_id";
    struct pf_buf line = {0};
    struct pf_uuid id;
    int rc = read_line(path, &line, err);

    if (rc == 0) {
        if (pf_uuid_parse(pf_str(pf_buf_cstr(&line)), &id)) {
            pf_uuid_format(id, out);
        } else {
            rc = pf_err_set(err, PF_EPROTO, "%s does not hold a uuid", path);
        }
    }
    pf_buf_fini(&line);
    return rc;
}

/* 32 lower-case hex digits. */
static bool machine_id_take(struct pf_buf *line, char out[PF_MACHINE_ID_LEN + 1])
{
    const char *text = pf_buf_cstr(line);

    if (line->len != PF_MACHINE_ID_LEN || strspn(text, "0123456789abcdef") != line->len) {
        return false;
    }
    memcpy(out, text, PF_MACHINE_ID_LEN + 1);
    return true;
}

/* Makes an id and keeps it. */
static int machine_id_make(const char *path, char out[PF_MACHINE_ID_LEN + 1], struct pf_err *err)
{
    uint8_t bytes[PF_MACHINE_ID_LEN / 2];
    char text[PF_MACHINE_ID_LEN + 2];

    pf_random_bytes(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    }
    text[PF_MACHINE_ID_LEN] = '\n';
    int rc = pf_file_write(path, text, PF_MACHINE_ID_LEN + 1, 0644, err);
    if (rc == 0) {
        memcpy(out, text, PF_MACHINE_ID_LEN);
        out[PF_MACHINE_ID_LEN] = '\0';
    }
    return rc;
}

int pf_machine_id(const char *own_path, char out[PF_MACHINE_ID_LEN + 1], struct pf_err *err)
{
    struct pf_buf line = {0};
    bool is_found = read_line("/etc/machine-id", &line, NULL) == 0 && machine_id_take(&line, out);
    int rc = 0;

    if (!is_found) {
        pf_buf_clear(&line);
        rc = read_line(own_path, &line, NULL);
        if (rc == 0) {
            rc = machine_id_take(&line, out)
                     ? 0
                     : pf_err_set(err, PF_EPROTO, "%s does not hold a machine id; remove it",
                                  own_path);
        } else {
            rc = machine_id_make(own_path, out, err);
        }
    }
    pf_buf_fini(&line);
    return rc;
}

/* The number in field `n` (counted from 1) of a stat line. Field 2 is the name in parentheses,
 * which may hold blanks and parentheses. */
static bool stat_field(const char *line, int n, uint64_t *out)
{
    const char *at = strrchr(line, ')');

    for (int i = 2; at && i < n; i++) {
        at = strchr(at + 1, ' ');
    }
    if (!at) {
        return false;
    }
    struct pf_str text = {at + 1, (uint32_t)strcspn(at + 1, " ")};

    return pf_parse_u64(text, out, NULL) == 0;
}

int pf_pid_start_time(pid_t pid, uint64_t *out_ticks, struct pf_err *err)
{
    enum { FIELD_START = 22 };
    struct pf_buf line = {0};
    char path[64];

    (void)snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    int rc = read_line(path, &line, err);
    if (rc == 0 && !stat_field(pf_buf_cstr(&line), FIELD_START, out_ticks)) {
        rc = pf_err_set(err, PF_EPROTO, "%s is not as expected", path);
    }
    pf_buf_fini(&line);
    return rc;
}

uint32_t pf_cpu_count(void)
{
    for (size_t n = 1024; n <= CPU_MASK_MAX; n *= 2) { /* the kernel refuses a mask too short */
        cpu_set_t *set = CPU_ALLOC(n);
        size_t bytes = CPU_ALLOC_SIZE(n);
        int count = 0;

        PF_ASSERT(set != NULL);
        if (sched_getaffinity(0, bytes, set) == 0) {
            count = CPU_COUNT_S(bytes, set);
        }
        CPU_FREE(set);
        if (count > 0) {
            return (uint32_t)count;
        }
    }
    return 1;
}

int pf_memory_total(uint64_t *out_bytes, struct pf_err *err)
{
    static const char *const group_limits[] = {"/sys/fs/cgroup/memory.max",
                                               "/sys/fs/cgroup/memory/memory.limit_in_bytes"};
    struct sysinfo info;

    if (sysinfo(&info) < 0) {
        return pf_err_set(err, PF_EIO, "the kernel does not tell its memory");
    }
    uint64_t total = (uint64_t)info.totalram * info.mem_unit;

    for (size_t i = 0; i < PF_ARRAY_LEN(group_limits); i++) {
        struct pf_buf line = {0};
        uint64_t limit;

        if (read_line(group_limits[i], &line, NULL) == 0 && /* "max": no limit, not a number */
            pf_parse_u64(pf_str(pf_buf_cstr(&line)), &limit, NULL) == 0 && limit < total) {
            total = limit;
        }
        pf_buf_fini(&line);
    }
    *out_bytes = total;
    return 0;
}
