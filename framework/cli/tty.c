/* SPDX-License-Identifier: Apache-2.0 */
/* See tty.h. */
#include "framework/cli/tty.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static struct termios before;
static volatile sig_atomic_t is_raw;

bool pf_tty_is_here(void)
{
    return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

void pf_tty_size(uint32_t *out_rows, uint32_t *out_columns)
{
    struct winsize size = {0};

    (void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &size); /* no terminal: no size */
    *out_rows = size.ws_row > 0 ? size.ws_row : 24;
    *out_columns = size.ws_col > 0 ? size.ws_col : 80;
}

const char *pf_tty_term(void)
{
    const char *term = getenv("TERM");

    return term != NULL && term[0] != '\0' ? term : "dumb";
}

void pf_tty_restore(void)
{
    if (is_raw) {
        is_raw = 0;
        (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &before); /* safe in a handler */
    }
}

static void on_end(int signo)
{
    pf_tty_restore();
    (void)signal(signo, SIG_DFL);
    (void)raise(signo);
}

void pf_tty_raw(void)
{
    static bool is_registered;
    struct termios raw;

    if (is_raw || tcgetattr(STDIN_FILENO, &before) != 0) {
        return;
    }
    raw = before;
    cfmakeraw(&raw);
    if (!is_registered) {
        is_registered = true;
        (void)atexit(pf_tty_restore);
        (void)signal(SIGHUP, on_end);
        (void)signal(SIGSEGV, on_end);
        (void)signal(SIGABRT, on_end);
    }
    is_raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
}
