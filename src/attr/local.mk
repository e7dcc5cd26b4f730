libkb_la_SOURCES += src/attr/attr.h
