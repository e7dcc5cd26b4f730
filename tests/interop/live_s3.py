"""Two-way test of `keybridge s3` against aws-cli and boto3, at servers of S3 over TLS.

    with.sh rgw,ministack,moto-s3 -- live_s3.py --keybridge COMMAND [--seed N] [--only NAME,…]

Run it with a Python that has boto3 and awscli (s3-requirements.txt). What one stores the others must read, byte for byte,
with the same key: ours reach them by `s3 with-key`, theirs come to us by `vault import-key`. Ceph's gateway really
encrypts; ministack copies between customer keys and knows bucket encryption; moto stores in the clear what was to be
encrypted, which must be noticed. One line per check; the last line is "N passed, N failed". Exits 1 on failure.
"""
import argparse
import base64
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile

import boto3
import boto3.s3.transfer
import botocore.config
import botocore.exceptions

from bridge import Checks, Command

MIB = 1 << 20
PART = 5 * MIB
SIZES = (0, 1, 15, 16, 17, 4096, 100_003)
LARGE = (PART - 1, PART, PART + 1, 2 * PART + 7)  # ours in parts of 5 MiB, too
ODD = ("with blank", "a/b//c", "/begins", "ends/", "per%25cent%2f", "plus+plus", "q?a=b&c", "hash#tag", "co:lon;semi,comma", "~*'()!$@",
       "quote\"back`tick", "back\\slash", "{brace}[bracket]^|<lt>&amp;", "\u00e4\u00f6\u00fc \u4e2d\u6587", "e\u0301 combining", "\U0001f511 astral",
       ".", "..", "../up", "a/../b", "./c", "d/.", "e/..", "=", "\u00a0nbsp", "tab\tin", "x" * 1024)
KMS_KEY = "testkey-1"  # of both servers: ministack takes any


def md5(value):
    return base64.b64encode(hashlib.md5(value).digest()).decode()


class Place:
    """A server, boto3's client of it, aws-cli, and our command."""

    def __init__(self, name, bridge, rng):
        shouted = name.upper().replace("-", "_")
        self.name, self.bridge, self.rng = name, bridge, rng
        self.url, self.ca = os.environ[f"KB_{shouted}_URL"], os.environ[f"KB_{shouted}_CA"]
        config = botocore.config.Config(retries={"max_attempts": 0}, s3={"addressing_style": "path"}, parameter_validation=False,
                                        request_checksum_calculation="when_required", response_checksum_validation="when_required")
        self.s3 = boto3.client("s3", endpoint_url=self.url, verify=self.ca, config=config)
        self.remote = ("--endpoint-url", self.url, "--ca-file", self.ca)
        self.bucket, self.count = f"live-{name}", 0
        self.s3.create_bucket(Bucket=self.bucket)

    def address(self, key, bucket=None):
        return f"s3://{bucket or self.bucket}/{key}"

    def fresh(self, stem="object"):
        self.count += 1
        return f"{stem}-{self.count}"

    def ours(self, *verb, env=None, lines=()):
        """(exit code, output lines, stderr)"""
        words = list(verb)
        at = words.index("--") if "--" in words else len(words)
        return self.bridge.run("s3", *words[:at], *self.remote, *words[at:], env=env, lines=lines)

    def must(self, *verb):
        code, out, err = self.ours(*verb)
        assert code == 0, f"s3 {' '.join(verb)[:300]}: exit {code}: {err.strip()}"
        return out

    def put(self, key, body, *more):
        self.must("put", *more, self.bridge.file("body", body), self.address(key))

    def get(self, key, *more):
        target = os.path.join(self.bridge.files, "got")
        if os.path.exists(target):
            os.unlink(target)
        self.must("get", *more, self.address(key), target)
        with open(target, "rb") as f:
            return f.read()

    def key_of(self, key):
        """The customer key of an object of ours, as another program gets it."""
        out = self.must("with-key", "--form", "base64", self.address(key), "--", "sh", "-c", 'cat "$0" && echo', "{}")
        return base64.b64decode("".join(out), validate=True)

    def import_key(self, value):
        """A key of theirs, in our vault; returns its name there."""
        name = self.fresh(f"imported-{self.name}")
        path = self.bridge.file("key", value)
        code, _, err = self.bridge.run("vault", "import-key", path, "--name", name)
        os.unlink(path)
        assert code == 0, f"vault import-key: exit {code}: {err.strip()}"
        return name

    def aws(self, *args, options=()):
        """aws-cli's standard output; it fails with what it says."""
        environment = {**os.environ, "AWS_CA_BUNDLE": self.ca, "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
                       "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required"}
        command = [sys.executable, os.path.join(os.path.dirname(sys.executable), "aws"), "--endpoint-url", self.url, *args, *options]
        done = subprocess.run(command, capture_output=True, env=environment, timeout=120)
        assert done.returncode == 0, f"aws {' '.join(args)[:300]}: {done.stderr.decode().strip()}"
        return done.stdout

    def bytes(self, size):
        return self.rng.randbytes(size)


