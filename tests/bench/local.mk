# `make bench_floor`: the raw PKCS#11 calls that everything else is held against.
EXTRA_PROGRAMS += bench_floor
bench_floor_SOURCES = tests/bench/floor.c
bench_floor_CFLAGS = $(AM_CFLAGS) $(P11KIT_CFLAGS)
bench_floor_LDADD = libkb_base.la $(P11KIT_LIBS)

# `make bench_envelope`: messages from memory to memory beside bare OpenSSL.
EXTRA_PROGRAMS += bench_envelope
bench_envelope_SOURCES = tests/bench/envelope.c
bench_envelope_CFLAGS = $(AM_CFLAGS) $(CRYPTO_CFLAGS)
bench_envelope_LDADD = libkb.la $(CRYPTO_LIBS)

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

# Envelopes: beside OpenSSL, a bare loop over files, the token, and the SDKs.
# BENCH_FLAGS: --python PYTHON and --js FOLDER (what tests/interop installs), --stream-gib N.
EXTRA_PROGRAMS += bench_gcm_file
bench_gcm_file_SOURCES = tests/bench/gcm_file.c
bench_gcm_file_CFLAGS = $(AM_CFLAGS) $(CRYPTO_CFLAGS)
bench_gcm_file_LDADD = $(CRYPTO_LIBS)
bench-envelope: all bench_envelope bench_floor bench_gcm_file
	python3 '$(srcdir)/tests/bench/envelope.py' --build . $(BENCH_FLAGS)

EXTRA_DIST += tests/bench/envelope.py

# Objects under customer keys at Ceph's gateway, beside curl and aws-cli, which it fetches once.
bench-s3: all
	sh '$(srcdir)/tests/interop/venv.sh' venv-s3 '$(srcdir)/tests/interop/s3-requirements.txt' awscli boto3 ministack
	KB_RGW_MEMORY=12 sh '$(srcdir)/tests/servers/with.sh' rgw -- venv-s3/bin/python \
		'$(srcdir)/tests/bench/s3.py' --build . $(BENCH_FLAGS)

EXTRA_DIST += tests/bench/s3.py
