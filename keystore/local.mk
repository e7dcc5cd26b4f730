# The client, as part of the library.
libkb_la_SOURCES += \
	keystore/answer.c \
	keystore/counter.c keystore/counter.h \
	keystore/counts.c keystore/counts.h \
	keystore/frame.c \
	keystore/import.c \
	keystore/jobs.c \
	keystore/keys.c \
	keystore/keystore.c \
	keystore/names.c \
	keystore/pool.c keystore/pool.h \
	keystore/process.c \
	keystore/protocol.c keystore/protocol.h \
	keystore/softhsm.c \
	keystore/vault.c \
	keystore/vault_check.c \
	keystore/vault_events.c \
	keystore/vault_export.c \
	keystore/vault_find.c \
	keystore/vault_import.c \
	keystore/vault_keys.c \
	keystore/vault_move.c keystore/vault_move.h \
	keystore/vault_object_rows.c \
	keystore/vault_objects.c \
	keystore/vault_rows.c keystore/vault_rows.h \
	keystore/vault_settle.c \
	keystore/vault_state.c \
	keystore/vault_uploads.c \
	keystore/wire.c keystore/wire.h \
	keystore/work.c

# The helper: the only program that links p11-kit and maps a PKCS#11 module.
pkglibexec_PROGRAMS += keybridge-token
keybridge_token_SOURCES = \
	keystore/answer.c \
	keystore/ckr.c keystore/ckr.h \
	keystore/counter_serve.c \
	keystore/create.c \
	keystore/crypt.c \
	keystore/datakey.c keystore/datakey.h \
	keystore/error.c \
	keystore/extract.c \
	keystore/frame.c \
	keystore/gcm.c keystore/gcm.h \
	keystore/gcm_serve.c \
	keystore/helper.h \
	keystore/info.c \
	keystore/ivs.c \
	keystore/kept.c \
	keystore/key.c \
	keystore/mechanism.c keystore/mechanism.h \
	keystore/module.c \
	keystore/names.c \
	keystore/pair.c \
	keystore/policy.c \
	keystore/probe.c keystore/probe.h \
	keystore/probe_gcm.c \
	keystore/probe_pair.c \
	keystore/protocol.c \
	keystore/public.c \
	keystore/random.c \
	keystore/rsa.c \
	keystore/session.c \
	keystore/sign.c \
	keystore/template.c keystore/template.h \
	keystore/token.c \
	keystore/trial.c \
	keystore/uri.c \
	keystore/wire.c
keybridge_token_CFLAGS = $(AM_CFLAGS) $(P11KIT_CFLAGS)
keybridge_token_LDADD = libkb_base.la $(P11KIT_LIBS)
