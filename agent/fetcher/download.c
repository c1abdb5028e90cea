/* SPDX-License-Identifier: Apache-2.0 */
/* Downloads by libcurl's easy interface. */
#include "agent/fetcher/download.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "common/sys/clock.h"
#include "common/sys/fd.h"

#define SCHEMES    "http,https,ftp,ftps"
#define USER_AGENT "proffer-fetcher/" PF_VERSION

struct pf_download {
    CURL *curl;
    uint32_t stall_ms;
    char detail[CURL_ERROR_SIZE]; /* libcurl's words on a failure */
    /* of the download that runs */
    int fd;
    uint64_t max_bytes, n_bytes;
    bool is_too_big;
    bool is_stalled;
    curl_off_t seen_bytes; /* when there was something new for the last time */
    int64_t seen_ms;
    int write_rc;
    struct pf_err write_err;
};

static size_t on_body(char *data, size_t one, size_t n, void *ctx)
{
    struct pf_download *d = ctx;
    size_t bytes = one * n;

    if (d->max_bytes != 0 && bytes > d->max_bytes - d->n_bytes) {
        d->is_too_big = true;
        return 0;
    }
    d->write_rc = pf_fd_write_all(d->fd, data, bytes, &d->write_err);
    if (d->write_rc != 0) {
        return bytes + 1;
    }
    d->n_bytes += bytes;
    return bytes;
}

/* Called about once a second, also while nothing comes. */
static int on_progress(void *ctx, curl_off_t total, curl_off_t now, curl_off_t up_total,
                       curl_off_t up_now)
{
    struct pf_download *d = ctx;
    int64_t now_ms = pf_now_ms();

    (void)total, (void)up_total, (void)up_now; /* the callback's type has them */
    if (now != d->seen_bytes) {
        d->seen_bytes = now;
        d->seen_ms = now_ms;
    }
    d->is_stalled = now_ms - d->seen_ms >= (int64_t)d->stall_ms;
    return d->is_stalled ? 1 : 0;
}

/* What stays the same from one download to the next. */
static bool set_options(struct pf_download *d)
{
    CURL *c = d->curl;
    const char *ca = getenv("SSL_CERT_FILE"); /* as OpenSSL's own programs take it */

    return curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, SCHEMES) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, SCHEMES) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_MAXREDIRS, (long)PF_URI_REDIRECTS_MAX) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_USERAGENT, USER_AGENT) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)d->stall_ms) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_XFERINFODATA, d) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_WRITEDATA, d) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_ERRORBUFFER, d->detail) == CURLE_OK &&
           (ca == NULL || curl_easy_setopt(c, CURLOPT_CAINFO, ca) == CURLE_OK);
}

int pf_download_create(uint32_t stall_ms, struct pf_download **out, struct pf_err *err)
{
    struct pf_download *d = PF_NEW(struct pf_download);

    d->stall_ms = stall_ms != 0 ? stall_ms : PF_FETCH_STALL_MS;
    d->curl = curl_easy_init();
    if (d->curl == NULL || !set_options(d)) {
        pf_download_destroy(d);
        return pf_err_set(err, PF_ENOMEM, "cannot set up libcurl");
    }
    *out = d;
    return 0;
}

void pf_download_destroy(struct pf_download *d)
{
    if (d != NULL) {
        curl_easy_cleanup(d->curl);
        pf_free(d);
    }
}

/* Failures that we know better than libcurl. 0: none of them. */
static int own_failure(struct pf_download *d, CURLcode code, struct pf_err *err)
{
    if (d->is_too_big || code == CURLE_FILESIZE_EXCEEDED) {
        return pf_err_set(err, PF_ELIMIT, "larger than %" PRIu64 " bytes", d->max_bytes);
    }
    if (d->write_rc != 0) {
        if (err != NULL) {
            *err = d->write_err;
        }
        return d->write_rc;
    }
    if (d->is_stalled || code == CURLE_OPERATION_TIMEDOUT) {
        return pf_err_set(err, PF_ETIMEOUT, "no byte came for %u ms (%" PRIu64 " before that)",
                          d->stall_ms, d->n_bytes);
    }
    return 0;
}

static int status_failure(struct pf_download *d, struct pf_err *err)
{
    long status = 0;

    (void)curl_easy_getinfo(d->curl, CURLINFO_RESPONSE_CODE, &status); /* 0 if it cannot tell */
    return pf_err_set(err, PF_ENOENT, "the server answered with status %ld", status);
}

static int failure(struct pf_download *d, CURLcode code, struct pf_err *err)
{
    const char *detail = d->detail[0] != '\0' ? d->detail : curl_easy_strerror(code);
    int rc = own_failure(d, code, err);

    if (rc != 0) {
        return rc;
    }
    switch ((int)code) {
    case CURLE_HTTP_RETURNED_ERROR: return status_failure(d, err);
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY: return pf_err_set(err, PF_ENOENT, "%s", detail);
    case CURLE_COULDNT_CONNECT: return pf_err_set(err, PF_EREFUSED, "%s", detail);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR: return pf_err_set(err, PF_EAUTH, "%s", detail);
    case CURLE_TOO_MANY_REDIRECTS:
        return pf_err_set(err, PF_ELIMIT, "more than %d redirects", PF_URI_REDIRECTS_MAX);
    case CURLE_UNSUPPORTED_PROTOCOL:
        return pf_err_set(err, PF_EINVAL, "redirected to a scheme that is not supported");
    case CURLE_PARTIAL_FILE:
        return pf_err_set(err, PF_EPROTO, "the body ended early, after %" PRIu64 " bytes",
                          d->n_bytes);
    case CURLE_LOGIN_DENIED: return pf_err_set(err, PF_EAUTH, "the server refused the login");
    case CURLE_REMOTE_FILE_NOT_FOUND:
    case CURLE_FTP_COULDNT_RETR_FILE:
    case CURLE_REMOTE_ACCESS_DENIED:
        return pf_err_set(err, PF_ENOENT, "%s", curl_easy_strerror(code));
    case CURLE_OUT_OF_MEMORY: return pf_err_set(err, PF_ENOMEM, "%s", curl_easy_strerror(code));
    case CURLE_URL_MALFORMAT: /* its detail may show a part of a password */
        return pf_err_set(err, PF_EINVAL, "malformed URI");
    default: return pf_err_set(err, PF_ECONN, "%s", curl_easy_strerror(code));
    }
}

int pf_download_run(struct pf_download *d, const char *uri, int fd, uint64_t max_bytes,
                    uint64_t *out_bytes, struct pf_err *err)
{
    uint64_t announced = max_bytes < INT64_MAX ? max_bytes : INT64_MAX;

    d->fd = fd;
    d->max_bytes = max_bytes;
    d->n_bytes = 0;
    d->is_too_big = d->is_stalled = false;
    d->write_rc = 0;
    pf_err_clear(&d->write_err);
    d->detail[0] = '\0';
    d->seen_bytes = 0;
    d->seen_ms = pf_now_ms();
    if (curl_easy_setopt(d->curl, CURLOPT_URL, uri) != CURLE_OK ||
        curl_easy_setopt(d->curl, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)announced) != CURLE_OK) {
        return pf_err_set(err, PF_ENOMEM, "cannot set up libcurl");
    }
    CURLcode code = curl_easy_perform(d->curl);
    if (code != CURLE_OK) {
        return failure(d, code, err);
    }
    *out_bytes = d->n_bytes;
    return 0;
}
