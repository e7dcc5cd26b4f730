# `make bench_floor`: the raw PKCS#11 calls that everything else is held against.
EXTRA_PROGRAMS += bench_floor
bench_floor_SOURCES = tests/bench/floor.c
bench_floor_CFLAGS = $(AM_CFLAGS) $(P11KIT_CFLAGS)
bench_floor_LDADD = libkb_base.la $(P11KIT_LIBS)
