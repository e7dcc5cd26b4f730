#!/bin/sh
# One stage of proof beyond `make check`; each is also a make target.
#     tests/stage.sh asan|tsan|valgrind|lint|peers|fuzz [SOURCE]
# The sanitizers and fuzzers build in folders of their own below the current one;
# valgrind and peers take the build above it. tsan and fuzz compile with clang, so
# that its warnings are errors too. Ends with a plain line "N passed, N failed".
set -u

stage=${1:?which stage?}
source=$(cd "${2:-.}" && pwd)
logs=$PWD
jobs=$(getconf _NPROCESSORS_ONLN)
passed=0
failed=0

say() { printf '%s\n' "$*"; }

# Runs a command with its output in a log that is shown when it fails.
step() {
    name=$1
    shift
    log=$logs/stage-$stage-$(printf '%s' "$name" | tr -c 'A-Za-z0-9.-' _).log
    if "$@" >"$log" 2>&1; then
        say "ok      $name"
        passed=$((passed + 1))
        return 0
    fi
    say "FAILED  $name (the end of $log)"
    tail -n 60 "$log"
    failed=$((failed + 1))
    return 1
}

finish() {
    say "$passed passed, $failed failed"
    [ "$failed" = 0 ]
    exit
}

need() {
    for tool in "$@"; do
        command -v "$tool" >/dev/null 2>&1 && continue
        if [ "${CI:-}" = true ]; then
            say "FAILED  $tool is not installed"
            failed=$((failed + 1))
        else
            say "SKIP    stage $stage: $tool is not installed"
        fi
        finish
    done
}

# Configures and builds below build-$stage, test programs included.
build() {
    mkdir -p "build-$stage" && cd "build-$stage" || exit 1
    [ -f Makefile ] || step configure "$source/configure" --enable-werror "$@" || finish
    step build make -j"$jobs" all || finish
}

# The build this stage was called from, brought up to date.
build_above() {
    cd .. || exit 1
    step build make -j"$jobs" all || finish
    step 'build tests' make -j"$jobs" check TESTS= || finish
}

# check_each TEST…: those programs of `make check`, a step each; twice as many at once
# as there are processors, since they wait much. $wrapper, when set, runs the programs.
check_each() {
    [ $# -gt 0 ] || step 'which programs to run' false
    make -k -j"$((jobs * 2))" check TESTS="$*" ${wrapper:+LOG_COMPILER="$wrapper"} >"$logs/stage-$stage.log" 2>&1
    for test in "$@"; do
        case $(sed -n 's/^:global-test-result: //p' "$test.trs") in
        PASS) step "$test" true ;;
        SKIP) say "SKIP    $test: $(tail -n 2 "$test.log" | head -n 1)" ;;
        *) step "$test" sh -c "cat '$test.log'; exit 1" ;;
        esac
    done
}

# peer NAME COMMAND…: install a peer that may be missing; without what it needs
# a loud skip, in CI a failure.
peer() {
    name=$1
    shift
    log=$logs/stage-peers-$(printf '%s' "$name" | tr ' ' _).log
    "$@" >"$log" 2>&1
    case $? in
    0) step "$name installed" true ;;
    77) say "SKIP    $name: $(tail -n 1 "$log")" && return 1 ;;
    *) step "$name installed" sh -c "cat '$log'; exit 1" ;;
    esac
}

# Whatever cannot run here is said in the step's log; moto stands in for dynalite.
with() { sh "$source/tests/servers/with.sh" "$@"; }