def sse_c(value):
    return {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": value}


def code_of(call, **named):
    """The HTTP status of a refusal; 200 when there was none."""
    try:
        call(**named)
    except botocore.exceptions.ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"]
    return 200


def read_by_boto(place, key, value, body):
    got = place.s3.get_object(Bucket=place.bucket, Key=key, **sse_c(value))
    assert got["Body"].read() == body, "boto3 got other bytes"
    assert got["SSECustomerKeyMD5"] == md5(value)
    return got


def closed(place, key, value):
    """Nobody gets it without the key, or with another one."""
    where = {"Bucket": place.bucket, "Key": key}
    assert code_of(place.s3.get_object, **where) in (400, 403), "open without the key"
    wrong = bytes([value[0] ^ 1]) + value[1:]
    assert code_of(place.s3.get_object, **where, **sse_c(wrong)) in (400, 403), "open with another key"


# ---------------------------------------------------------------------------------------------
# SSE-C

def ours_to_boto(place):
    keys = set()
    for size in SIZES:
        key, body = place.fresh(), place.bytes(size)
        place.put(key, body)
        value = place.key_of(key)
        read_by_boto(place, key, value, body)
        closed(place, key, value)
        keys.add(value)
    assert len(keys) == len(SIZES), "two objects have the same key"
    return f"{len(SIZES)} objects"


def ours_to_boto_in_parts(place):
    for size in LARGE:
        key, body = place.fresh(), place.bytes(size)
        place.put(key, body, "--part-size", "5M")
        value = place.key_of(key)
        closed(place, key, value)
        head = read_by_boto(place, key, value, body)
        assert ("-" in head["ETag"]) == (size > PART), f"{size} bytes: ETag {head['ETag']}"
        piece = place.s3.get_object(Bucket=place.bucket, Key=key, Range=f"bytes={size // 2}-{size // 2 + 99}", **sse_c(value))
        assert piece["Body"].read() == body[size // 2:size // 2 + 100]
    return f"{len(LARGE)} objects"


def ours_to_cli(place):
    """As the manual page has it: the key goes from our vault to aws-cli by a descriptor."""
    for size, more in ((100_003, ()), (2 * PART + 7, ("--part-size", "5M"))):
        key, body = place.fresh(), place.bytes(size)
        place.put(key, body, *more)
        target = os.path.join(place.bridge.files, "by-cli")
        words = [sys.executable, os.path.join(os.path.dirname(sys.executable), "aws"), "--endpoint-url", place.url, "--ca-bundle", place.ca,
                 "s3", "cp", "--sse-c", "AES256", "--only-show-errors", "--sse-c-key"]
        place.must("with-key", "--form", "raw", place.address(key), "--",
                   "sh", "-c", '"$@"', "sh", *words, "fileb://{}", place.address(key), target)
        with open(target, "rb") as f:
            assert f.read() == body, "aws-cli got other bytes"


def boto_to_ours(place):
    for size in SIZES:
        key, body, value = place.fresh(), place.bytes(size), place.bytes(32)
        place.s3.put_object(Bucket=place.bucket, Key=key, Body=body, **sse_c(value))
        assert place.get(key, "--vault-key", place.import_key(value)) == body, f"{size} bytes: other bytes"
    assert place.get(key, "--try-all-keys") == body, "not found among all keys"
    return f"{len(SIZES)} objects"


def boto_to_ours_in_parts(place):
    config = boto3.s3.transfer.TransferConfig(multipart_threshold=PART, multipart_chunksize=PART)
    for size in LARGE:
        key, body, value = place.fresh(), place.bytes(size), place.bytes(32)
        place.s3.upload_file(place.bridge.file("theirs", body), place.bucket, key, Config=config, ExtraArgs=sse_c(value))
        name = place.import_key(value)
        assert place.get(key, "--vault-key", name) == body, f"{size} bytes: other bytes"
        if size > PART:  # over the border of two parts
            out = os.path.join(place.bridge.files, "range")
            with open(out, "wb") as f:
                done = subprocess.run([place.bridge.command, "s3", "cat", "--vault-key", name, "--range", f"{PART - 3}-{PART}", *place.remote,
                                       place.address(key)], stdout=f, env=place.bridge.env, timeout=60)
            with open(out, "rb") as f:
                assert done.returncode == 0 and f.read() == body[PART - 3:PART + 1], "another range"


def cli_to_ours(place):
    for size in (0, 100_003, 2 * 8 * MIB + 1):  # its parts have 8 MiB
        key, body, value = place.fresh(), place.bytes(size), place.bytes(32)
        path = place.bridge.file("theirs", body)
        place.aws("s3", "cp", "--only-show-errors", "--sse-c", "AES256", "--sse-c-key", "fileb://" + place.bridge.file("cli-key", value),
                  path, place.address(key))
        assert place.get(key, "--vault-key", place.import_key(value)) == body, f"{size} bytes: other bytes"


def names_of(place):
    """Names that the server takes: not all take all."""
    value, found = place.bytes(32), []
    for odd in ODD:
        key = "odd/" + odd if len(odd) < 1000 else odd
        try:
            place.s3.put_object(Bucket=place.bucket, Key=key, Body=odd.encode(), **sse_c(value))
            place.s3.get_object(Bucket=place.bucket, Key=key, **sse_c(value))
        except botocore.exceptions.ClientError:
            continue
        found.append((key, odd.encode()))
    return found, place.import_key(value)


def odd_names(place):
    found, name = names_of(place)
    assert len(found) > len(ODD) // 2, f"the server takes only {len(found)} names"
    for key, body in found:
        assert place.get(key, "--vault-key", name) == body, f"{key!r}: other bytes"
        if not key.endswith("/"):  # a prefix, to put and with-key
            place.put(key, body + b"!")
            read_by_boto(place, key, place.key_of(key), body + b"!")
    listed = {item["Key"] for page in place.s3.get_paginator("list_objects_v2").paginate(Bucket=place.bucket, Prefix="odd/") for item in page["Contents"]}
    ours = {json.loads(line)["key"] for line in place.must("ls", "-r", "--json", place.address("odd/"))}
    assert ours == listed, f"listed differently: {sorted(ours ^ listed)}"
    return f"{len(found)} of {len(ODD)} names"


def metadata(place):
    key = place.fresh()
    place.put(key, b"x", "-m", "one=1", "-m", "two=a b; c", "--content-type", "text/x-test", "--tag", "t=v w", "--tag", "u=")
    got = read_by_boto(place, key, place.key_of(key), b"x")
    assert got["ContentType"] == "text/x-test" and {k: v for k, v in got["Metadata"].items() if k in ("one", "two")} == {"one": "1", "two": "a b; c"}
    tags = {t["Key"]: t["Value"] for t in place.s3.get_object_tagging(Bucket=place.bucket, Key=key)["TagSet"]}
    assert tags == {"t": "v w", "u": ""}, tags


def rotated(place):
    """boto3's object, under a new key of ours: the old one does not open it any more."""
    for size in (0, 1000, 2 * PART + 1):
        key, body, value = place.fresh(), place.bytes(size), place.bytes(32)
        place.s3.put_object(Bucket=place.bucket, Key=key, Body=body, ContentType="text/x-test", Metadata={"a": "b"}, Tagging="t=v", **sse_c(value))
        place.import_key(value)
        place.must("rotate", "--yes", "--try-all-keys", place.address(key))
        new = place.key_of(key)
        assert new != value
        got = read_by_boto(place, key, new, body)
        assert got["ContentType"] == "text/x-test" and got["Metadata"].get("a") == "b", got["Metadata"]
        if size < PART:  # of uploads in parts these servers drop the tags, boto3's too
            assert place.s3.get_object_tagging(Bucket=place.bucket, Key=key)["TagSet"] == [{"Key": "t", "Value": "v"}]
        closed(place, key, new)
        assert code_of(place.s3.get_object, Bucket=place.bucket, Key=key, **sse_c(value)) in (400, 403), "the old key still opens it"


def strangers(place):
    """verify is content with ours; audit names what was put under a key that is not ours."""
    prefix = place.fresh("watched") + "/"
    place.put(prefix + "ours", b"x")
    assert place.ours("verify", "--content", place.address(prefix))[0] == 0
    place.s3.put_object(Bucket=place.bucket, Key=prefix + "theirs", Body=b"y", **sse_c(place.bytes(32)))
    place.s3.put_object(Bucket=place.bucket, Key=prefix + "clear", Body=b"y")
    code, out, _ = place.ours("verify", place.address(prefix))
    text = "\n".join(out)
    assert code == 8 and "not-ours" in text and "unencrypted" in text, f"exit {code}: {text}"
    assert "not-ours" in "\n".join(place.ours("audit", place.address(prefix))[1])


# ---------------------------------------------------------------------------------------------
# The server's own encryption, buckets

def kms(place):
    key, body = place.fresh(), place.bytes(1000)
    place.put(key, body, "--encryption", "sse-kms", "--kms-key", KMS_KEY, "--kms-context", "a=b")
    got = place.s3.get_object(Bucket=place.bucket, Key=key)
    assert got["ServerSideEncryption"] == "aws:kms" and got["SSEKMSKeyId"] == KMS_KEY and got["Body"].read() == body
    key = place.fresh()
    place.s3.put_object(Bucket=place.bucket, Key=key, Body=body, ServerSideEncryption="aws:kms", SSEKMSKeyId=KMS_KEY)
    assert place.get(key) == body
    said = "\n".join(place.must("head", place.address(key)))
    assert "sse-kms" in said and KMS_KEY in said, said


def sse_s3(place):
    key = place.fresh()
    place.put(key, b"x", "--encryption", "sse-s3")
    assert place.s3.head_object(Bucket=place.bucket, Key=key)["ServerSideEncryption"] == "AES256"
    key = place.fresh()
    place.s3.put_object(Bucket=place.bucket, Key=key, Body=b"y", ServerSideEncryption="AES256")
    assert place.get(key) == b"y"
    assert "sse-s3" in "\n".join(place.must("head", place.address(key)))


def sse_s3_unkept(place):
    """Ceph's gateway takes the header and stores in the clear: that must be said, and nothing be left."""
    key = place.fresh()
    code, _, err = place.ours("put", "--encryption", "sse-s3", place.bridge.file("body", b"x"), place.address(key))
    assert code == 7 and err, f"exit {code}"
    assert code_of(place.s3.head_object, Bucket=place.bucket, Key=key) == 404, "left in the clear"


def encryption_of(place):
    return place.s3.get_bucket_encryption(Bucket=place.bucket)["ServerSideEncryptionConfiguration"]["Rules"][0]


def bucket_encryption(place):
    bucket = f"s3://{place.bucket}"
    place.must("bucket", "encryption", "set", "--encryption", "sse-kms", "--kms-key", KMS_KEY, "--bucket-key", bucket)
    rule = encryption_of(place)
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KMS_KEY} and rule["BucketKeyEnabled"], rule
    place.must("bucket", "encryption", "set", "--encryption", "sse-s3", bucket)
    assert encryption_of(place)["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    place.s3.put_bucket_encryption(Bucket=place.bucket, ServerSideEncryptionConfiguration={"Rules": [
        {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KMS_KEY}, "BucketKeyEnabled": True}]})
    said = "\n".join(place.must("bucket", "encryption", "get", bucket))
    assert "sse-kms" in said and KMS_KEY in said, said


