libkb_la_SOURCES += \
	src/http/answer.c \
	src/http/body.c \
	src/http/exchange.h \
	src/http/failure.c \
	src/http/http.c src/http/http.h \
	src/http/memory.c \
	src/http/retry.c
