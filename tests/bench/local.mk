# `make bench_floor`: the raw PKCS#11 calls that everything else is held against.
EXTRA_PROGRAMS += bench_floor
bench_floor_SOURCES = tests/bench/floor.c
bench_floor_CFLAGS = $(AM_CFLAGS) $(P11KIT_CFLAGS)
bench_floor_LDADD = libkb_base.la $(P11KIT_LIBS)

# Figures, not a test: ratios within a run, medians. BENCH_FLAGS adds --million
# (memory and linearity) and --python PYTHON (the original client beside ours).
bench: all bench_floor
	python3 '$(srcdir)/tests/bench/bench.py' --build . $(BENCH_FLAGS)

EXTRA_DIST += tests/bench/bench.py

# Loads and scans through a server: make bench-tables SERVER='node …/cli.js --port {port} …'
EXTRA_PROGRAMS += bench_push
bench_push_SOURCES = tests/bench/push.c
bench-tables: all bench_floor bench_push
	python3 '$(srcdir)/tests/bench/tables.py' --build . --server "$(SERVER)" $(BENCH_FLAGS)

EXTRA_DIST += tests/bench/tables.py tests/bench/python_writer.py
