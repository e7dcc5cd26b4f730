# Every test program is a CUnit program of one suite; see tests/lib/kbtest.h.
AM_TESTS_ENVIRONMENT = \
	srcdir='$(srcdir)' builddir='$(builddir)'; export srcdir builddir; \
	KEYBRIDGE_TOKEN_HELPER='$(abs_builddir)/keybridge-token'; export KEYBRIDGE_TOKEN_HELPER; \
	KEYBRIDGE='$(abs_builddir)/keybridge'; export KEYBRIDGE;

if HAVE_TEST_LIBS
check_LTLIBRARIES = libkbtest.la
libkbtest_la_SOURCES = tests/lib/kbtest.c tests/lib/kbtest.h tests/lib/httpd.c tests/lib/httpd.h
libkbtest_la_CFLAGS = $(AM_CFLAGS) $(CUNIT_CFLAGS)
libkbtest_la_LIBADD = libkb.la $(CUNIT_LIBS)

TEST_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/lib
TEST_LIBS = libkbtest.la libkb.la $(CUNIT_LIBS)

include tests/unit/local.mk
include tests/tools/local.mk
include tests/token/local.mk
include tests/vectors/local.mk
include tests/fuzz/local.mk
include tests/bench/local.mk
include tests/cli/local.mk

TESTS += $(check_PROGRAMS)
else
check-local:
	@echo 'make check needs CUnit and jansson (libcunit1-dev libjansson-dev); run configure again' >&2; exit 1
endif

# Proof beyond `make check`: see tests/stage.sh.
print-tests:
	@echo $(TESTS)
check-asan check-tsan check-valgrind check-lint check-peers check-fuzz:
	@mkdir -p stages && cd stages && \
		sh '$(abs_srcdir)/tests/stage.sh' $(@:check-%=%) '$(abs_srcdir)'
check-all: check check-lint check-asan check-tsan check-valgrind check-peers check-fuzz
.PHONY: bench bench-envelope bench-s3 bench-tables print-tests check-all check-asan check-tsan check-valgrind check-lint check-peers check-fuzz
EXTRA_DIST += tests/stage.sh tests/house.sh tests/lsan.supp tests/expected-skips .ci/run \
	tests/interop/COVERAGE.md tests/interop/bench_python.py tests/interop/bridge.py \
	tests/interop/ddbec_peer.py tests/interop/esdk-js/install.sh tests/interop/esdk-js/package.json \
	tests/interop/esdk-js/package-lock.json tests/interop/esdk-requirements.txt \
	tests/interop/esdk.py tests/interop/esdk_peer.mjs tests/interop/esdk_peer.py \
	tests/interop/generate.py tests/interop/generate_esdk.py \
	tests/interop/generate_keys.py tests/interop/java/install.sh \
	tests/interop/java/pom.xml tests/interop/java/src/main/java/Peer.java \
	tests/interop/java-s3/pom.xml tests/interop/java-s3/src/main/java/S3Peer.java \
	tests/interop/java_peer.py tests/interop/live.py tests/interop/live_envelope.py tests/interop/live_keys.py \
	tests/interop/live_s3.py tests/interop/live_s3ec.py tests/interop/live_tables.py tests/interop/requirements.txt tests/interop/s3-requirements.txt \
	tests/interop/sigv4_botocore.py \
	tests/interop/teaching.py tests/interop/venv.sh \
	tests/servers/dynalite/package.json tests/servers/dynalite/package-lock.json \
	tests/servers/front.py tests/servers/peers.py tests/servers/ports.py tests/servers/rgw.py tests/servers/run.py \
	tests/servers/s3_ask.py tests/servers/s3_front.py tests/servers/test_s3_front.py tests/servers/test_front.py tests/servers/tls.py tests/servers/with.sh
