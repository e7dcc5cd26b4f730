# A target is NAME.c with its corpus in corpus/NAME. Each is built twice: with
# replay.c as a test of `make check`, and, with --enable-fuzzers, for libFuzzer.
# To add one, write its two stanzas below as for the others.
EXTRA_DIST += tests/fuzz/corpus
EXTRA_PROGRAMS =
