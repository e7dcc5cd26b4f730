# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154
#
# Sourced behind lib.sh by scripts that need Ceph's gateway over TLS: that of
# KB_RGW_URL, or else one of their own.

rgw=$work/rgw
if [ -z "${KB_RGW_URL:-}" ]; then
    if ! why=$(python3 "$here/../servers/rgw.py" --check 2>&1); then
        printf 'SKIP rgw: %s\n' "$why"
        [ "${CI:-}" = true ] && exit 1 # .ci/run installs it before the tests
        exit 77
    fi
    python3 "$here/../servers/rgw.py" --dir "$rgw" >"$work/rgw.log" 2>&1 &
    server=$!
    at_end "kill $server; wait $server 2>/dev/null"
    tries=0
    while [ ! -e "$rgw/env" ] && [ $tries -lt 3000 ] && kill -0 $server 2>/dev/null; do
        sleep 0.1
        tries=$((tries + 1))
    done
    [ -e "$rgw/env" ] || { fail 'the gateway does not start'; cat "$work/rgw.log"; finish; }
    # shellcheck source=/dev/null
    . "$rgw/env"
else
    # lib.sh took them away: with.sh gives what rgw.py's user is called.
    AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE
    AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY
    AWS_REGION=us-east-1
    export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_REGION
fi
secret "$AWS_SECRET_ACCESS_KEY"
AWS_ENDPOINT_URL_S3=$KB_RGW_URL AWS_CA_BUNDLE=$KB_RGW_CA
export AWS_ENDPOINT_URL_S3 AWS_CA_BUNDLE KB_RGW_URL KB_RGW_CA

s3() { kb s3 "$@"; }
put() { kb -q s3 put "$@"; }
# A member of the JSON that `head` prints of an object: field NAME URL
field() {
    name=$1
    shift
    kb s3 head --json "$@" | sed -n "s/.*\"$name\":\"\([^\"]*\)\".*/\1/p"
}
# A request that the command does not make, at the gateway itself: METHOD /PATH [NAME:VALUE…]
ask() { python3 "$here/../servers/s3_ask.py" "$@"; }
# uploads BUCKET: how many have begun and not ended.
uploads() { ask GET "/$1?uploads=" | grep -o '<UploadId>' | wc -l; }
bucket=s3-$(basename "$0" .sh)-$$

# The front (s3_front.py), for scripts that have it: its rules, its counters, and one fault that happened.
rules() {
    printf '{"reset":true,"rules":[%s]}' "$1" |
        curl -sf --cacert "$KB_RGW_FRONT_CA" -d @- "$KB_RGW_FRONT_URL/__front/rules" >/dev/null ||
        fail "the front takes no rules: $1"
}
stats() { curl -sf --cacert "$KB_RGW_FRONT_CA" "$KB_RGW_FRONT_URL/__front/stats"; }
await_fault() {
    for _ in $(seq 300); do
        stats | grep -q '"faults": {"' && return
        sleep 0.1
    done
    fail 'no fault happened'
}
