# A target is fuzz_NAME.c with its corpus in corpus/NAME. Each is built twice:
# with replay.c as a test of `make check`, and for libFuzzer by `make fuzzers`
# after configure --enable-fuzzers CC=clang; then
#     ./fuzz_NAME -max_total_time=60 SCRATCH-FOLDER tests/fuzz/corpus/NAME
# To add one, copy a stanza below.
EXTRA_DIST += tests/fuzz/corpus
EXTRA_PROGRAMS =

check_PROGRAMS += replay_item
replay_item_SOURCES = tests/fuzz/fuzz_item.c tests/fuzz/replay.c
replay_item_CPPFLAGS = $(AM_CPPFLAGS) -DKB_FUZZ_CORPUS='"item"'
replay_item_LDADD = libkb.la
EXTRA_PROGRAMS += fuzz_item
fuzz_item_SOURCES = tests/fuzz/fuzz_item.c
fuzz_item_LDFLAGS = -fsanitize=fuzzer
fuzz_item_LDADD = libkb.la

check_PROGRAMS += replay_canonical
replay_canonical_SOURCES = tests/fuzz/fuzz_canonical.c tests/fuzz/replay.c
replay_canonical_CPPFLAGS = $(AM_CPPFLAGS) -DKB_FUZZ_CORPUS='"canonical"'
replay_canonical_LDADD = libkb.la
EXTRA_PROGRAMS += fuzz_canonical
fuzz_canonical_SOURCES = tests/fuzz/fuzz_canonical.c
fuzz_canonical_LDFLAGS = -fsanitize=fuzzer
fuzz_canonical_LDADD = libkb.la

check_PROGRAMS += replay_csv
replay_csv_SOURCES = tests/fuzz/fuzz_csv.c tests/fuzz/replay.c
replay_csv_CPPFLAGS = $(AM_CPPFLAGS) -DKB_FUZZ_CORPUS='"csv"'
replay_csv_LDADD = libkb.la
EXTRA_PROGRAMS += fuzz_csv
fuzz_csv_SOURCES = tests/fuzz/fuzz_csv.c
fuzz_csv_LDFLAGS = -fsanitize=fuzzer
fuzz_csv_LDADD = libkb.la

check_PROGRAMS += replay_protocol
replay_protocol_SOURCES = tests/fuzz/fuzz_protocol.c tests/fuzz/replay.c
replay_protocol_CPPFLAGS = $(AM_CPPFLAGS) -DKB_FUZZ_CORPUS='"protocol"'
replay_protocol_LDADD = libkb.la
EXTRA_PROGRAMS += fuzz_protocol
fuzz_protocol_SOURCES = tests/fuzz/fuzz_protocol.c
fuzz_protocol_LDFLAGS = -fsanitize=fuzzer
fuzz_protocol_LDADD = libkb.la

check_PROGRAMS += replay_description
replay_description_SOURCES = tests/fuzz/fuzz_description.c tests/fuzz/replay.c
replay_description_CPPFLAGS = $(AM_CPPFLAGS) -DKB_FUZZ_CORPUS='"description"'
replay_description_LDADD = libkb.la
EXTRA_PROGRAMS += fuzz_description
fuzz_description_SOURCES = tests/fuzz/fuzz_description.c
fuzz_description_LDFLAGS = -fsanitize=fuzzer
fuzz_description_LDADD = libkb.la

check_PROGRAMS += replay_dynamodb
replay_dynamodb_SOURCES = tests/fuzz/fuzz_dynamodb.c tests/fuzz/replay.c
replay_dynamodb_CPPFLAGS = $(AM_CPPFLAGS) -DKB_FUZZ_CORPUS='"dynamodb"'
replay_dynamodb_LDADD = libkb.la
EXTRA_PROGRAMS += fuzz_dynamodb
fuzz_dynamodb_SOURCES = tests/fuzz/fuzz_dynamodb.c
fuzz_dynamodb_LDFLAGS = -fsanitize=fuzzer
fuzz_dynamodb_LDADD = libkb.la

check_PROGRAMS += replay_sigv4
replay_sigv4_SOURCES = tests/fuzz/fuzz_sigv4.c tests/fuzz/replay.c
replay_sigv4_CPPFLAGS = $(AM_CPPFLAGS) -DKB_FUZZ_CORPUS='"sigv4"' -I$(srcdir)/tests/lib
replay_sigv4_LDADD = libkb.la
EXTRA_PROGRAMS += fuzz_sigv4
fuzz_sigv4_SOURCES = tests/fuzz/fuzz_sigv4.c
fuzz_sigv4_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/lib
fuzz_sigv4_LDFLAGS = -fsanitize=fuzzer
fuzz_sigv4_LDADD = libkb.la

