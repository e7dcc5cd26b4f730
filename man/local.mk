dist_man_MANS += \
	man/keybridge.1 \
	man/keybridge-aws-policy.1 \
	man/keybridge-config.1 \
	man/keybridge-envelope.1 \
	man/keybridge-init.1 \
	man/keybridge-item.1 \
	man/keybridge-key.1 \
	man/keybridge-kms.1 \
	man/keybridge-s3.1 \
	man/keybridge-table.1 \
	man/keybridge-token.1 \
	man/keybridge-vault.1 \
	man/libkeybridge.3 \
	man/keybridge.json.5 \
	man/keybridge-token.8
dist_pkgdata_DATA += share/keybridge.schema.json
