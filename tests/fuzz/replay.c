/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs a fuzz target over its committed corpus without a fuzzer: every file of
 * the folder KB_FUZZ_CORPUS (below the source tree), each also cut short at
 * every length up to 4 KiB.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path)
{
    static uint8_t data[1 << 20];
    FILE *file = fopen(path, "rb");
    size_t size;

    if (!file) {
        perror(path);
        return 1;
    }
    size = fread(data, 1, sizeof data, file);
    fclose(file);
    for (size_t cut = 0; cut <= size && cut <= 4096; cut++) {
        /* An exact copy, so that a read past the end is seen. */
        uint8_t *copy = malloc(cut ? cut : 1);

        if (!copy)
            return 1;
        memcpy(copy, data, cut);
        LLVMFuzzerTestOneInput(copy, cut);
        free(copy);
    }
    LLVMFuzzerTestOneInput(data, size);
    return 0;
}

int main(void)
{
    const char *root = getenv("srcdir");
    char path[1024];
    unsigned files = 0;
    struct dirent *entry;
    DIR *folder;

    snprintf(path, sizeof path, "%s/tests/fuzz/corpus/%s", root ? root : ".", KB_FUZZ_CORPUS);
    folder = opendir(path);
    if (!folder) {
        perror(path);
        return 1;
    }
    while ((entry = readdir(folder))) {
        char name[2048];

        if (entry->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        if (run_file(name) != 0)
            return 1;
        files++;
    }
    closedir(folder);
    printf("%s: %u corpus files replayed\n", KB_FUZZ_CORPUS, files);
    return files == 0;
}
