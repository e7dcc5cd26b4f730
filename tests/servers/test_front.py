"""The front itself, with botocore as its client: with.sh dynalite,moto,front -- python test_front.py

A stand-in that lets everything through would prove nothing, so each refusal and fault is seen here.
"""
import http.client
import json
import os
import sys
import time
import urllib.parse
import zlib
from concurrent.futures import ThreadPoolExecutor

import botocore.exceptions

import front as front_program
import peers

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "interop"))
from bridge import Checks  # noqa: E402

URL = os.environ["KB_FRONT_URL"]
KEYS = front_program.KEYS
TABLE = "front-test"
check = Checks()


def dynamodb(**more):
    return peers.client("dynamodb", URL, **more)


def key(number, **change):
    record = {**KEYS[number], **change}
    return {"aws_access_key_id": record["id"], "aws_secret_access_key": record["secret"], "aws_session_token": record.get("token")}


def code_of(call, *args, **named):
    """(code, message, HTTP status) of the refusal, or the name of what boto3 raised."""
    try:
        call(*args, **named)
    except botocore.exceptions.ClientError as error:
        return error.response["Error"]["Code"], error.response["Error"].get("Message", ""), error.response["ResponseMetadata"]["HTTPStatusCode"]
    except botocore.exceptions.BotoCoreError as error:
        return type(error).__name__, "", 0
    return "accepted", "", 200


def refused(code, words, credentials, status=400, **more):
    found = code_of(dynamodb(**credentials, **more).list_tables)
    assert found[0] == code and words in found[1] and found[2] == status, f"{found} instead of {code}"
    assert peers.front_stats()["refused"].get(code), peers.front_stats()


def signatures():
    peers.front()
    assert code_of(dynamodb(**key(0)).list_tables)[0] == "accepted"
    assert code_of(dynamodb(**key(1)).list_tables)[0] == "accepted", "with a session token"
    refused("UnrecognizedClientException", "security token", key(0, id="AKIANOBODYEXAMPLE000"))
    refused("UnrecognizedClientException", "security token", key(1, token=None))
    refused("UnrecognizedClientException", "security token", key(1, token="another"))
    refused("ExpiredTokenException", "expired", key(2))
    refused("InvalidSignatureException", "does not match", key(0, secret="wrong"))
    refused("InvalidSignatureException", "valid region", key(0), region_name="eu-west-1")
    peers.front(auth_status=403)
    refused("InvalidSignatureException", "does not match", key(0, secret="wrong"), 403)
    peers.front(keys=[{"id": "AKIAADDED", "secret": "added"}])
    assert code_of(dynamodb(**key(0, id="AKIAADDED", secret="added")).list_tables)[0] == "accepted"


def clock():
    for ahead, words in ((600, "Signature expired"), (-600, "not yet current")):
        peers.front(clock=ahead)
        refused("InvalidSignatureException", words, key(0))
    peers.front(clock=200)
    assert code_of(dynamodb().list_tables)[0] == "accepted", "within five minutes"


def raw(body, headers):
    """(status, headers, body) of a request made by hand."""
    parts = urllib.parse.urlsplit(URL)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    connection.request("POST", "/", body, {"X-Amz-Target": "DynamoDB_20120810.ListTables", "Content-Type": "application/x-amz-json-1.0", **headers})
    answer = connection.getresponse()
    return answer.status, dict(answer.getheaders()), answer.read()


def changed_requests():
    """A signed request whose body or headers are not what was signed."""
    peers.front()
    seen = {}
    signed = dynamodb()
    signed.meta.events.register("before-send.dynamodb.ListTables", lambda request, **_: seen.update(headers=dict(request.headers), body=request.body))
    signed.list_tables()
    headers = {k: v.decode() if isinstance(v, bytes) else v for k, v in seen["headers"].items() if k.lower() != "content-length"}
    assert raw(seen["body"], headers)[0] == 200, "unchanged"
    for name, body, change in (("body", b'{"Limit":1}', {}), ("target", seen["body"], {"X-Amz-Target": "DynamoDB_20120810.DeleteTable"}),
                               ("added", seen["body"], {"X-Amz-Added": "1"}), ("none", seen["body"], {"Authorization": ""}),
                               ("broken", seen["body"], {"Authorization": "AWS4-HMAC-SHA256 Credential=x"})):
        status, _, answer = raw(body, {**headers, **change})
        assert status == 400 and b"__type" in answer, f"{name}: {status} {answer}"


def put(rules, **more):
    """What PutItem comes to under the rules; whether the item is there."""
    peers.front(rules=rules)
    number = str(time.time_ns())
    item = {"pk": {"S": number}, "sk": {"N": "1"}}
    found = code_of(dynamodb(**more).put_item, TableName=TABLE, Item=item)
    peers.front()
    return found, "Item" in dynamodb().get_item(TableName=TABLE, Key=item)


