# Programs that tests run; not installed.
noinst_PROGRAMS += sigv4-verify
sigv4_verify_SOURCES = tests/tools/sigv4-verify.c tests/lib/rawrequest.h
sigv4_verify_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/lib
sigv4_verify_LDADD = libkb.la

# Preloaded by tests; -rpath makes it a shared one.
check_LTLIBRARIES += odd_files.la
odd_files_la_SOURCES = tests/tools/odd_files.c
odd_files_la_LDFLAGS = -module -avoid-version -shared -rpath /nowhere