peers_of_tables() {
    step 'coverage table is that of the vectors' sh -c \
        "'$python' '$source/tests/interop/generate.py' --coverage | cmp - '$source/tests/interop/COVERAGE.md'"
    step 'signatures of botocore' "$python" "$source/tests/interop/sigv4_botocore.py" \
        --verify "$PWD/sigv4-verify"
    step 'live, both ways' "$python" "$source/tests/interop/live.py" --keybridge "$PWD/keybridge"
    esdk=
    peer 'AWS Encryption SDK for Python' sh "$source/tests/interop/venv.sh" "$PWD/venv-esdk" \
        "$source/tests/interop/esdk-requirements.txt" aws_encryption_sdk aws_cryptographic_material_providers &&
        esdk="--python $PWD/venv-esdk/bin/python"
    peer 'AWS Encryption SDK for JavaScript' sh "$source/tests/interop/esdk-js/install.sh" "$PWD/esdk-js" &&
        esdk="$esdk --js $PWD/esdk-js"
    # shellcheck disable=SC2086  # no word, two or four
    [ -z "$esdk" ] || step 'live, envelopes' "$python" "$source/tests/interop/live_envelope.py" \
        --keybridge "$PWD/keybridge" $esdk
    java=
    peer 'java client' sh "$source/tests/interop/java/install.sh" "$PWD/java" && java="--java $PWD/java"
    step 'front' with 'dynalite?,moto,front' -- "$python" "$source/tests/servers/test_front.py"
    # shellcheck disable=SC2016  # the inner shell's variables
    step 'tables and KMS, for real' with 'dynalite?,moto' -- env srcdir="$source" sh -c \
        'KB_KMS_URL=$KB_MOTO_URL; export KB_KMS_URL; ./test_kms && { [ -z "${KB_DYNALITE_URL:-}" ] || ./test_table_kinds; }'
    step 'the command at servers' with 'dynalite?,moto' -- env KEYBRIDGE="$PWD/keybridge" \
        sh "$source/tests/cli/servers.sh"
    # shellcheck disable=SC2086  # no word or two
    step 'live, every key kind' with 'dynalite?,moto' -- "$python" "$source/tests/interop/live_keys.py" \
        --keybridge "$PWD/keybridge" $java
    step 'the workshop' with 'dynalite?,moto' -- "$python" "$source/tests/interop/teaching.py" \
        --keybridge "$PWD/keybridge"
    step 'live, faults' with 'dynalite?,moto,front' -- "$python" "$source/tests/interop/live_tables.py" \
        --keybridge "$PWD/keybridge"
}

peers_of_s3() {
    step 'S3, for real' with rgw -- env srcdir="$source" sh -c './test_s3 && ./test_s3_live'
    peer 'aws-cli and boto3' sh "$source/tests/interop/venv.sh" "$PWD/venv-s3" \
        "$source/tests/interop/s3-requirements.txt" awscli boto3 ministack && {
        step 'live, S3' with rgw,ministack,moto-s3 -- "$PWD/venv-s3/bin/python" "$source/tests/interop/live_s3.py" \
            --keybridge "$PWD/keybridge"
        step 's3-bucket.sh' with rgw -- env KEYBRIDGE="$PWD/keybridge" PATH="$PWD/venv-s3/bin:$PATH" \
            sh "$source/tests/cli/s3-bucket.sh"
        step 'front of S3' with rgw,ministack,s3-front -- "$PWD/venv-s3/bin/python" "$source/tests/servers/test_s3_front.py"
        step 'S3 that lies and fails' with rgw,s3-front -- env KEYBRIDGE="$PWD/keybridge" \
            sh "$source/tests/cli/s3-faults.sh"
        step 'copies in parts' with ministack -- env srcdir="$source" ./test_object_rotate
        step 'S3 that is cut' with rgw,s3-front -- env KEYBRIDGE="$PWD/keybridge" \
            sh "$source/tests/cli/s3-cuts.sh"
        step 'S3 that copies' with ministack,moto-s3,s3-front -- env KEYBRIDGE="$PWD/keybridge" \
            sh "$source/tests/cli/s3-copy.sh"
    }
    peer 'S3 Encryption Client for Java' sh "$source/tests/interop/java/install.sh" "$PWD/java-s3" java-s3 &&
        step 'live, client-side encryption in S3' with rgw -- "$python" "$source/tests/interop/live_s3ec.py" \
            --keybridge "$PWD/keybridge" --java "$PWD/java-s3"
}

# side_by_side FUNCTION…: runs them at once and adds up their steps.
side_by_side() {
    for lane in "$@"; do
        rm -f "$logs/stage-$stage-$lane.counts"
        (
            passed=0
            failed=0
            "$lane"
            printf '%s %s\n' "$passed" "$failed" >"$logs/stage-$stage-$lane.counts"
        ) &
    done
    wait
    for lane in "$@"; do
        lane_passed=0
        lane_failed=1
        # shellcheck disable=SC2015  # what is not told is a failure
        [ -s "$logs/stage-$stage-$lane.counts" ] &&
            read -r lane_passed lane_failed <"$logs/stage-$stage-$lane.counts" ||
            say "FAILED  $lane did not come to its end"
        passed=$((passed + lane_passed))
        failed=$((failed + lane_failed))
    done
}