def faults():
    for rule, code, status, there in (
            ({"fault": "throttle"}, "ProvisionedThroughputExceededException", 400, False),
            ({"fault": "throttle", "code": "ThrottlingException"}, "ThrottlingException", 400, False),
            ({"fault": "status", "status": 500}, "InternalServerError", 500, False),
            ({"fault": "status", "status": 503}, "ServiceUnavailable", 503, False),
            ({"fault": "error", "code": "ResourceNotFoundException", "message": "gone"}, "ResourceNotFoundException", 400, False),
            ({"fault": "deny", "action": "PutItem"}, "AccessDeniedException", 400, False),
            ({"fault": "drop-before"}, "ConnectionClosedError", 0, False),
            ({"fault": "drop-after"}, "ConnectionClosedError", 0, True)):
        (found, words, got), stored = put([rule])
        assert (found, got, stored) == (code, status, there), f"{rule}: {found} {got} {stored}"
        assert code != "AccessDeniedException" or "dynamodb:PutItem on resource: arn:aws:dynamodb:us-east-1:" in words, words
    (found, _, got), stored = put([{"fault": "html"}])
    assert got == 502 and not stored, f"html: {found} {got}"
    for fault in ("cut", "crc"):
        assert put([{"fault": fault, "action": "PutItem"}])[0][0] != "accepted", fault
    began = time.monotonic()
    assert put([{"fault": "delay", "seconds": 0.3}])[0][0] == "accepted" and time.monotonic() - began > 0.3
    assert put([{"fault": "deny", "action": "Scan"}])[1] and put([{"fault": "deny", "table": "another"}])[1]


def counting():
    """every, next, after: exactly those requests; boto3 gets through with tries."""
    for rule, wanted in (({"every": 3}, "..x..x..x"), ({"next": 2}, "xx......."), ({"next": 2, "after": 3}, "...xx....")):
        peers.front(rules=[{"fault": "status", **rule}])
        found = "".join("." if code_of(dynamodb().list_tables)[0] == "accepted" else "x" for _ in range(9))
        assert found == wanted, f"{rule}: {found}"
    assert peers.front_stats()["requests"]["ListTables"] == 9 and peers.front_stats()["faults"]["status"] == 2
    peers.front(rules=[{"fault": "drop-after", "next": 2}])
    assert code_of(dynamodb(tries=4).list_tables)[0] == "accepted"


def same_dice():
    def pattern():
        peers.front(rules=[{"fault": "status", "share": 0.5}], seed=7)
        return [code_of(dynamodb().list_tables)[0] for _ in range(12)]
    first = pattern()
    assert first == pattern() and len(set(first)) == 2, first


def unprocessed():
    peers.front(rules=[{"fault": "unprocessed", "items": 0.4}])
    requests = [{"PutRequest": {"Item": {"pk": {"S": "batch"}, "sk": {"N": str(i)}, "b": {"B": b"\0\xff"}}}} for i in range(25)]
    answer = dynamodb().batch_write_item(RequestItems={TABLE: requests})
    held = [r["PutRequest"]["Item"] for r in answer["UnprocessedItems"][TABLE]]
    found = dynamodb().query(TableName=TABLE, KeyConditionExpression="pk = :p", ExpressionAttributeValues={":p": {"S": "batch"}})["Items"]
    assert 0 < len(held) < 25 and len(held) + len(found) == 25, f"{len(held)} held, {len(found)} stored"
    assert not {i["sk"]["N"] for i in held} & {i["sk"]["N"] for i in found}
    peers.front(rules=[{"fault": "unprocessed", "items": 1}])
    answer = dynamodb().batch_write_item(RequestItems={TABLE: requests})
    assert len(answer["UnprocessedItems"][TABLE]) == 24, "at least one is done"


def checksum():
    peers.front()
    status, headers, body = raw(b"{}", {})
    assert status == 400 and int(headers["x-amz-crc32"]) == zlib.crc32(body) and json.loads(body)["__type"].endswith("MissingAuthenticationTokenException")


def kms():
    if "KB_MOTO_URL" not in os.environ:
        return "no moto"
    peers.front()
    client = peers.client("kms", URL)
    made = client.generate_data_key(KeyId=client.create_key()["KeyMetadata"]["Arn"], NumberOfBytes=32, EncryptionContext={"a": "b"})
    assert client.decrypt(CiphertextBlob=made["CiphertextBlob"], EncryptionContext={"a": "b"})["Plaintext"] == made["Plaintext"]
    assert code_of(client.decrypt, CiphertextBlob=made["CiphertextBlob"], EncryptionContext={"a": "c"})[0] == "InvalidCiphertextException"


def speed():
    """Whole batches through four connections, the signatures checked."""
    peers.front()
    pool, count = [dynamodb() for _ in range(4)], 400

    def batches(worker):
        for number in range(worker, count, 4):
            pool[worker].batch_write_item(RequestItems={TABLE: [
                {"PutRequest": {"Item": {"pk": {"S": f"speed{number}"}, "sk": {"N": str(i)}, "b": {"B": bytes(800)}}}} for i in range(25)]})
    began = time.monotonic()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(batches, range(4)))
    rate = count / (time.monotonic() - began)
    stats = peers.front_stats()
    assert stats["requests"]["BatchWriteItem"] == count and stats["connections"] == 4, stats
    return f"{rate:.0f} batches/s, boto3's own work included"


def main():
    peers.front()
    peers.create_table(dynamodb(), TABLE)
    for test in (signatures, clock, changed_requests, faults, counting, same_dice, unprocessed, checksum, kms, speed):
        check(test.__name__.replace("_", " "), test)
    check.finish()


if __name__ == "__main__":
    main()
