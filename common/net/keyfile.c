/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and making key files. */
#include "common/net/keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/sys/fd.h"
#include "common/sys/random.h"

#define TEXT_BYTES (2 * PF_KEY_BYTES + 1)

static int check_owner(int fd, const char *path, struct pf_err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return pf_err_set_sys(err, PF_EIO, errno, "key file %.150s", path);
    }
    if (!S_ISREG(st.st_mode)) {
        return pf_err_set(err, PF_EINVAL, "key file %.150s is no regular file", path);
    }
    if (st.st_uid != geteuid() && st.st_uid != 0) {
        return pf_err_set(err, PF_EACCESS, "key file %.120s belongs to user %u, not us: chown it",
                          path, (unsigned)st.st_uid);
    }
    if ((st.st_mode & 077) != 0) {
        return pf_err_set(err, PF_EACCESS, "key file %.120s can be read by others: chmod 600 it",
                          path);
    }
    return 0;
}

int pf_keyfile_read(const char *path, struct pf_key *out, struct pf_err *err)
{
    uint8_t text[TEXT_BYTES + 1]; /* one more, to see that it is too long */
    size_t len = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        return pf_err_set_sys(err, pf_err_from_errno(errno), errno, "key file %.150s", path);
    }
    int rc = check_owner(fd, path, err);
    while (rc == 0 && len < sizeof text) {
        ssize_t n = read(fd, text + len, sizeof text - len);
        if (n == 0) {
            break;
        }
        if (n < 0 && errno != EINTR) {
            rc = pf_err_set_sys(err, PF_EIO, errno, "key file %.150s", path);
        }
        len += n > 0 ? (size_t)n : 0;
    }
    if (rc == 0) {
        rc = pf_key_parse((struct pf_bytes){text, (uint32_t)len}, out, err);
        if (rc != 0) {
            pf_err_wrap(err, "key file %.120s", path);
        }
    }
    explicit_bzero(text, sizeof text);
    pf_fd_close(&fd);
    return rc;
}

int pf_keyfile_create(const char *path, struct pf_key *out, struct pf_err *err)
{
    struct pf_key key;
    char text[TEXT_BYTES + 1];
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        int code = errno == EEXIST ? PF_EEXIST : pf_err_from_errno(errno);
        return pf_err_set_sys(err, code, errno, "key file %.150s", path);
    }
    pf_random_bytes(key.b, sizeof key.b);
    pf_key_format(&key, text);
    int rc = pf_fd_write_all(fd, text, TEXT_BYTES, err);
    if (rc == 0 && fsync(fd) != 0) {
        rc = pf_err_set_sys(err, PF_EIO, errno, "writing");
    }
    if (rc == 0) {
        *out = key;
    } else {
        pf_err_wrap(err, "key file %.120s", path);
        (void)unlink(path); /* half a key helps nobody */
    }
    explicit_bzero(text, sizeof text);
    pf_key_wipe(&key);
    pf_fd_close(&fd);
    return rc;
}
