# Objects of the Amazon S3 Encryption Client.
libkb_la_SOURCES += \
	src/s3ec/decrypt.c \
	src/s3ec/derive.c \
	src/s3ec/encrypt.c \
	src/s3ec/header.c src/s3ec/header.h \
	src/s3ec/s3ec.c src/s3ec/s3ec.h \
	src/s3ec/spec.h \
	src/s3ec/wrap.c
