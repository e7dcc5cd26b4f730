"""The three tables of the public workshop on client-side encryption, made its way and ours.

    with.sh dynalite?,moto -- teaching.py --keybridge COMMAND

Its program makes tables of Order ID and Ship Date, both text, and puts rows of the sales records one
by one: Table1 in the clear, Table2 with direct KMS, Table3 with a wrapped provider whose random keys
are AES and an HmacSHA512 of 32 bytes. This does the same with the same client, lets the command read
all three, then lets the command make all three and reads them with that client.
"""
import argparse
import csv
import json
import os
import secrets
import sys
import tempfile

from dynamodb_encryption_sdk.delegated_keys.jce import JceNameLocalDelegatedKey
from dynamodb_encryption_sdk.encrypted.table import EncryptedTable
from dynamodb_encryption_sdk.identifiers import EncryptionKeyType, KeyEncodingType
from dynamodb_encryption_sdk.material_providers.aws_kms import AwsKmsCryptographicMaterialsProvider
from dynamodb_encryption_sdk.material_providers.wrapped import WrappedCryptographicMaterialsProvider

import live
import live_keys
import peers
from bridge import Checks

CONDITIONS = {
    "Table1": ("Item Type=Office Supplies", "Region=Europe"),
    "Table2": ("Units Sold<1000", "Region=North America"),
    "Table3": ("Total Revenue<500000", "Item Type=Vegetables"),
}


def wanted(table, row):
    return {"Table1": lambda: row["Item Type"] == "Office Supplies" and row["Region"] == "Europe",
            "Table2": lambda: int(row["Units Sold"]) < 1000 and row["Region"] == "North America",
            "Table3": lambda: float(row["Total Revenue"]) < 500000 and row["Item Type"] == "Vegetables"}[table]()


def rows_of(table):
    with open(live_keys.ROWS, newline="", encoding="utf-8") as f:
        return [row for row in csv.DictReader(f) if wanted(table, row)]


def ordered(rows):
    return sorted(json.dumps(row, sort_keys=True) for row in rows)


def local_key(material, algorithm):
    return JceNameLocalDelegatedKey(key=material, algorithm=algorithm, key_type=EncryptionKeyType.SYMMETRIC, key_encoding=KeyEncodingType.RAW)


class Workshop:
    def __init__(self, url):
        self.client, self.resource = peers.client("dynamodb", url, tries=3), peers.resource(url)
        self.wrap, self.sign = secrets.token_bytes(32), secrets.token_bytes(32)
        self.arn = live_keys.new_kms_key()
        wrap = local_key(self.wrap, "AES")
        self.providers = {
            "Table2": AwsKmsCryptographicMaterialsProvider(self.arn, botocore_session=live_keys.MotoSession()),
            "Table3": WrappedCryptographicMaterialsProvider(wrapping_key=wrap, unwrapping_key=wrap, signing_key=local_key(self.sign, "HmacSHA512"))}

    def access(self, name):
        table = self.resource.Table(name)
        return EncryptedTable(table=table, materials_provider=self.providers[name]) if name in self.providers else table

    def make(self):
        for name in CONDITIONS:
            peers.create_table(self.client, name, "Order ID", "Ship Date", "SS")
            for row in rows_of(name):
                self.access(name).put_item(Item=row)


def options(name, workshop):
    return {"Table1": (), "Table2": ("--provider", "kms", "--kms-key", workshop.arn),
            "Table3": ("--wrap-key", "onprem-wrap", "--sign-key", "onprem-sign")}[name]


def we_read(bridge, workshop, url, name):
    more = ("--raw",) if name == "Table1" else options(name, workshop)
    code, out, err = bridge.run("table", "scan", "--table", f"dynamodb:{name}", "--endpoint-url", url, *more)
    assert code == 0, f"exit {code}: {err.strip()}"
    found = [{k: v["S"] for k, v in json.loads(line).items()} for line in out]
    assert ordered(found) == ordered(rows_of(name)), f"{len(found)} rows, others than were put"
    if name != "Table1":
        raw = peers.scan_all(workshop.client, name)
        assert all("B" in item["Country"] and "S" in item["Order ID"] for item in raw), "not encrypted"
    return f"{len(found)} rows"


def they_read(bridge, workshop, url, name):
    where = [x for condition in CONDITIONS[name] for x in ("--where", condition)]
    workshop.client.delete_table(TableName=name)
    bridge.must("table", "create", "--table", f"dynamodb:{name}", "--endpoint-url", url, "--partition-key", "Order ID:S", "--sort-key", "Ship Date:S")
    schema = workshop.client.describe_table(TableName=name)["Table"]
    assert [k["AttributeName"] for k in schema["KeySchema"]] == ["Order ID", "Ship Date"], schema
    assert schema.get("BillingModeSummary", {}).get("BillingMode") == "PAY_PER_REQUEST", schema
    more = ("--plaintext",) if name == "Table1" else options(name, workshop)
    code, _, err = bridge.run("table", "load", live_keys.ROWS, "--table", f"dynamodb:{name}", "--endpoint-url", url, *where, *more)
    assert code == 0, f"load: exit {code}: {err.strip()}"
    found = workshop.access(name).scan()["Items"]
    assert ordered(found) == ordered(rows_of(name)), f"{len(found)} rows, others than in the file"
    row = found[0]
    one = workshop.access(name).get_item(Key={"Order ID": row["Order ID"], "Ship Date": row["Ship Date"]})["Item"]
    assert one == row, "get_item"
    if name != "Table1":
        raw = peers.scan_all(workshop.client, name)
        assert all("B" in item["Country"] and "S" in item["Order ID"] for item in raw), "not encrypted"
    return f"{len(found)} rows"


def main():
    parser = argparse.ArgumentParser(description="the workshop's three tables, both ways")
    parser.add_argument("--keybridge", required=True, metavar="COMMAND")
    args = parser.parse_args()
    check = Checks()
    if "KB_MOTO_URL" not in os.environ or not peers.servers():
        sys.exit("teaching.py: run it under with.sh, with moto")
    server, url = peers.servers()[0]
    with tempfile.TemporaryDirectory(prefix="kb-teach-") as home:
        bridge = live.Bridge(os.path.abspath(args.keybridge), home)
        bridge.env["AWS_ENDPOINT_URL_KMS"] = os.environ["KB_MOTO_URL"]
        os.mkdir(bridge.env["KEYBRIDGE_HOME"], 0o700)
        bridge.must("init", "--yes")
        workshop = Workshop(url)
        for name, use, kind, material, more in (("onprem-wrap", "wrap", "aes-256", workshop.wrap, ()),
                                                ("onprem-sign", "sign", "hmac-sha512", workshop.sign, ("--allow-weak",))):
            bridge.must("key", "import", name, "--use", use, "--type", kind, "--in", bridge.file(name, material), "--format", "raw", *more)
        check(f"the workshop's own flow on {server}", workshop.make)
        for name in CONDITIONS:
            check(f"{name} of the workshop, read by keybridge", we_read, bridge, workshop, url, name)
        for name in CONDITIONS:
            check(f"{name} of keybridge, read by the workshop's client", they_read, bridge, workshop, url, name)
    check.finish()


if __name__ == "__main__":
    main()
