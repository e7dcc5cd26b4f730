"""s3_front.py itself, with boto3 as its client: with.sh rgw,ministack,s3-front -- python test_s3_front.py

A stand-in that lets everything through would prove nothing, so each refusal and fault is seen here.
"""
import hashlib
import json
import os
import ssl
import sys
import urllib.request

import boto3
import botocore.config
import botocore.exceptions

import rgw

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "interop"))
from bridge import Checks  # noqa: E402

BUCKET, BODY = "front-test", bytes(range(256)) * 40
SSE_C = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": b"k" * 32}
KEY_MD5 = "x-amz-server-side-encryption-customer-key-MD5"
check = Checks()


class Server:
    """One server and the front before it."""

    def __init__(self, name):
        self.url, self.ca = os.environ[f"KB_{name}_FRONT_URL"], os.environ[f"KB_{name}_FRONT_CA"]
        self.s3 = self.client()

    def client(self, **more):
        config = botocore.config.Config(retries={"max_attempts": 0}, s3={"addressing_style": "path"}, read_timeout=30,
                                        request_checksum_calculation="when_required", response_checksum_validation="when_required")
        return boto3.client("s3", endpoint_url=self.url, verify=self.ca, config=config, **more)

    def control(self, path, body=None):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}),
                                             urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=self.ca)))
        with opener.open(self.url + path, body) as answer:
            return json.load(answer)

    def rules(self, *rules, **change):
        self.control("/__front/rules", json.dumps({"reset": True, "rules": rules, **change}).encode())

    def stats(self):
        return self.control("/__front/stats")

    def put(self, key="object", **more):
        return self.s3.put_object(Bucket=BUCKET, Key=key, Body=BODY, **more)

    def get(self, key="object", **more):
        return self.s3.get_object(Bucket=BUCKET, Key=key, **more)["Body"].read()


def code_of(call, *args, **named):
    """(code, HTTP status, message) of the refusal, or the name of what boto3 raised."""
    try:
        call(*args, **named)
    except botocore.exceptions.ClientError as error:
        return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"].get("Message", "")
    except botocore.exceptions.BotoCoreError as error:
        return type(error).__name__, 0, ""
    return "accepted", 200, ""


def refused(wanted, call, *args, **named):
    found = code_of(call, *args, **named)
    assert found[0] == wanted, f"{found} instead of {wanted}"
    return found


def signatures(server):
    server.rules()
    server.put("odd ~*'()+/&=?:@,;!$%20 \u00e9\u6f22 /key", **SSE_C)
    assert server.get("odd ~*'()+/&=?:@,;!$%20 \u00e9\u6f22 /key", **SSE_C) == BODY
    access, secret = rgw.USERS["tester"]
    refused("SignatureDoesNotMatch", server.client(aws_access_key_id=access, aws_secret_access_key=secret + "x").list_buckets)
    refused("InvalidAccessKeyId", server.client(aws_access_key_id="AKIANOBODYEXAMPLE000", aws_secret_access_key=secret).list_buckets)
    refused("InvalidToken", server.client(aws_access_key_id=access, aws_secret_access_key=secret, aws_session_token="x").list_buckets)
    for ahead in (-910, 910):  # AWS allows 900; stamps are of whole seconds, and requests take their time
        server.rules(clock=ahead)
        refused("RequestTimeTooSkewed", server.s3.list_buckets)
    for ahead in (-880, 880):
        server.rules(clock=ahead)
        server.s3.list_buckets()


def refusals(server):
    server.rules({"fault": "status", "action": "PutObject", "next": 1})
    assert refused("SlowDown", server.put)[1] == 503
    server.put()
    server.rules({"fault": "status", "status": 500, "code": "InternalError", "action": ["GetObject", "HeadObject"]})
    refused("InternalError", server.get)
    refused("500", server.s3.head_object, Bucket=BUCKET, Key="object")
    server.put()
    server.rules({"fault": "drop-before", "key": "other"}, {"fault": "html", "key": "third"})
    refused("ConnectionClosedError", server.put, "other")
    assert code_of(server.put, "third")[1] == 502
    server.put()


def redirects(server):
    for status, code in ((301, "PermanentRedirect"), (307, "TemporaryRedirect"), (400, "AuthorizationHeaderMalformed")):
        server.rules({"fault": "redirect", "status": status, "region": "eu-central-1"})
        server.client(region_name="eu-central-1").list_objects_v2(Bucket=BUCKET)
        refused("accepted", server.client().list_objects_v2, Bucket=BUCKET)  # boto3 follows
        assert server.stats()["refused"][code] >= 1, code


