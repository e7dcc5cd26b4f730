#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# keybridge aws-policy: what a command needs to be allowed, and nothing else.
. "$(dirname "$0")/lib.sh"
cd "$work" || exit
python3=$(python json)

# Resource and actions of each statement, one a line, out of --json.
statements() {
    sed 's/{"Effect"/\n&/g' out | sed -n 's/^{"Effect":"Allow","Action":\[\([^]]*\)\],"Resource":"\([^"]*\)".*/\2 \1/p' |
        tr -d '"'
}
# policy 'RESOURCE ACTIONS…' COMMAND
policy() {
    asked=$1
    shift
    expect 0 '' kb aws-policy --json --for "$@"
    check "policy of $1" [ "$(statements)" = "$asked" ] || statements
}
table="arn:aws:dynamodb:*:*:table/Table3"
d=dynamodb

# --- every verb ------------------------------------------------------------------------

policy "$table $d:BatchWriteItem,$d:DescribeTable,$d:PutItem" 'table load --table dynamodb:Table3'
policy "$table $d:BatchWriteItem,$d:DescribeTable,$d:PutItem" 'table put --table dynamodb:Table3 -i x'
policy "$table $d:BatchWriteItem,$d:DescribeTable,$d:PutItem" \
    "keybridge table load 'my file.csv' --table dynamodb:Table3 --where 'Item Type=Vegetables' --plaintext"
