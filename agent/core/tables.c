/* SPDX-License-Identifier: Apache-2.0 */
/* The states of a task and of the link to the leader, and texts for numbers of the kernel. */
#include "agent/core/calls_internal.h"

#include <errno.h>

#define MAY(state) (1u << (state))

/* Numbers are those of RunState. Recovery may begin in any of them. */
static const struct pf_sm_state run_states[] = {
    [RunState_NONE] = {"none", 0, 0},
    [RunState_ACCEPTED] = {"accepted", PF_SM_INITIAL, MAY(RunState_STARTING) | MAY(RunState_ENDED)},
    [RunState_STARTING] = {"starting", PF_SM_INITIAL, MAY(RunState_RUNNING) | MAY(RunState_ENDED)},
    [RunState_RUNNING] = {"running", PF_SM_INITIAL, MAY(RunState_KILLING) | MAY(RunState_ENDED)},
    [RunState_KILLING] = {"killing", PF_SM_INITIAL, MAY(RunState_ENDED)},
    [RunState_ENDED] = {"ended", PF_SM_INITIAL | PF_SM_FINAL, 0},
};
const struct pf_sm_table ag_run_table = {"task", run_states, PF_ARRAY_LEN(run_states)};
const struct pf_sm_table ag_executor_table = {"executor", run_states, PF_ARRAY_LEN(run_states)};

static const struct pf_sm_state link_states[] = {
    [LINK_STANDBY] = {"standby", PF_SM_INITIAL, MAY(LINK_REGISTERING)},
    [LINK_REGISTERING] = {"registering", 0,
                          MAY(LINK_STANDBY) | MAY(LINK_REGISTERING) | MAY(LINK_REGISTERED) |
                              MAY(LINK_REFUSED)},
    [LINK_REGISTERED] = {"registered", 0, MAY(LINK_STANDBY) | MAY(LINK_REGISTERING)},
    [LINK_REFUSED] = {"refused", 0, MAY(LINK_STANDBY) | MAY(LINK_REGISTERING)},
};
const struct pf_sm_table ag_link_table = {"agent", link_states, PF_ARRAY_LEN(link_states)};

struct number_text {
    int number;
    const char *text;
};

/* strerror depends on the locale and is not for a core. */
static const struct number_text errno_texts[] = {
    {EPERM, "Operation not permitted"},
    {ENOENT, "No such file or directory"},
    {EIO, "Input/output error"},
    {E2BIG, "Argument list too long"},
    {ENOEXEC, "Exec format error"},
    {EAGAIN, "Resource temporarily unavailable"},
    {ENOMEM, "Cannot allocate memory"},
    {EACCES, "Permission denied"},
    {EBUSY, "Device or resource busy"},
    {EEXIST, "File exists"},
    {ENOTDIR, "Not a directory"},
    {EISDIR, "Is a directory"},
    {EINVAL, "Invalid argument"},
    {ENFILE, "Too many open files in system"},
    {EMFILE, "Too many open files"},
    {ETXTBSY, "Text file busy"},
    {EFBIG, "File too large"},
    {ENOSPC, "No space left on device"},
    {EROFS, "Read-only file system"},
    {ENAMETOOLONG, "File name too long"},
    {ELOOP, "Too many levels of symbolic links"},
    {EDQUOT, "Disk quota exceeded"},
};

/* What strsignal says on Linux, by number (the same on x86 and ARM). */
static const char *const signal_texts[] = {
    "Unknown signal 0",
    "Hangup",
    "Interrupt",
    "Quit",
    "Illegal instruction",
    "Trace/breakpoint trap",
    "Aborted",
    "Bus error",
    "Floating point exception",
    "Killed",
    "User defined signal 1",
    "Segmentation fault",
    "User defined signal 2",
    "Broken pipe",
    "Alarm clock",
    "Terminated",
    "Stack fault",
    "Child exited",
    "Continued",
    "Stopped (signal)",
    "Stopped",
    "Stopped (tty input)",
    "Stopped (tty output)",
    "Urgent I/O condition",
    "CPU time limit exceeded",
    "File size limit exceeded",
    "Virtual timer expired",
    "Profiling timer expired",
    "Window changed",
    "I/O possible",
    "Power failure",
    "Bad system call",
};

struct pf_str ag_errno_text(struct pf_arena *arena, int error)
{
    for (size_t i = 0; i < PF_ARRAY_LEN(errno_texts); i++) {
        if (errno_texts[i].number == error) {
            return pf_str(errno_texts[i].text);
        }
    }
    return pf_arena_printf(arena, "error %d", error);
}

struct pf_str ag_signal_text(struct pf_arena *arena, int signal)
{
    if (signal >= 0 && signal < (int)PF_ARRAY_LEN(signal_texts)) {
        return pf_str(signal_texts[signal]);
    }
    return pf_arena_printf(arena, "Real-time signal %d", signal - 34);
}
