check_PROGRAMS += test_ddbec_vectors
test_ddbec_vectors_SOURCES = tests/vectors/test_ddbec_vectors.c \
	tests/token/token_fixture.c tests/token/token_fixture.h
test_ddbec_vectors_CPPFLAGS = $(TEST_CPPFLAGS) -I$(srcdir)/tests/token $(JANSSON_CFLAGS)
test_ddbec_vectors_LDADD = $(TEST_LIBS) $(JANSSON_LIBS)

EXTRA_DIST += tests/interop/ddbec-python.json tests/interop/ddbec-python-keys.json \
	tests/interop/ddbec-java.json

check_PROGRAMS += test_ddbec
test_ddbec_SOURCES = tests/vectors/test_ddbec.c \
	tests/token/token_fixture.c tests/token/token_fixture.h
test_ddbec_CPPFLAGS = $(TEST_CPPFLAGS) -I$(srcdir)/tests/token
test_ddbec_LDADD = $(TEST_LIBS)
