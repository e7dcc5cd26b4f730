check_PROGRAMS += test_base
test_base_SOURCES = tests/unit/test_base.c
test_base_CPPFLAGS = $(TEST_CPPFLAGS)
test_base_LDADD = $(TEST_LIBS)

check_PROGRAMS += test_csv
test_csv_SOURCES = tests/unit/test_csv.c
test_csv_CPPFLAGS = $(TEST_CPPFLAGS)
test_csv_LDADD = $(TEST_LIBS)

check_PROGRAMS += test_table
test_table_SOURCES = tests/unit/test_table.c tests/lib/tabletest.h
test_table_CPPFLAGS = $(TEST_CPPFLAGS)
test_table_LDADD = $(TEST_LIBS)

check_PROGRAMS += test_table_kinds
test_table_kinds_SOURCES = tests/unit/test_table_kinds.c tests/lib/tabletest.h
test_table_kinds_CPPFLAGS = $(TEST_CPPFLAGS)
test_table_kinds_LDADD = $(TEST_LIBS)

check_PROGRAMS += test_table_faults
test_table_faults_SOURCES = tests/unit/test_table_faults.c tests/lib/tabletest.h
test_table_faults_CPPFLAGS = $(TEST_CPPFLAGS)
test_table_faults_LDADD = $(TEST_LIBS)

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

check_PROGRAMS += test_crypto
test_crypto_SOURCES = tests/unit/test_crypto.c tests/lib/wycheproof.h
test_crypto_CPPFLAGS = $(TEST_CPPFLAGS) $(JANSSON_CFLAGS) $(CRYPTO_CFLAGS)
test_crypto_LDADD = $(TEST_LIBS) $(JANSSON_LIBS) $(CRYPTO_LIBS)

check_PROGRAMS += test_gcm
test_gcm_SOURCES = tests/unit/test_gcm.c tests/lib/wycheproof.h
test_gcm_CPPFLAGS = $(TEST_CPPFLAGS) $(JANSSON_CFLAGS)
test_gcm_LDADD = $(TEST_LIBS) $(JANSSON_LIBS)

check_PROGRAMS += test_signature
test_signature_SOURCES = tests/unit/test_signature.c
test_signature_CPPFLAGS = $(TEST_CPPFLAGS) $(CRYPTO_CFLAGS)
test_signature_LDADD = $(TEST_LIBS) $(CRYPTO_LIBS)

check_PROGRAMS += test_esdk_suite
test_esdk_suite_SOURCES = tests/unit/test_esdk_suite.c
test_esdk_suite_CPPFLAGS = $(TEST_CPPFLAGS)
test_esdk_suite_LDADD = $(TEST_LIBS)

check_PROGRAMS += test_esdk_header
test_esdk_header_SOURCES = tests/unit/test_esdk_header.c
test_esdk_header_CPPFLAGS = $(TEST_CPPFLAGS)
test_esdk_header_LDADD = $(TEST_LIBS)

check_PROGRAMS += test_asymmetric
test_asymmetric_SOURCES = tests/unit/test_asymmetric.c
test_asymmetric_CPPFLAGS = $(TEST_CPPFLAGS) $(CRYPTO_CFLAGS)
test_asymmetric_LDADD = $(TEST_LIBS) $(CRYPTO_LIBS)

check_PROGRAMS += test_config
test_config_SOURCES = tests/unit/test_config.c
test_config_CPPFLAGS = $(TEST_CPPFLAGS)
test_config_LDADD = $(TEST_LIBS)

check_PROGRAMS += test_http
test_http_SOURCES = tests/unit/test_http.c
test_http_CPPFLAGS = $(TEST_CPPFLAGS)
test_http_LDADD = $(TEST_LIBS)

check_PROGRAMS += test_sigv4
test_sigv4_SOURCES = tests/unit/test_sigv4.c tests/lib/rawrequest.h
test_sigv4_CPPFLAGS = $(TEST_CPPFLAGS)
test_sigv4_LDADD = $(TEST_LIBS)

check_PROGRAMS += test_credentials
test_credentials_SOURCES = tests/unit/test_credentials.c
test_credentials_CPPFLAGS = $(TEST_CPPFLAGS)
test_credentials_LDADD = $(TEST_LIBS)

check_PROGRAMS += test_aws
test_aws_SOURCES = tests/unit/test_aws.c
test_aws_CPPFLAGS = $(TEST_CPPFLAGS)
test_aws_LDADD = $(TEST_LIBS)

check_PROGRAMS += test_dynamodb
test_dynamodb_SOURCES = tests/unit/test_dynamodb.c
test_dynamodb_CPPFLAGS = $(TEST_CPPFLAGS)
test_dynamodb_LDADD = $(TEST_LIBS)

check_PROGRAMS += test_kms
test_kms_SOURCES = tests/unit/test_kms.c
test_kms_CPPFLAGS = $(TEST_CPPFLAGS)
test_kms_LDADD = $(TEST_LIBS)

