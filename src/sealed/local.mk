libkb_la_SOURCES += \
	src/sealed/lanes.c src/sealed/lanes.h \
	src/sealed/object.c src/sealed/object.h \
	src/sealed/object_audit.c \
	src/sealed/object_client.c \
	src/sealed/object_copy.c \
	src/sealed/object_find.c \
	src/sealed/object_get.c \
	src/sealed/object_head.c \
	src/sealed/object_instruction.c \
	src/sealed/object_key.c \
	src/sealed/object_known.c \
	src/sealed/object_pipe.c src/sealed/object_pipe.h \
	src/sealed/object_proof.c \
	src/sealed/object_put.c src/sealed/object_put.h \
	src/sealed/object_reading.c src/sealed/object_reading.h \
	src/sealed/object_remove.c \
	src/sealed/object_resume.c \
	src/sealed/object_retire.c \
	src/sealed/object_rotate.c src/sealed/object_rotate.h \
	src/sealed/object_row.c \
	src/sealed/object_source.c \
	src/sealed/object_survey.c src/sealed/object_survey.h \
	src/sealed/object_upload.c \
	src/sealed/object_verify.c \
	src/sealed/stream.c
