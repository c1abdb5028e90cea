/* SPDX-License-Identifier: Apache-2.0 */
/* proffer-launcher: options, and leaving the terminal and the descriptors of whoever started it. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/launcher/launcher.h"

#define EXIT_USAGE 2
#define EXIT_HELD  3 /* another launcher lives in the directory */
#define LOG_NAME   "launcher.log"

static const char usage[] =
    "usage: proffer-launcher --dir DIR [--controller-fd N] [--nofile N]\n"
    "\n"
    "Starts, watches and reaps the processes of an agent, and stays when the agent goes.\n"
    "The agent starts it; by hand it is of little use.\n"
    "\n"
    "  --dir DIR          its socket, journal, lock and log; must exist\n"
    "  --controller-fd N  a connected socket of the first controller\n"
    "  --nofile N         soft limit of descriptors of what it starts\n"
    "  --version\n"
    "  --help\n"
    "\n"
    "SIGTERM ends it and the processes it runs. SIGHUP lets it execute its program's file anew,\n"
    "as after an upgrade; what it runs goes on.\n";

struct options {
    struct pf_launcher_options launcher;
    char instance[64];
};

static int usage_error(const char *what)
{
    (void)fprintf(stderr, "proffer-launcher: %s\ntry: proffer-launcher --help\n", what);
    return EXIT_USAGE;
}

static int parse_fd(const char *text)
{
    char *end;

    errno = 0;
    long v = strtol(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && v >= 3 && v < 65536 ? (int)v : -1;
}

/* -1: go on; else the exit code. */
static int parse_options(int argc, char **argv, struct options *o)
{
    static const struct option known[] = {
        {"dir", required_argument, NULL, 'd'},     {"controller-fd", required_argument, NULL, 'c'},
        {"nofile", required_argument, NULL, 'n'},  {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},          {"upgrade", required_argument, NULL, 'u'},
        {NULL, 0, NULL, 0},
    };
    int c;

    *o = (struct options){.launcher = {.controller_fd = -1}};
    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (c) {
        case 'd':
            o->launcher.dir = optarg;
            break;
        case 'c':
            o->launcher.controller_fd = parse_fd(optarg);
            if (o->launcher.controller_fd < 0) {
                return usage_error("--controller-fd: not a descriptor number");
            }
            break;
        case 'n':
            o->launcher.nofile = strtoull(optarg, NULL, 10); /* no number: 0, as we got it */
            break;
        case 'u': /* by ourselves only: INSTANCE:LOCK:KEPT */
            if (sscanf(optarg, "%63[^:]:%d:%d", o->instance, &o->launcher.lock_fd,
                       &o->launcher.kept_fd) != 3) {
                return usage_error("--upgrade is not for people");
            }
            o->launcher.instance = o->instance;
            break;
        case 'v':
            (void)puts("proffer-launcher " PF_VERSION);
            return 0;
        case 'h':
            (void)fputs(usage, stdout);
            return 0;
        default:
            (void)fputs("try: proffer-launcher --help\n", stderr);
            return EXIT_USAGE;
        }
    }
    if (optind < argc) {
        return usage_error("takes no arguments");
    }
    return o->launcher.dir != NULL ? -1 : usage_error("--dir is missing");
}

/* Descriptors 0 to 2 exist, and of the others only the controller's. */
static void close_inherited(int keep)
{
    int fd;

    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd < 3);
    if (keep >= 3) {
        (void)syscall(SYS_close_range, 3u, (unsigned)keep - 1u, 0u); /* an old kernel leaves them */
        (void)syscall(SYS_close_range, (unsigned)keep + 1u, ~0u, 0u);
    } else {
        (void)syscall(SYS_close_range, 3u, ~0u, 0u);
    }
}

/* The standard streams of whoever started us must not stay open: somebody waits for their end. */
static bool leave_streams(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int log = open(LOG_NAME, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool is_fine = null >= 0 && log >= 0 && dup2(null, 0) == 0 && dup2(null, 1) == 1 &&
                   dup2(log, 2) == 2;

    if (null >= 0) {
        (void)close(null); /* duplicated */
    }
    if (log >= 0) {
        (void)close(log); /* duplicated */
    }
    return is_fine;
}

int main(int argc, char **argv)
{
    struct options o;
    struct pf_launcher *l = NULL;
    struct pf_err err = {0};

    int rc = parse_options(argc, argv, &o);
    if (rc >= 0) {
        return rc;
    }
    if (o.launcher.instance == NULL) { /* else all that came along is wanted */
        close_inherited(o.launcher.controller_fd);
    }
    (void)setsid(); /* fails where it is done already */
    rc = pf_launcher_create(&o.launcher, &l, &err);
    if (rc != 0) {
        (void)fprintf(stderr, "proffer-launcher: %s\n", err.msg);
        return rc == PF_EBUSY ? EXIT_HELD : EXIT_FAILURE;
    }
    if (!leave_streams()) {
        (void)fprintf(stderr, "proffer-launcher: cannot open %s: %s\n", LOG_NAME, strerror(errno));
        pf_launcher_destroy(l);
        return EXIT_FAILURE;
    }
    rc = pf_launcher_run(l, &err);
    if (rc != 0) {
        (void)fprintf(stderr, "error %s\n", err.msg);
    }
    pf_launcher_destroy(l);
    return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
