dist_pkgdata_DATA += \
	hsm-config/softhsm2.conf.in \
	hsm-config/keybridge.module
dist_pkgdata_SCRIPTS = hsm-config/init-token.sh
EXTRA_DIST += \
	hsm-config/profiles/no-aes-gcm.conf \
	hsm-config/profiles/no-aes-key-wrap.conf \
	hsm-config/profiles/no-cbc-pad.conf \
	hsm-config/profiles/no-hmac-sha512.conf \
	hsm-config/profiles/no-rsa-hash.conf \
	hsm-config/profiles/no-rsa-oaep.conf \
	hsm-config/profiles/no-rsa-raw.conf
