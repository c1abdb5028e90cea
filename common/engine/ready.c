/* SPDX-License-Identifier: Apache-2.0 */
/* See ready.h. */
#include "common/engine/ready.h"

#include <unistd.h>

#include "common/fb/json_writer.h"
#include "common/sys/fd.h"

void pf_ready_tell(int fd, const char *native_address, const char *http_address)
{
    if (fd < 0) {
        return;
    }
    struct pf_buf line = {0};
    struct pf_json_writer w;
    pf_jw_init(&w, &line, false);
    pf_jw_begin_object(&w);
    pf_jw_field_cstr(&w, "native", native_address);
    pf_jw_field_cstr(&w, "http", http_address);
    pf_jw_field_int(&w, "pid", getpid());
    pf_jw_end_object(&w);
    pf_buf_add_byte(&line, '\n');
    /* The starter may have given up waiting; that is its own affair. */
    (void)!pf_fd_write_all(fd, line.data, line.len, NULL);
    pf_buf_fini(&line);
    pf_fd_close(&fd);
}
