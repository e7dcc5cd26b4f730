libkb_la_SOURCES += \
	src/store/store.c src/store/store.h \
	src/table/check.c \
	src/table/condition.c src/table/condition.h \
	src/table/csv.c \
	src/table/dynamodb.c src/table/dynamodb.h \
	src/table/dynamodb_items.c \
	src/table/dynamodb_json.c \
	src/table/dynamodb_put.c \
	src/table/keys.c \
	src/table/local.c src/table/local.h \
	src/table/local_items.c \
	src/table/record.c src/table/record.h \
	src/table/table.c src/table/table.h
dist_pkgdata_DATA += share/sales-records.csv
EXTRA_DIST += share/make-sales-records.py