def policy(place):
    """Put by us, seen by boto3; and it binds others."""
    name = place.bucket + "-policy"
    bucket = f"s3://{name}"
    place.must("mb", bucket)
    place.must("bucket", "policy", "require-encryption", "--require", "sse-kms", bucket)
    theirs = json.loads(place.s3.get_bucket_policy(Bucket=name)["Policy"])
    assert any(s["Effect"] == "Deny" for s in theirs["Statement"]), theirs
    assert json.loads("\n".join(place.must("bucket", "policy", "get", bucket))) == theirs
    assert code_of(place.s3.put_object, Bucket=name, Key="clear", Body=b"x") == 403, "not denied"
    assert code_of(place.s3.create_multipart_upload, Bucket=name, Key="clear") == 403, "not denied in parts"
    place.s3.put_object(Bucket=name, Key="kms", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId=KMS_KEY)


def policy_too_strict(place):
    """Ceph's gateway (16.2) does not know the condition on a customer key: it would deny those that have one, too.
    Then the bucket must be left as it was."""
    name = place.bucket + "-strict"
    place.must("mb", f"s3://{name}")
    code, _, err = place.ours("bucket", "policy", "require-encryption", "--require", "sse-c", f"s3://{name}")
    assert code == 7 and err, f"exit {code}"
    assert code_of(place.s3.put_object, Bucket=name, Key="closed", Body=b"x", **sse_c(b"k" * 32)) == 200, "denies what it asks for"
    assert code_of(place.s3.get_bucket_policy, Bucket=name) == 404, "a policy is left"


