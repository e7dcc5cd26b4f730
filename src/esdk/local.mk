# Messages of the AWS Encryption SDK.
libkb_la_SOURCES += \
	src/esdk/context.c \
	src/esdk/decrypt.c \
	src/esdk/derive.c \
	src/esdk/encrypt.c \
	src/esdk/esdk.c \
	src/esdk/flow.c \
	src/esdk/foreign.c \
	src/esdk/frames.c \
	src/esdk/header.c src/esdk/header.h \
	src/esdk/message.c src/esdk/message.h \
	src/esdk/process.c \
	src/esdk/spec.h \
	src/esdk/suite.c \
	src/esdk/unlock.c \
	src/esdk/workers.c
