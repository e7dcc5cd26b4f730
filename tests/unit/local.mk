check_PROGRAMS += test_base
test_base_SOURCES = tests/unit/test_base.c
test_base_CPPFLAGS = $(TEST_CPPFLAGS)
test_base_LDADD = $(TEST_LIBS)

check_PROGRAMS += test_attr test_attr_number test_attr_canonical test_attr_deserialize
test_attr_SOURCES = tests/unit/test_attr.c
test_attr_CPPFLAGS = $(TEST_CPPFLAGS)
test_attr_LDADD = $(TEST_LIBS)
test_attr_number_SOURCES = tests/unit/test_attr_number.c
test_attr_number_CPPFLAGS = $(TEST_CPPFLAGS)
test_attr_number_LDADD = $(TEST_LIBS)
test_attr_canonical_SOURCES = tests/unit/test_attr_canonical.c
test_attr_canonical_CPPFLAGS = $(TEST_CPPFLAGS) $(JANSSON_CFLAGS)
test_attr_canonical_LDADD = $(TEST_LIBS) $(JANSSON_LIBS)
test_attr_deserialize_SOURCES = tests/unit/test_attr_deserialize.c
test_attr_deserialize_CPPFLAGS = $(TEST_CPPFLAGS)
test_attr_deserialize_LDADD = $(TEST_LIBS)
