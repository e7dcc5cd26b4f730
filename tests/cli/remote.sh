#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# DynamoDB and KMS by the command, as far as it goes without a server: options
# that do not fit, and nobody at the other end.
. "$(dirname "$0")/lib.sh"
new_home
cd "$work" || exit
AWS_ACCESS_KEY_ID=AKIDEXAMPLE AWS_SECRET_ACCESS_KEY=secretexample AWS_REGION=us-east-1
AWS_MAX_ATTEMPTS=1 AWS_EC2_METADATA_DISABLED=true
export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_REGION AWS_MAX_ATTEMPTS AWS_EC2_METADATA_DISABLED
secret secretexample
t=dynamodb:Tab
nobody='--endpoint-url http://127.0.0.1:1'

# --- options that do not fit ------------------------------------------------------------

create() { kb table create --table "$t" --partition-key id "$@"; }
expect 2 "'cheap'" create --billing cheap
expect 2 '--read-units' create --read-units 5
expect 2 '--write-units' create --billing provisioned --read-units 5
expect 2 'read-units' create --billing provisioned --read-units 0 --write-units 5
expect 2 'read-units' create --billing provisioned --read-units x --write-units 5
expect 2 "'mine'" create --sse mine
expect 2 '--sse-kms-key' create --sse kms
expect 2 '--sse kms' create --sse aws --sse-kms-key k
expect 2 '--sse kms' create --sse-kms-key k
expect 2 'NAME=PARTITION-KEY' create --index by-x
expect 2 'NAME=PARTITION-KEY' create --index =x
expect 2 "'x:Q'" create --index by-x=x:Q
expect 2 "''" create --index by-x=x,
expect 2 'NAME=SORT-KEY' create --local-index by-x
# shellcheck disable=SC2046
expect 2 'indexes' create $(seq 26 | sed 's/.*/--index i&=x/')
expect 2 '--sse' kb table set-sse --table $t
expect 2 '--table' kb table set-sse --sse owned
expect 2 'connections' kb table scan --table $t --connections 0
expect 2 'connections' kb table scan --table $t --connections 65
expect 2 '--region is empty' kb table scan --table $t --region=
expect 2 '' kb table scan --table $t --endpoint-url ftp://127.0.0.1
# A table in a file has none of it.
expect 2 'file' kb table create --table local:x --partition-key id --sse aws
expect 2 'file' kb table create --table local:x --partition-key id --index by-x=x
expect 2 'file' kb table create --table local:x --partition-key id --billing provisioned --read-units 1 --write-units 1
check 'and is not made' [ ! -e x ]
expect 0 '' kb table create --table local:x --partition-key id
expect 2 '' kb table set-sse --table local:x --sse aws
expect 2 'index' kb table query --table local:x --partition 1 --index by-x

# --- providers -------------------------------------------------------------------------------

encrypt() { kb item encrypt --table T --partition-key id "$@" </dev/null; }
expect 2 '--kms-key' encrypt --provider kms
for other in wrap-key sign-key content-key wrap-alg; do
    expect 2 "--$other" encrypt --provider kms --kms-key k --$other x
done
expect 2 '--kms-key' encrypt --provider wrapped --kms-key k
expect 2 '--grant-token' encrypt --grant-token g
expect 2 '--wrap-alg' encrypt --content-key c --wrap-alg AESWrap
expect 2 "'vault'" encrypt --provider vault
expect 2 '--signed-name' encrypt --signed-name T
expect 0 '' kb item encrypt --signed-name T --partition-key id -i /dev/null
printf '{"id":{"S":"a"},"x":{"S":"b"}}\n' >item
kb item encrypt --signed-name T --partition-key id -i item -o sealed
expect 0 '"x":{"S":"b"}' kb item decrypt --table T --partition-key id -i sealed
# Neither a token nor a PIN is needed for KMS.
KEYBRIDGE_HOME=$work/empty expect 7 '' kb item encrypt --table T --partition-key id -i item --kms-key k $nobody
# In a table, --signed-name is over the table's own name; --name is what is expected.
expect 0 '' kb table put --table local:x -i item --signed-name Restored
expect 4 'altered' kb table scan --table local:x
expect 0 '"x":{"S":"b"}' kb table scan --table local:x --signed-name Restored
expect 0 '"x":{"S":"b"}' kb table scan --table local:x --signed-name Restored --name x
expect 4 "'y'" kb table scan --table local:x --name y
# So are its keys.
expect 4 "table local:x has partition key 'id', not 'x'" kb table scan --table local:x --partition-key x
expect 4 "table local:x has no sort key, not 'x'" kb table put --table local:x -i item --sort-key x
expect 4 "'x'" kb table get --table local:x --key '{}' --partition-key x
expect 4 "'x'" kb table query --table local:x --partition a --partition-key x --raw
expect 4 "'x'" kb table load "$data" --table local:x --partition-key x --plaintext
expect 0 '"x":{"S":"b"}' kb table scan --table local:x --signed-name Restored --partition-key id --sort-key ''
kb table scan --table local:x --raw >stored
expect 0 '"x":{"S":"b"}' kb item decrypt --signed-name Restored --partition-key id -i stored