policy "$table $d:DescribeTable" 'table load x --table dynamodb:Table3 --dry-run'
policy "$table $d:DescribeTable" 'table describe --table dynamodb:Table3'
policy "$table $d:DescribeTable,$d:GetItem" 'table get --table dynamodb:Table3 --key {}'
policy "$table $d:DescribeTable,$d:Scan" '-q --json table scan --table=dynamodb:Table3'
policy "$table $d:DeleteItem,$d:DescribeTable" 'table delete --table dynamodb:Table3 --key {}'
policy "$table $d:DescribeTable,$d:Query" 'table query --table dynamodb:Table3 --partition 1'
policy "$table $d:DescribeTable
$table/index/by-region $d:Query" 'table query --table dynamodb:Table3 --partition 1 --index by-region'
policy "$table $d:CreateTable,$d:DescribeTable" 'table create --table dynamodb:Table3 --partition-key id --sse aws'
policy "$table $d:DescribeTable,$d:UpdateTable" 'table set-sse --table dynamodb:Table3 --sse owned'
sse='kms:Decrypt,kms:DescribeKey,kms:Encrypt,kms:GenerateDataKey,kms:GenerateDataKeyWithoutPlaintext,kms:ReEncryptFrom,kms:ReEncryptTo'
policy "$table $d:DescribeTable,$d:UpdateTable
arn:aws:kms:*:*:key/k1 $sse
arn:aws:kms:*:*:key/k1 kms:CreateGrant" 'table set-sse --table dynamodb:Table3 --sse kms --sse-kms-key k1'
# conditions ACTION: those of the statement that has the action.
conditions() {
    sed 's/{"Effect"/\n&/g' out | sed -n "/\"$1\"/s/.*,\"Condition\":\({.*}}\)}.*/\1/p"
}
via='"StringLike":{"kms:ViaService":"dynamodb.*.amazonaws.com"}'
aws='"Bool":{"kms:GrantIsForAWSResource":"true"}'
check 'only through DynamoDB' [ "$(conditions kms:Decrypt)" = "{$via}" ]
check 'a grant for DynamoDB only' [ "$(conditions kms:CreateGrant)" = "{$via,$aws}" ]
policy "$table $d:DescribeTable,$d:UpdateTable
arn:aws:kms:*:*:key/* $sse
arn:aws:kms:*:*:key/* kms:CreateGrant" 'table set-sse --table dynamodb:Table3 --sse kms --sse-kms-key alias/x'
alias='"ForAnyValue:StringEquals":{"kms:ResourceAliases":"alias/x"}'
check 'of that alias, and only through DynamoDB' [ "$(conditions kms:Decrypt)" = "{$alias,$via}" ]
check 'a grant on that alias, for DynamoDB only' [ "$(conditions kms:CreateGrant)" = "{$alias,$via,$aws}" ]
policy "arn:aws-cn:dynamodb:cn-north-1:*:table/T $d:DescribeTable,$d:UpdateTable
arn:aws-cn:kms:cn-north-1:*:key/k1 $sse
arn:aws-cn:kms:cn-north-1:*:key/k1 kms:CreateGrant" 'table set-sse --table dynamodb:T --sse kms --sse-kms-key k1' \
    --region cn-north-1
check "China's DynamoDB" grep -q '"dynamodb.cn-north-1.amazonaws.com.cn"' out
key=arn:aws:kms:eu-west-1:111122223333:key/k1
policy "$table $d:BatchWriteItem,$d:DescribeTable,$d:PutItem
$key kms:GenerateDataKey" "table load x --table dynamodb:Table3 --provider kms --kms-key $key"
policy "$table $d:DescribeTable,$d:Scan
$key kms:Decrypt" "table scan --table dynamodb:Table3 --kms-key $key"
policy "$table $d:DescribeTable,$d:Scan" "table scan --table dynamodb:Table3 --kms-key $key --raw"
policy "$table $d:BatchWriteItem,$d:DescribeTable,$d:PutItem" "table put --table dynamodb:Table3 --kms-key $key --raw"
policy "$key kms:GenerateDataKey" "item encrypt --table T --partition-key id --kms-key $key"
policy "$key kms:Decrypt" "item decrypt --table T --partition-key id --provider kms --kms-key $key"
policy "$key kms:GenerateDataKey" "table load x --table local:f --kms-key $key"
policy "$key kms:Encrypt" "kms encrypt --kms-key $key"
policy "$key kms:Decrypt" "kms decrypt --kms-key $key -i x"
policy 'arn:aws:kms:*:*:key/* kms:Decrypt' 'kms decrypt'
policy "$key kms:GenerateDataKey" "kms generate-data-key --kms-key $key -o x"
policy '* kms:CreateKey' 'kms create-key --description x'
policy "$key kms:DescribeKey" "kms describe-key $key"
policy "$key kms:DescribeKey" "kms describe-key --region eu-west-1 $key"
policy 'arn:aws:kms:*:*:key/* kms:Encrypt' 'kms encrypt --kms-key alias/mine'
check 'an alias is a condition' grep -q '"Condition":{"ForAnyValue:StringEquals":{"kms:ResourceAliases":"alias/mine"}}' out
policy 'arn:aws:kms:eu-west-1:111122223333:key/* kms:Encrypt' \
    'kms encrypt --kms-key arn:aws:kms:eu-west-1:111122223333:alias/mine'
check 'and so is the ARN of one' grep -q '"kms:ResourceAliases":"alias/mine"' out

# --- objects ---------------------------------------------------------------------------

o=arn:aws:s3:::bkt
read=s3:GetObject,s3:GetObjectVersion
write=s3:AbortMultipartUpload,s3:DeleteObject,s3:DeleteObjectVersion,$read,s3:PutObject
more=s3:GetObjectLegalHold,s3:GetObjectRetention,s3:GetObjectTagging,s3:GetObjectVersionTagging
policy "$o/p/k $write" 's3 put file s3://bkt/p/k'
policy "$o/p/* $write" 's3 put one two s3://bkt/p/'
policy "$o/p/* $write" 's3 put -r folder s3://bkt/p'
policy "$o/* $write" 's3 put -r folder s3://bkt'
policy "$o/k s3:AbortMultipartUpload,s3:DeleteObject,s3:DeleteObjectVersion,$read,s3:ListMultipartUploadParts,s3:PutObject,s3:PutObjectTagging" \
    's3 put --resume --tag a=b file s3://bkt/k'
policy "$o/k $write
$o/k.instruction $write" 's3 put --encryption client --key k --instruction-file file s3://bkt/k'
policy "$o/k $write
$key kms:Decrypt,kms:GenerateDataKey" "s3 put --encryption sse-kms --kms-key $key file s3://bkt/k" --region eu-west-1
check 'the key is for S3 alone' grep -q '"kms:ViaService":"s3.eu-west-1.amazonaws.com"' out
policy "arn:aws-cn:s3:::bkt/k $read" 's3 cat s3://bkt/k' --region cn-north-1
policy "$o/k $read
$o/k.instruction $read" 's3 get --key k s3://bkt/k copy'
policy "$o/p/* $read
$o s3:ListBucket" 's3 get -r s3://bkt/p folder'
check 'what is listed is a condition' grep -q '"Condition":{"StringEquals":{"s3:prefix":"p/"}}' out
policy "$o/k $read" 's3 head s3://bkt/k'
policy '* s3:ListAllMyBuckets' 's3 ls'
policy "$o s3:ListBucket" 's3 ls -r s3://bkt'
check 'a whole bucket has none' [ "$(grep -c Condition out)" = 0 ]
policy "$o s3:ListBucketVersions" 's3 ls --versions s3://bkt/p'
check 'and a prefix is as it is' grep -q '"s3:prefix":"p"' out
policy "$o/k s3:DeleteObject
$o/k.instruction s3:DeleteObject,$read" 's3 rm s3://bkt/k'
policy "$o/k s3:DeleteObjectVersion" 's3 rm --version-id v s3://bkt/k'
policy "$o/p/* s3:DeleteObjectVersion
$o s3:ListBucketVersions" 's3 rm -r --versions s3://bkt/p/'
policy "$o s3:CreateBucket,s3:PutBucketVersioning" 's3 mb --versioning s3://bkt'
policy "$o s3:CreateBucket,s3:PutBucketObjectLockConfiguration,s3:PutBucketVersioning" 's3 mb --lock s3://bkt'
policy "arn:aws:s3:::akt/k s3:GetObject,${more%%,s3:GetObjectTagging*},s3:GetObjectTagging,s3:GetObjectVersion,s3:GetObjectVersionTagging
$o/l $write,s3:PutObjectLegalHold,s3:PutObjectRetention,s3:PutObjectTagging" 's3 cp s3://akt/k s3://bkt/l'
both=s3:AbortMultipartUpload,s3:DeleteObject,s3:DeleteObjectVersion,s3:GetObject,${more%%,s3:GetObjectTagging*}
both=$both,s3:GetObjectTagging,s3:GetObjectVersion,s3:GetObjectVersionTagging
both=$both,s3:PutObject,s3:PutObjectLegalHold,s3:PutObjectRetention,s3:PutObjectTagging
policy "$o/k $both" 's3 rotate s3://bkt/k'
policy "$o/* $both
$o s3:ListBucket,s3:ListBucketVersions" 's3 rotate -r --versions --yes s3://bkt/'
policy "$o/p* $read
$o s3:ListBucket" 's3 verify -r --content s3://bkt/p'
policy "$o/* $read
$o s3:GetBucketPolicy,s3:GetBucketVersioning,s3:GetEncryptionConfiguration,s3:ListBucket,s3:ListBucketVersions" 's3 audit s3://bkt'
policy "$o/k $read" 's3 with-key --new s3://bkt/k -- aws s3 cp x s3://c/k'
policy "$o s3:GetEncryptionConfiguration" 's3 bucket encryption get s3://bkt'
policy "$o s3:GetEncryptionConfiguration,s3:PutEncryptionConfiguration" \
    "s3 bucket encryption set --encryption sse-kms --kms-key $key s3://bkt"
policy "$o s3:GetBucketPolicy" 's3 bucket policy get s3://bkt'
policy "$o s3:PutBucketPolicy" 's3 bucket policy set s3://bkt file'
policy "$o s3:DeleteBucketPolicy,s3:GetBucketPolicy,s3:PutBucketPolicy
$o/keybridge-policy-trial-* s3:DeleteObject,s3:DeleteObjectVersion,s3:PutObject" 's3 bucket policy require-encryption s3://bkt'
policy "$o s3:GetEncryptionConfiguration,s3:PutEncryptionConfiguration
$o/keybridge-policy-trial-* s3:DeleteObject,s3:DeleteObjectVersion,s3:PutObject" 's3 bucket allow-sse-c s3://bkt'
policy "$o/k $write" 'envelope encrypt --key k -i file -o s3://bkt/k'
policy "$o/k $read" 'envelope decrypt --key k -i s3://bkt/k -o file'
# A verb that nobody thought of must not look as if it needed nothing.
for verb in $(kb s3 --help | sed -n 's/^keybridge s3 \([a-z-]*\) .*/\1/p'); do
    case $verb in
    bucket) continue ;; # its verbs are above
    cp) words='s3://bkt/k s3://bkt/l' ;;
    with-key) words='--new s3://bkt/k -- true' ;;
    mb | ls | audit | verify) words=s3://bkt ;;
    *) words=s3://bkt/k ;;
    esac
    expect 0 '"Effect"' kb aws-policy --for "s3 $verb $words"
