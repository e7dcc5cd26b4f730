# Real tokens, SoftHSM and NSS, each test on both.
TOKEN_FIXTURE_SOURCES = tests/token/token_fixture.c tests/token/token_fixture.h
TOKEN_TEST_SOURCES = tests/token/backends.c tests/token/backends.h $(TOKEN_FIXTURE_SOURCES)
TOKEN_TEST_CPPFLAGS = $(TEST_CPPFLAGS) -I$(srcdir)/tests/token

check_PROGRAMS += test_token_keys
test_token_keys_SOURCES = tests/token/test_token_keys.c tests/token/foreign.c \
	tests/token/foreign.h $(TOKEN_TEST_SOURCES)
test_token_keys_CPPFLAGS = $(TOKEN_TEST_CPPFLAGS) $(P11KIT_CFLAGS)
test_token_keys_LDADD = $(TEST_LIBS) $(P11KIT_LIBS)

check_PROGRAMS += test_token_work
test_token_work_SOURCES = tests/token/test_token_work.c $(TOKEN_TEST_SOURCES)
test_token_work_CPPFLAGS = $(TOKEN_TEST_CPPFLAGS) $(CRYPTO_CFLAGS)
test_token_work_LDADD = $(TEST_LIBS) $(CRYPTO_LIBS)

check_PROGRAMS += test_token_pairs
test_token_pairs_SOURCES = tests/token/test_token_pairs.c tests/token/foreign.c \
	tests/token/foreign.h tests/token/pkeys.c tests/token/pkeys.h $(TOKEN_TEST_SOURCES)
test_token_pairs_CPPFLAGS = $(TOKEN_TEST_CPPFLAGS) $(P11KIT_CFLAGS) $(CRYPTO_CFLAGS)
test_token_pairs_LDADD = $(TEST_LIBS) $(P11KIT_LIBS) $(CRYPTO_LIBS)

check_PROGRAMS += test_token_helpers
test_token_helpers_SOURCES = tests/token/test_token_helpers.c tests/token/fake_helper.c \
	tests/token/fake_helper.h $(TOKEN_TEST_SOURCES)
test_token_helpers_CPPFLAGS = $(TOKEN_TEST_CPPFLAGS)
test_token_helpers_LDADD = $(TEST_LIBS)

check_PROGRAMS += test_token_wycheproof
test_token_wycheproof_SOURCES = tests/token/test_token_wycheproof.c tests/token/pkeys.c \
	tests/token/pkeys.h $(TOKEN_TEST_SOURCES)
test_token_wycheproof_CPPFLAGS = $(TOKEN_TEST_CPPFLAGS) $(JANSSON_CFLAGS) $(CRYPTO_CFLAGS)
test_token_wycheproof_LDADD = $(TEST_LIBS) $(JANSSON_LIBS) $(CRYPTO_LIBS)

check_PROGRAMS += test_token_gcm
test_token_gcm_SOURCES = tests/token/test_token_gcm.c $(TOKEN_TEST_SOURCES)
test_token_gcm_CPPFLAGS = $(TOKEN_TEST_CPPFLAGS)
test_token_gcm_LDADD = $(TEST_LIBS)

# A module that treats IVs as other tokens do; -rpath makes it a shared one.
check_LTLIBRARIES += odd_token.la
odd_token_la_SOURCES = tests/token/odd_token.c
odd_token_la_CPPFLAGS = $(P11KIT_CFLAGS)
odd_token_la_LDFLAGS = -module -avoid-version -shared -rpath /nowhere

check_PROGRAMS += test_token_ivs
test_token_ivs_SOURCES = tests/token/test_token_ivs.c $(TOKEN_TEST_SOURCES)
test_token_ivs_CPPFLAGS = $(TOKEN_TEST_CPPFLAGS)
test_token_ivs_LDADD = $(TEST_LIBS)
EXTRA_test_token_ivs_DEPENDENCIES = odd_token.la

check_PROGRAMS += test_token_counts
test_token_counts_SOURCES = tests/token/test_token_counts.c tests/token/foreign.c \
	tests/token/foreign.h $(TOKEN_TEST_SOURCES)
test_token_counts_CPPFLAGS = $(TOKEN_TEST_CPPFLAGS) $(P11KIT_CFLAGS)
test_token_counts_LDADD = $(TEST_LIBS) $(P11KIT_LIBS)

check_PROGRAMS += test_vault
test_vault_SOURCES = tests/token/test_vault.c $(TOKEN_TEST_SOURCES)
test_vault_CPPFLAGS = $(TOKEN_TEST_CPPFLAGS) $(SQLITE_CFLAGS)
test_vault_LDADD = $(TEST_LIBS) $(SQLITE_LIBS)

check_PROGRAMS += test_object_rotate
test_object_rotate_SOURCES = tests/token/test_object_rotate.c $(TOKEN_FIXTURE_SOURCES)
test_object_rotate_CPPFLAGS = $(TOKEN_TEST_CPPFLAGS)
test_object_rotate_LDADD = $(TEST_LIBS)

check_PROGRAMS += test_s3ec
S3EC_TEST_SOURCES = tests/token/s3ec_fixture.c tests/token/s3ec_fixture.h $(TOKEN_TEST_SOURCES)
test_s3ec_SOURCES = tests/token/test_s3ec.c $(S3EC_TEST_SOURCES)
test_s3ec_CPPFLAGS = $(TOKEN_TEST_CPPFLAGS)
test_s3ec_LDADD = $(TEST_LIBS)

check_PROGRAMS += test_s3ec_keys
test_s3ec_keys_SOURCES = tests/token/test_s3ec_keys.c $(S3EC_TEST_SOURCES)
test_s3ec_keys_CPPFLAGS = $(TOKEN_TEST_CPPFLAGS)
test_s3ec_keys_LDADD = $(TEST_LIBS)

check_PROGRAMS += test_s3ec_legacy
test_s3ec_legacy_SOURCES = tests/token/test_s3ec_legacy.c $(TOKEN_TEST_SOURCES)
test_s3ec_legacy_CPPFLAGS = $(TOKEN_TEST_CPPFLAGS)
test_s3ec_legacy_LDADD = $(TEST_LIBS)