def lies(server):
    server.rules({"fault": "headers", "action": "PutObject", "drop": [KEY_MD5.lower()], "set": {"ETag": '"other"'}})
    made = server.put(**SSE_C)
    assert "SSECustomerKeyMD5" not in made and made["ETag"] == '"other"', made
    assert made["SSECustomerAlgorithm"] == "AES256"
    server.rules({"fault": "flip", "at": 300}, {"fault": "headers", "set": {"x-amz-meta-a": "b"}})
    got = server.s3.get_object(Bucket=BUCKET, Key="object", **SSE_C)
    body = got["Body"].read()
    assert [i for i in range(len(BODY)) if body[i] != BODY[i]] == [300] and got["Metadata"] == {"a": "b"}
    server.rules({"fault": "short", "at": 17})
    assert server.get(**SSE_C) == BODY[:17]
    server.rules({"fault": "cut", "at": 100})
    assert code_of(server.get, **SSE_C)[1] == 0, "cut, and not noticed"
    server.rules({"fault": "drop-after"})
    refused("ConnectionClosedError", server.put, "dropped")
    server.rules({"fault": "body", "find": "<IsTruncated>false<", "put": "<IsTruncated>true<"})
    assert server.s3.list_objects_v2(Bucket=BUCKET)["IsTruncated"] is True
    server.rules()
    assert server.get("dropped") == BODY, "not done"


def forgets(server):
    """A server that stores in the clear what was to be encrypted."""
    names = ["x-amz-server-side-encryption-customer-" + end for end in ("algorithm", "key", "key-md5")]
    server.rules({"fault": "forget", "action": "PutObject", "drop": names})
    assert "SSECustomerKeyMD5" not in server.put("clear", **SSE_C)
    assert server.get("clear") == BODY


def uploads(server):
    made = server.s3.create_multipart_upload(Bucket=BUCKET, Key="parts")["UploadId"]
    where = {"Bucket": BUCKET, "Key": "parts", "UploadId": made}
    part = b"p" * (5 << 20)
    server.rules({"fault": "cut-upload", "part": 2, "at": 1 << 20, "next": 1}, {"fault": "status", "part": 3, "status": 503, "next": 1})
    tags = []
    for number in (1, 2, 3):
        answer = code_of(server.s3.upload_part, **where, PartNumber=number, Body=part)
        assert (answer[0] == "accepted") == (number == 1), answer
        tags.append(server.s3.upload_part(**where, PartNumber=number, Body=part)["ETag"])
    server.s3.complete_multipart_upload(**where, MultipartUpload={"Parts": [{"PartNumber": i + 1, "ETag": t} for i, t in enumerate(tags)]})
    digest = hashlib.sha256(server.get("parts")).hexdigest()
    assert digest == hashlib.sha256(part * 3).hexdigest()
    stats = server.stats()
    assert stats["requests"]["UploadPart"] == 6 and stats["faults"] == {"cut-upload": 1, "status": 1}, stats
    assert stats["log"][0]["action"] == "UploadPart" and stats["log"][0]["status"] == 200, stats["log"][0]


def blocked(server):
    """The 403 of AWS's new buckets, and what turns it off."""
    server.rules(blocked=[BUCKET])
    found = refused("AccessDenied", server.put, **SSE_C)
    assert found[1] == 403 and "has blocked upload requests" in found[2], found
    refused("AccessDenied", server.s3.create_multipart_upload, Bucket=BUCKET, Key="parts", **SSE_C)
    server.put()
    rule = server.s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert rule["BlockedEncryptionTypes"] == {"EncryptionType": ["SSE-C"]}, rule
    rule["BlockedEncryptionTypes"] = {"EncryptionType": ["NONE"]}
    server.s3.put_bucket_encryption(Bucket=BUCKET, ServerSideEncryptionConfiguration={"Rules": [rule]})
    server.put(**SSE_C)
    rule = server.s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert rule.get("BlockedEncryptionTypes", {"EncryptionType": ["NONE"]}) == {"EncryptionType": ["NONE"]}, rule


def main():
    for name in ("RGW", "MINISTACK"):
        if f"KB_{name}_FRONT_URL" not in os.environ:
            continue
        server = Server(name)
        server.rules()
        server.s3.create_bucket(Bucket=BUCKET)
        for test in (signatures, refusals, lies, forgets, uploads, blocked if name == "MINISTACK" else redirects):
            check(f"{name.lower()}: {test.__name__}", test, server)
    check.finish()


if __name__ == "__main__":
    main()