# --- kms: before anything is sent -------------------------------------------------------------

expect 2 '--kms-key' kb kms encrypt
expect 4 'empty' kb kms encrypt --kms-key k -i /dev/null
head -c 4097 /dev/zero >large
expect 4 '4096' kb kms encrypt --kms-key k -i large
expect 3 'none' kb kms encrypt --kms-key k -i none
expect 2 'name=value' kb kms encrypt --kms-key k -i item -c x
expect 4 'base64' kb kms decrypt --base64 -i item
for bad in A AB AB= ABC 'A===' 'QQ=A' 'QR==' '=QQ='; do
    given "$bad" 4 'base64' kb kms decrypt --base64
done
expect 4 '6144' kb kms decrypt -i /dev/null
expect 2 'JSON' kb kms decrypt --json -i item
expect 2 '--kms-key' kb kms generate-data-key -o key
expect 2 '--output' kb kms generate-data-key --kms-key k
for bad in 0 1025 x; do
    expect 2 'bytes' kb kms generate-data-key --kms-key k -o key --bytes "$bad"
done
expect 2 'missing' kb kms describe-key
mkfifo pipe
for other in pipe /dev/null .; do
    expect 2 'regular file' kb kms generate-data-key --kms-key k -o $other $nobody
done
if command -v script >/dev/null; then
    for out in '' '-o /dev/stdout' '-o /dev/tty' '-o "$(tty)"' '-o link'; do
        ln -sf /dev/tty link
        script -qec "'$KEYBRIDGE' kms decrypt -i item $nobody $out; echo exit \$?" /dev/null >shown 2>&1 </dev/null
        check "a plaintext is not shown on a terminal $out" grep -q 'not shown on a terminal' shown
        check "that is a wrong use $out" grep -q 'exit 2' shown
    done
else
    skip 'a plaintext on a terminal' 'no script(1)'
fi

# --- a server that says what it likes ------------------------------------------------------------