def versions(place):
    name = place.bucket + "-versions"
    place.must("mb", "--versioning", f"s3://{name}")
    assert place.s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
    value = place.bytes(32)
    made = [place.s3.put_object(Bucket=name, Key="v", Body=str(i).encode(), **sse_c(value))["VersionId"] for i in range(3)]
    vault_key = place.import_key(value)
    for i, version in enumerate(made if place.name == "rgw" else ()):  # ministack gives no ranges of versions
        target = os.path.join(place.bridge.files, f"version-{i}")
        place.must("get", "--vault-key", vault_key, "--version-id", version, f"s3://{name}/v", target)
        with open(target, "rb") as f:
            assert f.read() == str(i).encode()
        os.unlink(target)
    ours = [json.loads(line) for line in place.must("ls", "--versions", "-r", "--json", f"s3://{name}")]
    assert [row["version"] for row in ours] == made[::-1], ours
    place.must("rm", "--yes", f"s3://{name}/v")
    assert code_of(place.s3.head_object, Bucket=name, Key="v") == 404
    assert len(place.s3.list_object_versions(Bucket=name)["Versions"]) == 3


def lied_to(place):
    """A server that takes customer keys and stores in the clear: that must be said, and nothing be left."""
    for size, more in ((100, ()), (2 * PART + 7, ("--part-size", "5M"))):
        key = place.fresh()
        code, _, err = place.ours("put", *more, place.bridge.file("body", place.bytes(size)), place.address(key))
        assert code == 7 and err, f"exit {code}"
        assert code_of(place.s3.head_object, Bucket=place.bucket, Key=key) == 404, "left in the clear"


