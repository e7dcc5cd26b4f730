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

if FUZZERS
fuzzers: $(EXTRA_PROGRAMS)
endif