done
for verb in put get cat head rm mb cp rotate verify audit 'bucket policy get' 'bucket allow-sse-c'; do
    expect 2 'does not name its' kb aws-policy --for "s3 $verb"
done
expect 2 'does not name its' kb aws-policy --for 's3 cp s3://bkt/k'
expect 2 'no verb' kb aws-policy --for 's3 bucket policy fly s3://bkt'
for wild in "s3 cat 's3://bkt/k*'" 's3 put x s3://bkt/a?b' 's3 ls s3://bkt/*'; do
    expect 2 "has a '*' or '?'" kb aws-policy --for "$wild"
done
expect 2 'in it' kb aws-policy --for "s3 cat 's3://bkt/\${aws:username}/k'"
expect 0 'no permission' kb aws-policy --for 's3 with-key s3://bkt/k -- true'

# --- nothing ---------------------------------------------------------------------------

for nothing in 'token list' 'init --yes' 'key create x --use wrap --type aes-256' 'table scan --table local:x' \
    'table load x --table local:x' 'item encrypt --table T --partition-key id' 'item inspect' 'config show'; do
    policy '' "$nothing"
    check "$nothing has an empty list" grep -q '"Statement":\[\]' out
    check "$nothing is said to need nothing" grep -q 'no permission' err
done
check 'nothing of them was run' [ ! -e "$KEYBRIDGE_HOME" ]