CUSTOMER = (ours_to_boto, ours_to_boto_in_parts, ours_to_cli, boto_to_ours, boto_to_ours_in_parts, cli_to_ours, odd_names, metadata, rotated,
            strangers, kms, versions)
CHECKS = {"rgw": (*CUSTOMER, sse_s3_unkept, policy, policy_too_strict), "ministack": (*CUSTOMER, sse_s3, bucket_encryption), "moto-s3": (lied_to, bucket_encryption)}


def main():
    parser = argparse.ArgumentParser(description="keybridge s3 beside aws-cli and boto3")
    parser.add_argument("--keybridge", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="checks whose name has one of these in it")
    options = parser.parse_args()
    check, wanted = Checks(), options.only.split(",")
    with tempfile.TemporaryDirectory(prefix="kb-s3-") as home:
        bridge = Command(options.keybridge, home)
        bridge.init()
        for name, checks in CHECKS.items():
            if f"KB_{name.upper().replace('-', '_')}_URL" not in os.environ:
                print(f"SKIP {name}: with.sh did not start it")
                continue
            place = Place(name, bridge, random.Random(f"{options.seed} {name}"))
            for one in checks:
                if any(word in one.__name__ for word in wanted):
                    check(f"{name}: {one.__name__.replace('_', ' ')}", one, place)
    check.finish()


if __name__ == "__main__":
    main()
