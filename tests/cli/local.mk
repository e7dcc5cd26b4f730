# The command as its users see it: plain shell scripts, one for each theme.
CLI_TESTS = \
	tests/cli/init.sh \
	tests/cli/config.sh \
	tests/cli/help.sh \
	tests/cli/example.sh tests/cli/example-envelope.sh \
	tests/cli/key.sh tests/cli/key-pair.sh \
	tests/cli/envelope.sh tests/cli/envelope-bad.sh tests/cli/envelope-files.sh \
	tests/cli/item.sh \
	tests/cli/item-bad.sh \
	tests/cli/asymmetric.sh \
	tests/cli/table.sh \
	tests/cli/table-faults.sh \
	tests/cli/load.sh \
	tests/cli/policy.sh \
	tests/cli/remote.sh \
	tests/cli/servers.sh \
	tests/cli/s3.sh tests/cli/s3-client.sh tests/cli/s3-faults.sh tests/cli/s3-copy.sh \
	tests/cli/s3-rotate.sh tests/cli/s3-bucket.sh tests/cli/s3-cuts.sh \
	tests/cli/s3-replaced.sh \
	tests/cli/vault.sh \
	tests/cli/forged.sh \
	tests/cli/faults.sh

TESTS += $(CLI_TESTS)
EXTRA_DIST += tests/cli/lib.sh tests/cli/s3-lib.sh $(CLI_TESTS)