case $stage in
asan)
    build --enable-sanitizers=address,undefined CFLAGS='-O1 -g'
    # Odd frees inside PKCS#11 modules are not ours to judge.
    ASAN_OPTIONS=detect_leaks=1:alloc_dealloc_mismatch=0
    LSAN_OPTIONS=suppressions=$source/tests/lsan.supp:print_suppressions=0
    UBSAN_OPTIONS=print_stacktrace=1
    export ASAN_OPTIONS LSAN_OPTIONS UBSAN_OPTIONS
    step 'build tests' make -j"$jobs" check TESTS= || finish
    # shellcheck disable=SC2046  # names of programs
    check_each $(make -s print-tests)
    ;;
tsan)
    need clang
    build CC=clang --enable-sanitizers=thread CFLAGS='-O1 -g'
    step 'build tests' make -j"$jobs" check TESTS= || finish
    check_each test_ddbec test_esdk test_esdk_forged test_keyring test_token_counts \
        test_token_helpers test_http test_aws test_credentials test_s3_transfer test_object_find
    ;;
valgrind)
    need valgrind
    build_above
    tests=
    for test in $(make -s print-tests); do
        case $test in
        # Scripts start many programs; forks that are killed end no report.
        *.sh | test_table_faults) continue ;;
        # These take minutes there; the sanitizers run them.
        test_ddbec_vectors | test_esdk_vectors | test_envelope_vectors) continue ;;
        test_token_pairs | test_token_wycheproof | test_s3_transfer) continue ;;
        test_esdk | test_esdk_forged | test_esdk_peers) continue ;;
        esac
        tests="$tests $test"
    done
    wrapper='./libtool --mode=execute valgrind -q --error-exitcode=99 --leak-check=full'
    wrapper="$wrapper --errors-for-leak-kinds=definite"
    # shellcheck disable=SC2086  # names of programs
    check_each $tests
    ;;
lint)
    need shellcheck mandoc cppcheck
    cd "$source" || exit 1
    # shellcheck disable=SC2046  # lists of files without blanks
    {
        step shellcheck shellcheck -x -P SCRIPTDIR -S warning $(git ls-files '*.sh' quickstart autogen.sh .ci/run)
        step mandoc mandoc -T lint -W warning $(git ls-files 'man/*.[1-8]')
        step cppcheck cppcheck -j "$jobs" --quiet --error-exitcode=1 --std=c11 --enable=portability \
            --suppress=missingInclude --inline-suppr -I src -I . -D__GNUC__ \
            $(git ls-files 'src/*.c' 'keystore/*.c')
    }
    step 'house rules' sh tests/house.sh
    ;;
peers)
    need python3
    build_above
    python=$PWD/venv/bin/python
    step 'python client installed' sh "$source/tests/interop/venv.sh" venv \
        "$source/tests/interop/requirements.txt" dynamodb_encryption_sdk moto || finish
    export KEYBRIDGE_TOKEN_HELPER="$PWD/keybridge-token"
    side_by_side peers_of_tables peers_of_s3
    grep -h '^SKIP' "$logs"/stage-peers-*.log | sort -u
    ;;
fuzz)
    need clang
    build --enable-fuzzers --enable-sanitizers=address,undefined CC=clang CFLAGS='-O1 -g'
    step 'build fuzzers' make -j"$jobs" fuzzers || finish
    fuzzers=$(make -s print-fuzzers) || step 'which fuzzers to run' false
    rm -f fuzz_*.ok
    # shellcheck disable=SC2016  # the inner shell's variables
    printf '%s\n' "$fuzzers" | xargs -n 1 -P "$jobs" sh -c '
        mkdir -p "corpus-$2"
        "./$2" -max_total_time="${FUZZ_SECONDS:-10}" -rss_limit_mb=1024 "corpus-$2" \
            "$1/tests/fuzz/corpus/${2#fuzz_}" >"$2.log" 2>&1 && : >"$2.ok"' fuzz "$source"
    for target in $fuzzers; do
        step "$target" sh -c "[ -f '$target.ok' ] || { cat '$target.log'; exit 1; }"
    done
    ;;
*)
    say "unknown stage $stage"
    exit 2
    ;;
esac
finish
