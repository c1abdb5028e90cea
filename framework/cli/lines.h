/* SPDX-License-Identifier: Apache-2.0 */
/* Output of tasks on our own streams: of one task byte for byte, of several as whole lines with
 * "[3] " in front. */
#ifndef PF_FRAMEWORK_CLI_LINES_H
#define PF_FRAMEWORK_CLI_LINES_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/str.h"
#include "framework/cli/cli.h"

#define PF_LINE_MAX_BYTES (64u << 10) /* a longer line is printed in pieces */

struct pf_lines;

/* `fd[stream]`: where stdout and stderr go. `has_prefix`: lines carry "[index] ". */
struct pf_lines *pf_lines_create(const int fd[2], bool has_prefix);
void pf_lines_destroy(struct pf_lines *l); /* NULL is fine */
void pf_lines_add(struct pf_lines *l, uint32_t index, int stream, struct pf_bytes data);
/* The stream has ended: prints what is left of a line without its newline. */
void pf_lines_end(struct pf_lines *l, uint32_t index, int stream);
/* Our reader is gone (EPIPE), or the file is full: errno; 0 = fine. Nothing more is written. */
int pf_lines_error(const struct pf_lines *l);
/* Says so, where there is an error; returns the exit status given. */
int pf_lines_fail(const struct pf_lines *l, struct pf_cli *cli, int status);

#endif
