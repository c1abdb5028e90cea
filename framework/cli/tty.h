/* SPDX-License-Identifier: Apache-2.0 */
/* Our own terminal while a task's is shown in it: every key goes to the task, so it is put into raw
 * mode, and back again however we end. */
#ifndef PF_FRAMEWORK_CLI_TTY_H
#define PF_FRAMEWORK_CLI_TTY_H

#include <stdbool.h>
#include <stdint.h>

/* Are standard input and output a terminal? */
bool pf_tty_is_here(void);
/* Of our terminal; 24 x 80 if it does not say. */
void pf_tty_size(uint32_t *out_rows, uint32_t *out_columns);
/* "TERM=xterm", what the task should think it has; static or of the environment. */
const char *pf_tty_term(void);
/* Raw mode until pf_tty_restore, exit, or a signal that ends us. */
void pf_tty_raw(void);
void pf_tty_restore(void);

#endif
