libkb_la_SOURCES += \
	src/aws/answer.c src/aws/answer.h \
	src/aws/aws.c src/aws/aws.h \
	src/aws/credentials.c src/aws/credentials.h \
	src/aws/credentials_json.c \
	src/aws/credentials_metadata.c \
	src/aws/credentials_process.c \
	src/aws/credentials_source.h \
	src/aws/flight.c src/aws/flight.h \
	src/aws/kms.c \
	src/aws/settings.c \
	src/aws/profile.c \
	src/aws/sigv4.c src/aws/sigv4.h \
	src/aws/sigv4_canonical.c \
	src/aws/sigv4_steps.h \
	src/aws/sigv4_verify.c \
	src/aws/wire.c