cat >server.py <<'END'
import http.server, json, os, sys
E = "\x1b[31m\x7f\x9b31m\r"
ANSWERS = {
    "DescribeKey": {"KeyMetadata": {"KeyId": "k" + E, "Arn": "a" + E, "KeyState": "Enabled" + E,
                                    "Description": "\u20ac" + E}},
    "DescribeTable": {"Table": {
        "TableName": "Tab", "TableStatus": "ACTIVE", "TableArn": "arn" + E,
        "KeySchema": [{"AttributeName": "i" + E, "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "i" + E, "AttributeType": "S"}],
        "GlobalSecondaryIndexes": [{"IndexName": "by" + E, "IndexStatus": "ACTIVE",
            "Projection": {"ProjectionType": "ALL"},
            "KeySchema": [{"AttributeName": "i" + E, "KeyType": "HASH"}]}]}},
    "Decrypt": {"KeyId": "k", "Plaintext": "cGxhaW4=", "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"},
    "Scan": {"Items": [], "Count": 0, "ScannedCount": 0},
}
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        answer = ANSWERS.get(self.headers["X-Amz-Target"].split(".")[1])
        body = json.dumps(answer or {"__type": "ValidationException", "message": "no" + E})
        self.send_response(200 if answer else 400)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())
    def log_message(self, *args):
        pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
with open("port.new", "w") as out:
    out.write(str(server.server_port))
os.rename("port.new", "port")
server.serve_forever()
END
# Nothing in out or err but lines of text: no C0 but line ends, no DEL, no C1.
tame() {
    ! cat out err | tr -d '\n' | grep -q '[[:cntrl:]]' &&
        ! cat out err | od -An -v -tx1 | tr -d ' \n' | sed 's/../& /g' | grep -q 'c2 [89]'
}
python3=$(python json)
if [ -n "$python3" ]; then
    "$python3" server.py &
    server=$!
    at_end "kill $server"
    for _ in $(seq 100); do
        [ -s port ] || sleep 0.1
    done
    url=http://127.0.0.1:$(cat port)
    expect 0 'k?[31m??31m?' kb kms describe-key k --endpoint-url "$url"
    check 'nor does a key steer the terminal' tame
    check 'other characters stay' grep -q '^description  €?\[31m' out
    expect 0 '"description":"€\u001b[31m' kb kms describe-key k --endpoint-url "$url" --json
    expect 2 'no?[31m??31m?' kb kms create-key --endpoint-url "$url"
    check "nor does a server's message" tame
    expect 0 'by?[31m??31m?' kb table describe --table $t --endpoint-url "$url"
    check 'nor does a table' tame
    expect 0 'plain' kb kms decrypt -i item --endpoint-url "$url"
    expect 0 'plain' kb kms decrypt -i item -o /dev/stdout --endpoint-url "$url"
    cat pipe >piped &
    reader=$!
    expect 0 '' kb kms decrypt -i item -o pipe --endpoint-url "$url"
    wait $reader
    check 'a pipe that is named is written' [ "$(cat piped)" = plain ]
    expect 0 "KMS is called at $url too" kb table scan --table $t --kms-key k --endpoint-url "$url"
    for quiet in '-q' "--kms-endpoint-url $url"; do
        # shellcheck disable=SC2086
        expect 0 '' kb table scan --table $t --kms-key k --endpoint-url "$url" $quiet
        check "no note with $quiet" [ ! -s err ]
    done
    AWS_ENDPOINT_URL_KMS=$url expect 0 '' kb table scan --table $t --kms-key k --endpoint-url "$url"
    check 'no note with the variable' [ ! -s err ]
    AWS_ENDPOINT_URL=$url expect 0 '' kb table scan --table $t --kms-key k
    check 'no note without the option' [ ! -s err ]
    kb item encrypt --table T --partition-key id -i item --kms-key k --endpoint-url "$url" >out 2>err
    check 'no note for an item' [ "$(grep -c 'KMS is called' err)" = 0 ]
else
    skip 'a server that says what it likes' 'no Python'
fi
printf '{"id":{"S":"a"},"x\302\233\\u001b[31m":{"S":"b"}}\n' >item-escape
expect 0 'x??[31m' kb item inspect -i item-escape
check 'nor does an item' tame

# --- nobody at the other end ---------------------------------------------------------------------

start=$(date +%s)
for verb in describe scan 'get --key {}' 'query --partition 1' 'delete --key {}' 'put -i item' \
    "load $data" "load $data --dry-run" 'set-sse --sse aws'; do
    # shellcheck disable=SC2086
    expect 7 '127.0.0.1' kb table $verb --table $t $nobody
done
# shellcheck disable=SC2086
expect 7 '127.0.0.1' create $nobody
for verb in 'encrypt --kms-key k -i item' 'decrypt -i item' 'create-key' 'describe-key k' \
    'generate-data-key --kms-key k -o key'; do
    # shellcheck disable=SC2086
    expect 7 '127.0.0.1' kb kms $verb $nobody
done
check 'no key was written' [ ! -e key ]
KEYBRIDGE_AWS_ENDPOINT_URL=http://127.0.0.1:1 expect 7 '127.0.0.1' kb table scan --table $t
AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:1 expect 7 '127.0.0.1' kb table scan --table $t
check 'one try each is soon over' [ $(($(date +%s) - start)) -lt 120 ]
expect 7 'keybridge.invalid' kb table scan --table $t --endpoint-url http://keybridge.invalid
AWS_ACCESS_KEY_ID='' AWS_SECRET_ACCESS_KEY='' expect 5 'credentials' kb table scan --table $t $nobody
AWS_REGION='' expect 2 'region' kb table scan --table $t $nobody
expect 2 "'nobody'" kb table scan --table $t $nobody --profile nobody
finish
