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
