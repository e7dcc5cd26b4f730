# libkb_base: what the library and the token helper share.
noinst_LTLIBRARIES += libkb_base.la
libkb_base_la_SOURCES = \
	src/base/arena.c src/base/arena.h \
	src/base/bytes.c \
	src/base/file.c \
	src/base/reader.c src/base/reader.h \
	src/base/secret.c \
	src/base/status.c \
	src/base/text.c src/base/text.h \
	src/crypto/asymmetric.c src/crypto/asymmetric.h \
	src/crypto/digest.c src/crypto/digest.h \
	src/crypto/failure.c src/crypto/failure.h \
	src/crypto/gcm.c src/crypto/gcm.h \
	src/crypto/keyparts.c \
	src/crypto/padding.c src/crypto/oaep.h
libkb_base_la_CFLAGS = $(AM_CFLAGS) $(CRYPTO_CFLAGS)
libkb_base_la_LIBADD = $(CRYPTO_LIBS)

# libkb: the whole library with every symbol, for the tests.
noinst_LTLIBRARIES += libkb.la
libkb_la_SOURCES =
libkb_la_CFLAGS = $(AM_CFLAGS) $(CRYPTO_CFLAGS) $(SQLITE_CFLAGS) $(CJSON_CFLAGS) \
	$(CURL_CFLAGS) $(ZLIB_CFLAGS) $(EXPAT_CFLAGS)
libkb_la_LIBADD = libkb_base.la $(CRYPTO_LIBS) $(SQLITE_LIBS) $(CJSON_LIBS) $(CURL_LIBS) $(ZLIB_LIBS) $(EXPAT_LIBS)

include src/attr/local.mk
include src/aws/local.mk
include src/esdk/local.mk
include src/http/local.mk
include src/keyring/local.mk
include src/s3/local.mk
include src/s3ec/local.mk
include src/sealed/local.mk
include src/table/local.mk

libkb_la_SOURCES += \
	src/conf/config.c \
	src/crypto/aes_stream.c src/crypto/aes_stream.h \
	src/crypto/crypto.c src/crypto/crypto.h \
	src/crypto/signature.c src/crypto/signature.h \
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
	src/provider/algorithm.c src/provider/algorithm.h \
	src/provider/kms.c \
	src/provider/provider.c src/provider/provider.h \
	src/provider/static.c \
	src/provider/wrapped.c

lib_LTLIBRARIES += libkeybridge.la
libkeybridge_la_SOURCES =
libkeybridge_la_LIBADD = libkb.la
libkeybridge_la_LDFLAGS = $(AM_LDFLAGS) -version-info 0:0:0 -no-undefined \
	-export-symbols $(srcdir)/src/keybridge.sym
EXTRA_libkeybridge_la_DEPENDENCIES = src/keybridge.sym
EXTRA_DIST += src/keybridge.sym examples/three-tables.sh
pkgconfigdir = $(libdir)/pkgconfig
pkgconfig_DATA = src/keybridge.pc

pkginclude_HEADERS = \
	src/keybridge/aws.h \
	src/keybridge/bytes.h \
	src/keybridge/config.h \
	src/keybridge/csv.h \
	src/keybridge/ddbec.h \
	src/keybridge/esdk.h \
	src/keybridge/file.h \
	src/keybridge/keybridge.h \
	src/keybridge/keyring.h \
	src/keybridge/keystore.h \
	src/keybridge/kms.h \
	src/keybridge/object.h \
	src/keybridge/provider.h \
	src/keybridge/s3.h \
	src/keybridge/s3ec.h \
	src/keybridge/secret.h \
	src/keybridge/status.h \
	src/keybridge/stream.h \
	src/keybridge/table.h \
	src/keybridge/vault.h

# The command sees the public headers and exported symbols only.
bin_PROGRAMS += keybridge
keybridge_SOURCES = \
	src/cli/blob.c src/cli/blob.h \
	src/cli/claims.c src/cli/claims.h \
	src/cli/cli.h \
	src/cli/config.c \
	src/cli/envelope.c src/cli/envelope.h \
	src/cli/envelope_batch.c \
	src/cli/envelope_file.c \
	src/cli/envelope_inspect.c \
	src/cli/envelope_lane.c src/cli/envelope_lane.h \
	src/cli/envelope_options.c \
	src/cli/envelope_pump.c \
	src/cli/envelope_s3.c \
	src/cli/envelope_tree.c \
	src/cli/handout.c src/cli/handout.h \
	src/cli/init.c \
	src/cli/item.c \
	src/cli/kms.c \
	src/cli/key.c src/cli/key.h \
	src/cli/lines.c \
	src/cli/load.c \
	src/cli/main.c \
	src/cli/newkey.c \
	src/cli/options.c \
	src/cli/pace.c src/cli/pace.h \
	src/cli/policy.c src/cli/policy.h \
	src/cli/policy_s3.c \
	src/cli/policy_statement.c \
	src/cli/progress.c \
	src/cli/read.c \
	src/cli/remote.c \
	src/cli/s3.c src/cli/s3.h \
	src/cli/s3_bucket.c src/cli/s3_bucket.h \
	src/cli/s3_bucket_verbs.c \
	src/cli/s3_get.c \
	src/cli/s3_head.c \
	src/cli/s3_list.c \
	src/cli/s3_names.c src/cli/s3_names.h \
	src/cli/s3_options.c \
	src/cli/s3_policy.c \
	src/cli/s3_put.c \
	src/cli/s3_rotate.c \
	src/cli/s3_survey.c \
	src/cli/s3_with_key.c \
	src/cli/schema.c \
	src/cli/sealing.c \
	src/cli/session.c \
	src/cli/stop.c \
	src/cli/table.c src/cli/table.h \
	src/cli/talk.c \
	src/cli/token.c \
	src/cli/vault.c src/cli/vault.h \
	src/cli/vault_list.c \
	src/cli/vault_move.c
keybridge_CFLAGS = $(AM_CFLAGS) $(CJSON_CFLAGS)
keybridge_LDADD = libkeybridge.la $(CJSON_LIBS)

# The program of libkeybridge(3), and one for streams, built as a reader would;
# tests run them.
noinst_PROGRAMS += encrypt-item envelope
encrypt_item_SOURCES = examples/encrypt-item.c
encrypt_item_LDADD = libkeybridge.la
envelope_SOURCES = examples/envelope.c
envelope_LDADD = libkeybridge.la