check_PROGRAMS += replay_profile
replay_profile_SOURCES = tests/fuzz/fuzz_profile.c tests/fuzz/replay.c
replay_profile_CPPFLAGS = $(AM_CPPFLAGS) -DKB_FUZZ_CORPUS='"profile"'
replay_profile_LDADD = libkb.la
EXTRA_PROGRAMS += fuzz_profile
fuzz_profile_SOURCES = tests/fuzz/fuzz_profile.c
fuzz_profile_LDFLAGS = -fsanitize=fuzzer
fuzz_profile_LDADD = libkb.la

check_PROGRAMS += replay_answer
replay_answer_SOURCES = tests/fuzz/fuzz_answer.c tests/fuzz/replay.c
replay_answer_CPPFLAGS = $(AM_CPPFLAGS) -DKB_FUZZ_CORPUS='"answer"'
replay_answer_LDADD = libkb.la
EXTRA_PROGRAMS += fuzz_answer
fuzz_answer_SOURCES = tests/fuzz/fuzz_answer.c
fuzz_answer_LDFLAGS = -fsanitize=fuzzer
fuzz_answer_LDADD = libkb.la

check_PROGRAMS += replay_esdk_header
replay_esdk_header_SOURCES = tests/fuzz/fuzz_esdk_header.c tests/fuzz/replay.c
replay_esdk_header_CPPFLAGS = $(AM_CPPFLAGS) -DKB_FUZZ_CORPUS='"esdk_header"'
replay_esdk_header_LDADD = libkb.la
EXTRA_PROGRAMS += fuzz_esdk_header
fuzz_esdk_header_SOURCES = tests/fuzz/fuzz_esdk_header.c
fuzz_esdk_header_LDFLAGS = -fsanitize=fuzzer
fuzz_esdk_header_LDADD = libkb.la

check_PROGRAMS += replay_esdk_body
replay_esdk_body_SOURCES = tests/fuzz/fuzz_esdk_body.c tests/fuzz/replay.c
replay_esdk_body_CPPFLAGS = $(AM_CPPFLAGS) -DKB_FUZZ_CORPUS='"esdk_body"'
replay_esdk_body_LDADD = libkb.la
EXTRA_PROGRAMS += fuzz_esdk_body
fuzz_esdk_body_SOURCES = tests/fuzz/fuzz_esdk_body.c
fuzz_esdk_body_LDFLAGS = -fsanitize=fuzzer
fuzz_esdk_body_LDADD = libkb.la

check_PROGRAMS += replay_s3_xml
replay_s3_xml_SOURCES = tests/fuzz/fuzz_s3_xml.c tests/fuzz/replay.c
replay_s3_xml_CPPFLAGS = $(AM_CPPFLAGS) -DKB_FUZZ_CORPUS='"s3_xml"'
replay_s3_xml_LDADD = libkb.la
EXTRA_PROGRAMS += fuzz_s3_xml
fuzz_s3_xml_SOURCES = tests/fuzz/fuzz_s3_xml.c
fuzz_s3_xml_LDFLAGS = -fsanitize=fuzzer
fuzz_s3_xml_LDADD = libkb.la

check_PROGRAMS += replay_s3ec_header
replay_s3ec_header_SOURCES = tests/fuzz/fuzz_s3ec_header.c tests/fuzz/replay.c
replay_s3ec_header_CPPFLAGS = $(AM_CPPFLAGS) -DKB_FUZZ_CORPUS='"s3ec_header"'
replay_s3ec_header_LDADD = libkb.la
EXTRA_PROGRAMS += fuzz_s3ec_header
fuzz_s3ec_header_SOURCES = tests/fuzz/fuzz_s3ec_header.c
fuzz_s3ec_header_LDFLAGS = -fsanitize=fuzzer
fuzz_s3ec_header_LDADD = libkb.la

if FUZZERS
fuzzers: $(EXTRA_PROGRAMS)
print-fuzzers:
	@printf '%s\n' $(EXTRA_PROGRAMS) | grep '^fuzz_'
endif
