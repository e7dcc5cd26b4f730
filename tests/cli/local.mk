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
	tests/cli/forged.sh \
	tests/cli/faults.sh

TESTS += $(CLI_TESTS)
EXTRA_DIST += tests/cli/lib.sh $(CLI_TESTS)
