/* SPDX-License-Identifier: Apache-2.0
 *
 * Wycheproof's files of test vectors.
 */
#ifndef WYCHEPROOF_H
#define WYCHEPROOF_H

#include "base/text.h"
#include "kbtest.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

struct wycheproof {
    json_t *group;
    json_t *test;
    struct kb_bytes key, iv, aad, msg, ct, tag; /* empty where the test has none */
    bool valid, acceptable;
};

/* Runs `each` over the tests of a file of shared vectors. */
static inline void wycheproof_each(const char *file, void (*each)(const struct wycheproof *))
{
    static const char *const names[] = {"key", "iv", "aad", "msg", "ct", "tag"};
    enum { PARTS = sizeof names / sizeof *names };
    const char *path = kbtest_vectors(file);
    json_t *root = path ? json_load_file(path, 0, NULL) : NULL, *group, *test;
    size_t g, t, count = 0;

    if (!path)
        return;
    CU_ASSERT_PTR_NOT_NULL_FATAL(root);
    json_array_foreach(json_object_get(root, "testGroups"), g, group)
    {
        json_array_foreach(json_object_get(group, "tests"), t, test)
        {
            const char *verdict = json_string_value(json_object_get(test, "result"));
            struct wycheproof vector = {.group = group, .test = test};
            struct kb_bytes *parts[PARTS] = {&vector.key, &vector.iv, &vector.aad,
                                             &vector.msg, &vector.ct, &vector.tag};
            struct kb_buffer bytes[PARTS];

            for (size_t i = 0; i < PARTS; i++) {
                json_t *field = json_object_get(test, names[i]);

                bytes[i] = (struct kb_buffer)KB_BUFFER_INIT(1 << 20);
                CU_ASSERT_TRUE(!field || kb_hex_parse(&bytes[i],
                                                      kb_bytes_text(json_string_value(field)),
                                                      false));
                *parts[i] = kb_buffer_view(&bytes[i]);
            }
            vector.valid = strcmp(verdict, "valid") == 0;
            vector.acceptable = strcmp(verdict, "acceptable") == 0;
            each(&vector);
            count++;
            for (size_t i = 0; i < PARTS; i++)
                kb_buffer_free(&bytes[i]);
        }
    }
    printf("\n    %zu vectors ", count);
    CU_ASSERT_EQUAL((json_int_t)count,
                    json_integer_value(json_object_get(root, "numberOfTests")));
    json_decref(root);
}

#endif
