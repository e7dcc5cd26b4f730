"""The Python client through a server, for tests/bench/tables.py: encrypted batch_writer and scan.

    python_writer.py URL TABLE ITEMS.csv

Prints one JSON line: user CPU microseconds per item of writing and of scanning with decryption.
"""
import csv
import json
import resource
import sys

import os
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
import boto3  # noqa: E402
from dynamodb_encryption_sdk.encrypted.table import EncryptedTable  # noqa: E402
from dynamodb_encryption_sdk.structures import AttributeActions  # noqa: E402
import ddbec_peer as peer  # noqa: E402


def user_cpu():
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime


def main():
    url, name, path = sys.argv[1:]
    table = boto3.resource("dynamodb", endpoint_url=url).Table(name)
    record = {"table": name, "partition_key": "Order ID", "sort_key": "Ship Date",
              "provider": peer.wrapped_provider("wrap256", "HmacSHA256"),
              "actions": peer.actions("encrypt", None, ("Order ID", "Ship Date"))}
    config = peer.client_config(record, {"amzn-ddb-env-alg": "AES/256"})
    encrypted = EncryptedTable(table=table, materials_provider=config.materials_provider,
                               attribute_actions=AttributeActions())
    with open(path, newline="") as source:
        items = list(csv.DictReader(source))
    encrypted.get_item(Key={"Order ID": "none", "Ship Date": "none"})  # what happens once
    start = user_cpu()
    with encrypted.batch_writer() as writer:
        for item in items:
            writer.put_item(Item=item)
    written = user_cpu() - start
    start, count, page = user_cpu(), 0, {}
    while True:
        page = encrypted.scan(**page)
        count += len(page["Items"])
        if "LastEvaluatedKey" not in page:
            break
        page = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    scanned = user_cpu() - start
    assert count == len(items), (count, len(items))
    print(json.dumps({"write_us": written / count * 1e6, "scan_us": scanned / count * 1e6}))


if __name__ == "__main__":
    main()
