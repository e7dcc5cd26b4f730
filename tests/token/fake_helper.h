/* SPDX-License-Identifier: Apache-2.0
 *
 * A token helper that misbehaves, for what real tokens cannot be made to do.
 * The test program is its own fake: started with KB_FAKE set, it answers
 * requests as that says and writes a line for each to the file KB_FAKE_LOG.
 */
#ifndef FAKE_HELPER_H
#define FAKE_HELPER_H

#include <stdbool.h>

/* For main: serves, and returns true, when KB_FAKE is set. */
bool fake_helper_main(void);

/* Sets what the next helpers do; `once`: only until one has done it.
 *   none     behaves
 *   lost     says that the session was lost
 *   die      ends without an answer
 *   hang     never answers
 *   garbage  answers with noise
 *   huge     announces an answer of 4 GiB
 *   empty    says KB_OK without what belongs to it
 *   locked   refuses the PIN
 *   gone     the token is removed */
void fake_helper_mode(const char *mode, bool once);

/* Requests of this verb since the mode was set. */
unsigned fake_helper_count(int verb);

/* Path for kb_keystore_options.helper. */
const char *fake_helper_path(void);

#endif