check_PROGRAMS += test_s3_list
test_s3_list_SOURCES = tests/unit/test_s3_list.c
test_s3_list_CPPFLAGS = $(TEST_CPPFLAGS)
test_s3_list_LDADD = $(TEST_LIBS)

check_PROGRAMS += test_s3_live
test_s3_live_SOURCES = tests/unit/test_s3_live.c
test_s3_live_CPPFLAGS = $(TEST_CPPFLAGS)
test_s3_live_LDADD = $(TEST_LIBS)

check_PROGRAMS += test_s3_transfer
test_s3_transfer_SOURCES = tests/unit/test_s3_transfer.c
test_s3_transfer_CPPFLAGS = $(TEST_CPPFLAGS)
test_s3_transfer_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=s3_call_run,--wrap=kb_s3_is_secure
test_s3_transfer_LDADD = $(TEST_LIBS)

check_PROGRAMS += test_s3_xml
test_s3_xml_SOURCES = tests/unit/test_s3_xml.c
test_s3_xml_CPPFLAGS = $(TEST_CPPFLAGS)
test_s3_xml_LDADD = $(TEST_LIBS)

# The command's sources are in no library.
check_PROGRAMS += test_pace
test_pace_SOURCES = tests/unit/test_pace.c src/cli/pace.c src/cli/pace.h
test_pace_CPPFLAGS = $(TEST_CPPFLAGS)
test_pace_LDADD = $(TEST_LIBS)

check_PROGRAMS += test_esdk
test_esdk_SOURCES = tests/unit/test_esdk.c tests/lib/esdktest.h
test_esdk_CPPFLAGS = $(TEST_CPPFLAGS)
test_esdk_LDADD = $(TEST_LIBS)

check_PROGRAMS += test_esdk_forged
test_esdk_forged_SOURCES = tests/unit/test_esdk_forged.c tests/lib/esdktest.h
test_esdk_forged_CPPFLAGS = $(TEST_CPPFLAGS)
test_esdk_forged_LDADD = $(TEST_LIBS)

KEYRING_WRAP = -Wl,--wrap=kb_token_gcm,--wrap=kb_token_unwrap_keys,--wrap=kb_token_random
check_PROGRAMS += test_keyring
test_keyring_SOURCES = tests/unit/test_keyring.c $(TOKEN_TEST_SOURCES)
test_keyring_CPPFLAGS = $(TOKEN_TEST_CPPFLAGS)
test_keyring_LDFLAGS = $(AM_LDFLAGS) $(KEYRING_WRAP)
test_keyring_LDADD = $(TEST_LIBS)

check_PROGRAMS += test_s3
test_s3_SOURCES = tests/unit/test_s3.c
test_s3_CPPFLAGS = $(TEST_CPPFLAGS)
test_s3_LDADD = $(TEST_LIBS)

check_PROGRAMS += test_s3ec_header
test_s3ec_header_SOURCES = tests/unit/test_s3ec_header.c
test_s3ec_header_CPPFLAGS = $(TEST_CPPFLAGS)
test_s3ec_header_LDADD = $(TEST_LIBS)

OBJECT_WRAP = -Wl,--wrap=kb_s3_realm,--wrap=kb_s3_connections,--wrap=kb_s3_is_secure \
	-Wl,--wrap=kb_s3_upload,--wrap=kb_s3_head_object,--wrap=kb_s3_delete_object \
	-Wl,--wrap=kb_s3_get_bucket_encryption,--wrap=kb_vault_make,--wrap=kb_vault_add_objects \
	-Wl,--wrap=kb_vault_update_objects,--wrap=kb_vault_remove_objects \
	-Wl,--wrap=kb_vault_each_object
check_PROGRAMS += test_object
test_object_SOURCES = tests/unit/test_object.c
test_object_CPPFLAGS = $(TEST_CPPFLAGS)
test_object_LDFLAGS = $(AM_LDFLAGS) $(OBJECT_WRAP)
test_object_LDADD = $(TEST_LIBS)

FIND_WRAP = -Wl,--wrap=kb_s3_realm,--wrap=kb_s3_connections,--wrap=kb_s3_is_secure \
	-Wl,--wrap=kb_s3_head_object,--wrap=kb_s3_get_object,--wrap=kb_s3_download \
	-Wl,--wrap=kb_vault_each_object,--wrap=kb_vault_each_key,--wrap=kb_vault_find_key \
	-Wl,--wrap=kb_vault_find_scope,--wrap=kb_vault_release,--wrap=kb_esdk_decrypt \
	-Wl,--wrap=kb_vault_release_many,--wrap=kb_esdk_message_info,--wrap=kb_esdk_push
check_PROGRAMS += test_object_find
test_object_find_SOURCES = tests/unit/test_object_find.c
test_object_find_CPPFLAGS = $(TEST_CPPFLAGS)
test_object_find_LDFLAGS = $(AM_LDFLAGS) $(FIND_WRAP)
test_object_find_LDADD = $(TEST_LIBS)