# --- region, account, many commands -------------------------------------------------------

policy "arn:aws:dynamodb:eu-west-1:*:table/T $d:DescribeTable,$d:Scan" 'table scan --table dynamodb:T --region eu-west-1'
policy "arn:aws:dynamodb:eu-west-3:*:table/T $d:DescribeTable,$d:Scan" 'table scan --table dynamodb:T --region eu-west-1' --region eu-west-3
KEYBRIDGE_AWS_REGION=eu-west-2 policy "arn:aws:dynamodb:eu-west-2:*:table/T $d:DescribeTable,$d:Scan" 'table scan --table dynamodb:T'
AWS_DEFAULT_REGION=eu-south-1 policy "arn:aws:dynamodb:eu-south-1:*:table/T $d:DescribeTable,$d:Scan" 'table scan --table dynamodb:T'
policy "arn:aws-cn:dynamodb:cn-north-1:111122223333:table/T $d:DescribeTable,$d:Scan" 'table scan --table dynamodb:T' \
    --region cn-north-1 --account 111122223333
policy "arn:aws-us-gov:dynamodb:us-gov-west-1:*:table/T $d:DescribeTable,$d:Scan" 'table scan --table dynamodb:T' --region us-gov-west-1
policy "$table $d:BatchWriteItem,$d:DescribeTable,$d:GetItem,$d:PutItem,$d:Scan
arn:aws:dynamodb:*:*:table/Other $d:DescribeTable,$d:GetItem" 'table load x --table dynamodb:Table3' \
    --for 'table scan --table dynamodb:Table3' --for 'table get --table dynamodb:Table3 --key x' \
    --for 'table get --table dynamodb:Other' --for 'token list'
