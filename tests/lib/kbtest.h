/* SPDX-License-Identifier: Apache-2.0
 *
 * A CUnit program of one suite: list the tests, hand them to kbtest_main.
 */
#ifndef KBTEST_H
#define KBTEST_H

#include <CUnit/CUnit.h>

#include <keybridge/bytes.h>

struct kbtest {
    const char *name;
    void (*run)(void);
};

/* Runs all tests (or those whose name contains argv[1]); exit code for main.
 * `tests` ends with a NULL name. */
int kbtest_main(const char *suite, const struct kbtest *tests, int argc, char **argv);

/* Status must be KB_OK; else the error's sentence is printed with the failure. */
void kbtest_ok(enum kb_status status, struct kb_error *err, const char *file, int line);
#define KBT_OK(call, err) kbtest_ok((call), (err), __FILE__, __LINE__)

/* Bytes equal; prints both in hexadecimal when not. */
void kbtest_bytes(struct kb_bytes got, struct kb_bytes want, const char *file, int line);
#define KBT_BYTES(got, want) kbtest_bytes((got), (want), __FILE__, __LINE__)
#define KBT_TEXT(got, want) kbtest_bytes((got), kb_bytes_text(want), __FILE__, __LINE__)

/* A temporary folder of this process; removed with all in it when the program
 * ends. Static storage. */
const char *kbtest_folder(void);

/* Path below the source tree's root ($srcdir, or "."). Static storage, four
 * calls deep. */
const char *kbtest_source(const char *path);

/* Path below the folder of shared vectors ($KEYBRIDGE_VECTORS, or
 * ../shared/vectors beside the source tree); NULL, after one loud line, when
 * it is not there. */
const char *kbtest_vectors(const char *path);

#endif
