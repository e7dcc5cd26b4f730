/* SPDX-License-Identifier: Apache-2.0 */
#include "kbtest.h"

#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int kbtest_main(const char *suite_name, const struct kbtest *tests, int argc, char **argv)
{
    CU_pSuite suite;
    unsigned failed, added = 0;

    if (CU_initialize_registry() != CUE_SUCCESS)
        return 1;
    suite = CU_add_suite(suite_name, NULL, NULL);
    for (; suite && tests->name; tests++)
        if (argc < 2 || strstr(tests->name, argv[1]))
            added += CU_add_test(suite, tests->name, tests->run) != NULL;
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed || !added;
}

void kbtest_ok(enum kb_status status, struct kb_error *err, const char *file, int line)
{
    if (status != KB_OK)
        fprintf(stderr, "%s:%d: %s: %s\n", file, line, kb_status_name(status), kb_error_text(err));
    CU_assertImplementation(status == KB_OK, (unsigned)line, "status is KB_OK", file, "", CU_FALSE);
}

static void print_hex(const char *label, struct kb_bytes bytes)
{
    fprintf(stderr, "  %s (%zu bytes) ", label, bytes.size);
    for (size_t i = 0; i < bytes.size && i < 256; i++)
        fprintf(stderr, "%02x", bytes.data[i]);
    fputc('\n', stderr);
}

void kbtest_bytes(struct kb_bytes got, struct kb_bytes want, const char *file, int line)
{
    bool same = kb_bytes_equal(got, want);

    if (!same) {
        fprintf(stderr, "%s:%d: bytes differ\n", file, line);
        print_hex("got ", got);
        print_hex("want", want);
    }
    CU_assertImplementation(same, (unsigned)line, "bytes are equal", file, "", CU_FALSE);
}

static char folder[256];

static void remove_folder(void)
{
    char command[sizeof folder + 16];

    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (system(command) != 0)
        fprintf(stderr, "could not remove %s\n", folder);
}

const char *kbtest_folder(void)
{
    const char *base = getenv("TMPDIR");

    if (folder[0])
        return folder;
    snprintf(folder, sizeof folder, "%s/keybridge-test.XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(folder)) {
        perror(folder);
        exit(1);
    }
    atexit(remove_folder);
    return folder;
}

const char *kbtest_source(const char *path)
{
    static char paths[4][512];
    static unsigned next;
    const char *root = getenv("srcdir");
    char *out = paths[next++ % 4];

    snprintf(out, sizeof paths[0], "%s/%s", root ? root : ".", path);
    return out;
}

const char *kbtest_vectors(const char *path)
{
    static char found[512];
    const char *root = getenv("KEYBRIDGE_VECTORS");

    if (root)
        snprintf(found, sizeof found, "%s/%s", root, path);
    else
        snprintf(found, sizeof found, "%s/%s", kbtest_source("../shared/vectors"), path);
    if (access(found, R_OK) == 0)
        return found;
    fprintf(stderr, "SKIP: no %s (set KEYBRIDGE_VECTORS to the folder of shared vectors)\n", path);
    return NULL;
}
