# Keyrings: who can open a message.
libkb_la_SOURCES += \
	src/keyring/data_key.c \
	src/keyring/keyring.c src/keyring/keyring.h \
	src/keyring/multi.c \
	src/keyring/raw.c src/keyring/raw.h \
	src/keyring/raw_aes.c \
	src/keyring/raw_rsa.c
