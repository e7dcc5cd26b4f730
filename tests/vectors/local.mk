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

ESDK_MANIFEST_SOURCES = tests/vectors/esdk_manifest.c tests/vectors/esdk_manifest.h
check_PROGRAMS += test_esdk_vectors
ESDK_READING_SOURCES = tests/vectors/esdk_reading.c tests/vectors/esdk_reading.h \
	$(ESDK_MANIFEST_SOURCES) $(TOKEN_TEST_SOURCES)
test_esdk_vectors_SOURCES = tests/vectors/test_esdk_vectors.c $(ESDK_READING_SOURCES)
test_esdk_vectors_CPPFLAGS = $(TOKEN_TEST_CPPFLAGS) $(JANSSON_CFLAGS)
test_esdk_vectors_LDADD = $(TEST_LIBS) $(JANSSON_LIBS)

check_PROGRAMS += test_envelope_vectors
test_envelope_vectors_SOURCES = tests/vectors/test_envelope_vectors.c $(ESDK_MANIFEST_SOURCES)
test_envelope_vectors_CPPFLAGS = $(TEST_CPPFLAGS) $(JANSSON_CFLAGS)
test_envelope_vectors_LDADD = $(TEST_LIBS) $(JANSSON_LIBS)

check_PROGRAMS += test_esdk_peers
test_esdk_peers_SOURCES = tests/vectors/test_esdk_peers.c $(ESDK_READING_SOURCES)
test_esdk_peers_CPPFLAGS = $(TOKEN_TEST_CPPFLAGS) $(JANSSON_CFLAGS)
test_esdk_peers_LDADD = $(TEST_LIBS) $(JANSSON_LIBS)
EXTRA_DIST += tests/interop/esdk-peers.json

check_PROGRAMS += test_esdk_header_vectors
test_esdk_header_vectors_SOURCES = tests/vectors/test_esdk_header_vectors.c \
	$(ESDK_MANIFEST_SOURCES)
test_esdk_header_vectors_CPPFLAGS = $(TEST_CPPFLAGS) $(JANSSON_CFLAGS)
test_esdk_header_vectors_LDADD = $(TEST_LIBS) $(JANSSON_LIBS)

check_PROGRAMS += test_s3ec_vectors
test_s3ec_vectors_SOURCES = tests/vectors/test_s3ec_vectors.c $(ESDK_MANIFEST_SOURCES) \
	$(TOKEN_TEST_SOURCES)
test_s3ec_vectors_CPPFLAGS = $(TOKEN_TEST_CPPFLAGS) $(JANSSON_CFLAGS)
test_s3ec_vectors_LDADD = $(TEST_LIBS) $(JANSSON_LIBS)
