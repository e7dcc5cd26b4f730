libkb_la_SOURCES += \
	src/s3/answer.c \
	src/s3/bucket.c \
	src/s3/client.h \
	src/s3/crew.c \
	src/s3/download.c \
	src/s3/headers.c \
	src/s3/list.c \
	src/s3/multipart.c \
	src/s3/object.c \
	src/s3/plan.c \
	src/s3/pool.c \
	src/s3/s3.c \
	src/s3/s3.h \
	src/s3/span.c \
	src/s3/transfer.h \
	src/s3/upload.c \
	src/s3/url.c \
	src/s3/xml.c
