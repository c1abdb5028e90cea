/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target over the files of a folder, without libFuzzer. Fails on an empty folder. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "common/base/alloc.h"
#include "tests/fuzz/fuzz.h"

static int replay(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat st;
    if (file == NULL || fstat(fileno(file), &st) != 0) {
        perror(path);
        return 1;
    }
    size_t size = (size_t)st.st_size;
    /* Of its exact size, so that a sanitizer sees each byte beyond. */
    uint8_t *data = pf_realloc(NULL, size > 0 ? size : 1);
    int failed = fread(data, 1, size, file) != size;
    (void)fclose(file); /* was only read */
    if (!failed) {
        (void)LLVMFuzzerTestOneInput(data, size);
    }
    pf_free(data);
    return failed;
}

int main(int argc, char **argv)
{
    unsigned n = 0;
    int failed = 0;
    DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
    if (folder == NULL) {
        (void)fprintf(stderr, "usage: %s CORPUS\n", argv[0]);
        return 2;
    }
    const struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        char path[4096];
        if (entry->d_name[0] == '.') {
            continue;
        }
        (void)snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
        failed |= replay(path);
        n++;
    }
    (void)closedir(folder);
    (void)printf("%u inputs\n", n);
    return failed || n == 0;
}
