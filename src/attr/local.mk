libkb_la_SOURCES += \
	src/attr/attr.c src/attr/attr.h \
	src/attr/canonical.h \
	src/attr/deserialize.c \
	src/attr/format.c \
	src/attr/item.c \
	src/attr/json.c src/attr/json.h \
	src/attr/json_value.c \
	src/attr/names.c src/attr/names.h \
	src/attr/number.c src/attr/number.h \
	src/attr/serialize.c