expect 0 '"Version": "2012-10-17"' kb aws-policy --for 'table scan --table dynamodb:Table3' --for "kms encrypt --kms-key alias/a"
if [ -n "$python3" ]; then
    check 'the document is JSON' "$python3" -m json.tool out /dev/null
    cp out text
    expect 0 '' kb aws-policy --json --for 'table scan --table dynamodb:Table3' --for "kms encrypt --kms-key alias/a"
    check 'both forms say the same' "$python3" -c 'import json
assert json.load(open("text")) == json.load(open("out"))'
fi

# --- what is not named -----------------------------------------------------------------------

noted() { [ "$(grep -c "no $1 is named" err)" = "$2" ]; }
expect 0 '' kb aws-policy --for 'table scan --table dynamodb:T' --for 'kms decrypt' --for 'table get --table dynamodb:U'
for part in region account 'KMS key'; do
    check "no $part is said, once" noted "$part" 1
done
expect 0 '' kb aws-policy --region eu-west-1 --account 111122223333 --for 'table scan --table dynamodb:T' \
    --for "kms decrypt --kms-key $key" --for 'kms encrypt --kms-key alias/a' --for 'kms create-key'
check 'all is named' [ ! -s err ]
expect 0 '' kb aws-policy --for "kms decrypt --kms-key $key" --for 'token list' \
    --for 'table scan --table dynamodb:arn:aws:dynamodb:eu-west-1:111122223333:table/T'
check 'ARNs need no more' [ "$(lines err)" = 1 ]
expect 0 '' kb -q aws-policy --for 'kms decrypt'
check 'quiet is quiet' [ ! -s err ]
for wild in 'table scan --table dynamodb:T*' 'table scan --table dynamodb:T?' 'kms decrypt --kms-key k*' \
    'table query --table dynamodb:T --index i*' 'kms describe-key alias/a?' "kms encrypt --kms-key '*'" \
    'table set-sse --table dynamodb:T --sse kms --sse-kms-key arn:aws:kms:eu-west-1:111122223333:key/*' \
    "table scan --table dynamodb:T --region 'eu-*'" 'table load x --table local:f --kms-key ?'; do
    expect 2 "has a '*' or '?'" kb aws-policy --for "$wild"
    check "$wild gives no policy" [ ! -s out ]
done

# --- what is wrong ----------------------------------------------------------------------------

expect 2 '--for' kb aws-policy
for unknown in 'table fly' fly '' 'table' '--json' 'aws-policy --for x'; do
    expect 2 'no command' kb aws-policy --for "$unknown"
done
expect 2 '--colour' kb aws-policy --for 'table scan --table dynamodb:T --colour red'
expect 2 'needs a value' kb aws-policy --for 'table scan --table'
expect 2 'unexpected argument' kb aws-policy --for 'table scan --table dynamodb:T x'
expect 2 'quote' kb aws-policy --for "table load 'x --table dynamodb:T"
expect 2 '12 digits' kb aws-policy --for 'token list' --account 12
expect 2 '12 digits' kb aws-policy --for 'token list' --account 11112222333x
expect 2 'too long' kb aws-policy --for "table scan --table dynamodb:$(printf '%03000d' 0)"
check 'a refused command gives no policy' [ ! -s out ]
# A command that could not run needs no policy, and gets none that is too wide.
expect 2 'does not name its table' kb aws-policy --for 'table load rows.csv'
expect 2 'does not name its KMS key' kb aws-policy --for 'table load rows.csv --table dynamodb:Foo --provider kms'
expect 2 'does not name its KMS key' kb aws-policy --for 'kms encrypt'

finish
