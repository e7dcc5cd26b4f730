# libkb_base: what the library and the token helper share.
noinst_LTLIBRARIES += libkb_base.la
libkb_base_la_SOURCES = \
	src/base/arena.c src/base/arena.h \
	src/base/bytes.c \
	src/base/file.c \
	src/base/reader.c src/base/reader.h \
	src/base/secret.c \
	src/base/status.c \
	src/base/text.c src/base/text.h
libkb_base_la_CFLAGS = $(AM_CFLAGS) $(CRYPTO_CFLAGS)
libkb_base_la_LIBADD = $(CRYPTO_LIBS)

# libkb: the whole library with every symbol, for the tests.
noinst_LTLIBRARIES += libkb.la
libkb_la_SOURCES =
libkb_la_CFLAGS = $(AM_CFLAGS) $(CRYPTO_CFLAGS) $(SQLITE_CFLAGS) $(CJSON_CFLAGS)
libkb_la_LIBADD = libkb_base.la $(CRYPTO_LIBS) $(SQLITE_LIBS) $(CJSON_LIBS)

include src/attr/local.mk
include src/table/local.mk

libkb_la_SOURCES += \
	src/crypto/crypto.c src/crypto/crypto.h \
	src/ddbec/actions.c \
	src/ddbec/config.c \
	src/ddbec/ddbec.h \
	src/ddbec/decrypt.c \
	src/ddbec/encrypt.c \
	src/ddbec/header.c \
	src/ddbec/inspect.c \
	src/ddbec/spec.h \
	src/ddbec/string_to_sign.c \
	src/ddbec/worker.c \
	src/provider/provider.c src/provider/provider.h \
	src/provider/static.c \
	src/provider/wrapped.c \
	src/sealed/stream.c

