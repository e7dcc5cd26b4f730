"""Two-way test of the command with every key kind of the original clients, and through servers.

    with.sh dynalite?,moto -- live_keys.py --keybridge COMMAND [--java DIR] [--seed N] [--items N]

Like live.py, with RSA and EC keys (those of ddbec-python-keys.json), the Java client (what
java/install.sh built in DIR), direct KMS against moto, and tables of the servers that with.sh started.
"""
import argparse
import json
import os
import random
import subprocess
import sys
import tempfile

import botocore.session
from dynamodb_encryption_sdk.encrypted.client import EncryptedClient
from dynamodb_encryption_sdk.encrypted.table import EncryptedTable

import ddbec_peer as peer
import generate_keys
import live
from bridge import Checks
from java_peer import JavaPeer

sys.path.insert(0, os.path.join(peer.HERE, os.pardir, "servers"))
import peers  # noqa: E402

ACTS = live.ACTION_SETS
ROWS = os.path.join(peer.HERE, os.pardir, os.pardir, "share", "sales-records.csv")


def ours(name):
    """The command's name of a key: both halves are one key there."""
    return name.removesuffix("-private").removesuffix("-public")


class KeysBridge(live.Bridge):
    def set_up(self):
        super().set_up()
        peer.KEYS.update(peer.key_pairs())
        for name, key in peer.key_pairs().items():
            kind, part = key["kind"].split("-")
            path = self.file("key", peer.unb64(key["material"]))
            use = "wrap" if "Wrap" in name else "sign"
            self.must("key", "import", ours(name) + ("Pub" if part == "public" else ""), "--use", use, "--type", kind if part == "private" else f"{kind}-public",
                      "--in", path, "--format", "der")
            os.unlink(path)

    def options(self, record, acts=None):
        p = record["provider"]
        if p["kind"] == "kms-direct":
            filler = {"kind": "static", "signing_key": "-", "encryption_key": None}
            args = super().options({**record, "provider": filler}, acts)
            at = args.index("--sign-key")
            return args[:at] + ["--provider", "kms", "--kms-key", p["key_id"], *args[at + 4:]]
        named = {k: ours(v) if k.endswith("_key") and v else v for k, v in p.items()}
        args = super().options({**record, "provider": named}, acts)
        return args if p["signature_algorithm"].startswith("Hmac") else args + ["--sign-alg", p["signature_algorithm"]]

    def sealing(self, record):
        """options() without what a table knows itself."""
        args = self.options(record)
        for name in ("--table", "--partition-key", "--sort-key", "--format"):
            at = args.index(name)
            args = args[:at] + args[at + 2:]
        return args


def refusals(error):
    """The sort of exit code for what a key may not do."""
    return error in (2, 4, 5)


def both_ways(bridge, clients, rng, provider, wrap_alg, bits, count):
    """Each client reads ours, we read each client's."""
    sets = live.ACTION_SETS if provider.get("encryption_key", True) else live.SIGN_ONLY_SETS
    for i in range(2):
        acts, table = sets[(i + count) % len(sets)], live.TABLES[i % len(live.TABLES)]
        record, items = live.record_of(provider, acts, table), [peer.random_item(rng) for _ in range(count)]
        more = ["--wrap-alg", wrap_alg] if wrap_alg else []
        more += ["--content-key-bits", str(bits)] if bits else []
        for encrypted, item in zip(bridge.encrypt(record, items, *more, acts=acts), items):
            live.check_protected(record, encrypted, item)
            entries = peer.parse_description(encrypted)
            assert entries.get("amzn-ddb-wrap-alg") == (wrap_alg or entries.get("amzn-ddb-wrap-alg")), entries
            for name, client in clients.items():
                live.same(client.decrypt(record, encrypted), item, f"ours, read by {name}, actions {i}")
        for name, client in clients.items():
            if isinstance(client, JavaPeer):
                chosen = {**({"amzn-ddb-env-alg": f"AES/{bits}"} if bits else {}), **({"amzn-ddb-wrap-alg": wrap_alg} if wrap_alg else {})}
                encrypted = [client.encrypt(record, item, chosen) for item in items]
            else:
                encrypted = [peer.encrypt(record, item, bits or 256, {"amzn-ddb-wrap-alg": wrap_alg} if wrap_alg else None) for item in items]
            for found, item in zip(bridge.decrypt(record, encrypted, acts=acts), items):
                live.same(found, item, f"{name}'s, read by us, actions {i}")
    return f"{', '.join(clients)}"


def altered(bridge, client, provider):
    """What the client refuses we refuse, and what we read is what it reads."""
    record, item, faults = live.record_of(provider, (*peer.ALTERED_ACTIONS[0], ())), peer.altered_item(), []
    for made in (client.encrypt(record, item), bridge.encrypt(record, [item])[0]):
        for name, change in peer.alterations({**record, "encrypted": made}):
            try:
                plain = client.decrypt(change)
            except Exception:  # all kinds
                plain = None
            code, out, err = bridge.run("item", "decrypt", *bridge.options(change), lines=[json.dumps(change["encrypted"])])
            if code == 0 and (plain is None or peer.canonical(json.loads(out[0])) != peer.canonical(plain)):
                faults.append(f"{name}: read, the client {'refuses' if plain is None else 'reads other things'}")
            elif code not in (0, 4) or code and (out or not err.strip()):
                faults.append(f"{name}: exit {code}: {err.strip()[:200]}")
    assert not faults, "; ".join(faults)


def halves(bridge, rng):
    """Who has only a public key writes and cannot read, or verifies and cannot sign."""
    provider = peer.rsa_provider("rsaWrap2048", "rsaSign2048", "SHA256withRSA")
    record, item = live.record_of(provider, ACTS[1]), peer.random_item(rng)
    writer = {**record, "provider": {**provider, "wrapping_key": "rsaWrap2048Pub"}}
    reader = {**record, "provider": {**provider, "signing_key": "rsaSign2048Pub"}}
    encrypted, = bridge.encrypt(writer, [item])
    live.same(peer.decrypt(record, encrypted), item, "written with the public key")
    live.same(bridge.decrypt(reader, [encrypted])[0], item, "verified with the public key")
    for verb, wrong, given in (("decrypt", writer, encrypted), ("encrypt", reader, item)):
        code, out, err = bridge.run("item", verb, *bridge.options(wrong), lines=[json.dumps(given)])
        assert refusals(code) and not out and "public" in err, f"{verb}: exit {code}: {err.strip()}"


def exported(bridge):
    for name in ("rsaWrap2048", "rsaSign3072", "ecSignP256", "ecSignP384Pub"):
        done = subprocess.run([bridge.command, "key", "export-public", name, "--format", "der"], capture_output=True, env=bridge.env, timeout=60)
        want = peer.unb64(peer.KEYS[name.removesuffix("Pub") + "-public"]["material"])
        assert done.returncode == 0 and done.stdout == want, f"{name}: exit {done.returncode}, {len(done.stdout)} bytes: {done.stderr.decode().strip()}"


def configured_algorithm(bridge, rng):
    """The description names another signature algorithm than the one configured: that one is not used."""
    item = peer.random_item(rng)
    strong, other = (live.record_of(peer.rsa_provider("rsaWrap2048", "rsaSign2048", f"SHA{n}withRSA"), ACTS[0]) for n in (256, 512))
    code, out, _ = bridge.run("item", "decrypt", *bridge.options(strong), lines=[json.dumps(peer.encrypt(other, item))])
    assert code == 4 and not out, f"signed with SHA512, SHA256 configured: exit {code}"
    encrypted = peer.encrypt(strong, item)
    entries = {**peer.parse_description(encrypted), "amzn-ddb-map-signingAlg": "SHA1withRSA"}
    encrypted[peer.DESC] = {"B": peer.b64(peer.serialize(entries)["B"])}
    code, out, err = bridge.run("item", "decrypt", *bridge.options(strong), lines=[json.dumps(encrypted)])
    assert code == 4 or code == 0 and peer.canonical(json.loads(out[0])) == peer.canonical(item), f"SHA1 in the description: exit {code}: {err}"


def misfits(bridge, rng):
    """A key of another type than the description or the options say."""
    item = peer.random_item(rng)
    rsa, aes = peer.rsa_provider("rsaWrap2048", "sign256", "HmacSHA256"), peer.wrapped_provider("wrap256", "HmacSHA256")
    for name, made, read in (("AES key, RSA item", rsa, aes), ("RSA key, AES item", aes, rsa)):
        encrypted = peer.encrypt(live.record_of(made, ACTS[0]), item)
        code, out, err = bridge.run("item", "decrypt", *bridge.options(live.record_of(read, ACTS[0])), lines=[json.dumps(encrypted)])
        assert refusals(code) and not out and err.strip(), f"{name}: exit {code}: {err.strip()}"
    for more in (("--wrap-alg", "AESWrap"), ("--wrap-alg", "NoSuchWrap"), ("--sign-alg", "SHA256withRSA"), ("--sign-alg", "NoSuchSignature")):
        code, out, err = bridge.run("item", "encrypt", *bridge.options(live.record_of(rsa, ACTS[0])), *more, lines=[json.dumps(item)])
        assert code in (2, 5) and not out and err.strip(), f"{more}: exit {code}: {err.strip()}"


# ---------------------------------------------------------------------------------------------
# Direct KMS, moto's

class MotoSession(botocore.session.Session):
    """This botocore does not know AWS_ENDPOINT_URL_KMS yet."""

    def create_client(self, service_name, *args, **named):
        return super().create_client(service_name, *args, **{**named, "endpoint_url": os.environ["KB_MOTO_URL"]})


def new_kms_key():
    return peers.client("kms", os.environ["KB_MOTO_URL"]).create_key()["KeyMetadata"]["Arn"]


def kms_record(arn, acts=ACTS[1], table="Orders"):
    return live.record_of({"kind": "kms-direct", "key_id": arn}, acts, table)


def kms_both_ways(bridge, rng, arn, count):
    for i, acts in enumerate(live.ACTION_SETS):
        record, items = kms_record(arn, acts, live.TABLES[i % 3]), [peer.random_item(rng) for _ in range(count)]
        for item, key in zip(items, ({"S": "t\u00ebxt"}, {"N": "-12.5"}, {"B": peer.b64(b"\0\xff")})):
            item["pk"] = key
        for encrypted, item in zip(bridge.encrypt(record, items, acts=acts), items):
            live.check_protected(record, encrypted, item)
            live.same(peer.decrypt(record, encrypted), item, f"ours, actions {i}")
        for found, item in zip(bridge.decrypt(record, [peer.encrypt(record, item) for item in items], acts=acts), items):
            live.same(found, item, f"theirs, actions {i}")


def kms_refusals(bridge, rng, arn):
    record, item = kms_record(arn), peer.random_item(rng)
    encrypted = peer.encrypt(record, item)
    for name, changed, stored in (("table", {**record, "table": "Other"}, encrypted), ("key", record, {**encrypted, "pk": {"S": "another"}}),
                                  ("key id", kms_record(new_kms_key()), encrypted)):
        code, out, err = bridge.run("item", "decrypt", *bridge.options(changed), lines=[json.dumps(stored)])
        assert code in (4, 5) and not out and err.strip(), f"{name}: exit {code}: {err.strip()}"
    code, out, err = bridge.run("item", "encrypt", *bridge.options(kms_record(arn[:-12] + "000000000000")), lines=[json.dumps(item)])
    assert code == 3 and not out and err.strip(), f"no such key: exit {code}: {err.strip()}"


# ---------------------------------------------------------------------------------------------
# Tables of a server

def stored(items):
    return {(json.dumps(i["pk"]), json.dumps(i["sk"])): peer.canonical(i) for i in items}


def scan(bridge, table, url, record):
    code, out, err = bridge.run("table", "scan", "--table", f"dynamodb:{table}", "--endpoint-url", url, *bridge.sealing(record))
    assert code == 0, f"scan: exit {code}: {err.strip()}"
    return [json.loads(line) for line in out]


def encrypted_client(dynamodb, record):
    config = peer.client_config(record)
    return EncryptedClient(client=dynamodb, materials_provider=config.materials_provider, attribute_actions=config.attribute_actions)


def table_items(rng, count):
    """What DynamoDB itself takes: no empty sets, keys apart from each other."""
    items = [peer.random_item(rng) for _ in range(count)]
    for i, item in enumerate(items):
        item["sk"] = {"N": str(i)}
        for name in [n for n in item if n not in ("pk", "sk")]:
            if not acceptable(item[name]):
                del item[name]
    return items


def acceptable(value):
    (tag, inner), = value.items()
    if tag in ("SS", "BS"):
        return all(inner)
    children = inner if tag == "L" else inner.values() if tag == "M" else ()
    return all(acceptable(child) for child in children)


def through_table(bridge, rng, url, record, name):
    """Items of EncryptedClient (put, batch) read by scan and get; ours, by put, read by its scan."""
    dynamodb = peers.client("dynamodb", url, tries=3)
    record = {**record, "table": name}
    theirs = encrypted_client(dynamodb, record)
    items = table_items(rng, 40)
    peers.create_table(dynamodb, name)
    for item in items[:5]:
        theirs.put_item(TableName=name, Item=peer.to_wire(item))
    for at in (5, 25):
        theirs.batch_write_item(RequestItems={name: [{"PutRequest": {"Item": peer.to_wire(i)}} for i in items[at:at + 20]]})
    assert stored(scan(bridge, name, url, record)) == stored(items), "theirs, read by scan"
    key = {"pk": items[0]["pk"], "sk": items[0]["sk"]}
    code, out, err = bridge.run("table", "get", "--table", f"dynamodb:{name}", "--endpoint-url", url, "--key", json.dumps(key), *bridge.sealing(record))
    assert code == 0 and stored([json.loads(out[0])]) == stored(items[:1]), f"get: exit {code}: {err.strip()}"
    peers.create_table(dynamodb, name)
    code, _, err = bridge.run("table", "put", "--table", f"dynamodb:{name}", "--endpoint-url", url, *bridge.sealing(record), lines=map(json.dumps, items))
    assert code == 0, f"put: exit {code}: {err.strip()}"
    for raw in peers.scan_all(dynamodb, name):
        raw = peer.to_json(raw)
        live.check_protected(record, raw, next(i for i in items if i["sk"] == raw["sk"]))
    found = [i for page in theirs.get_paginator("scan").paginate(TableName=name) for i in page["Items"]]
    assert stored(map(peer.to_json, found)) == stored(items), "ours, read by its scan"
    one = theirs.get_item(TableName=name, Key=peer.to_wire(key))["Item"]
    assert stored([peer.to_json(one)]) == stored(items[:1]), "ours, read by its get_item"


def load_and_batch_writer(bridge, url):
    """A CSV file loaded by us and read by EncryptedTable; its batch_writer's rows read by us."""
    name, dynamodb = "live-sales", peers.client("dynamodb", url, tries=3)
    peers.create_table(dynamodb, name, "Order ID", "Ship Date", "SS")
    record = {**live.record_of(peer.wrapped_provider("wrap256", "HmacSHA256"), ("encrypt", {}, ())), "table": name}
    code, _, err = bridge.run("table", "load", ROWS, "--table", f"dynamodb:{name}", "--endpoint-url", url, "--where", "Item Type=Vegetables",
                              *bridge.sealing(record))
    assert code == 0, f"load: exit {code}: {err.strip()}"
    table = peers.resource(url).Table(name)
    theirs = EncryptedTable(table=table, materials_provider=peer.client_config(record).materials_provider)
    rows = theirs.scan()["Items"]
    assert len(rows) > 50 and all(r["Item Type"] == "Vegetables" and len(r) == 14 for r in rows), f"{len(rows)} rows"
    peers.create_table(dynamodb, name, "Order ID", "Ship Date", "SS")
    with theirs.batch_writer() as batch:
        for row in rows:
            batch.put_item(Item=row)
    found = [{k: v["S"] for k, v in i.items()} for i in scan(bridge, name, url, record)]
    assert sorted(map(json.dumps, ({k: r[k] for k in sorted(r)} for r in found))) == sorted(map(json.dumps, ({k: r[k] for k in sorted(r)} for r in rows)))
    return f"{len(rows)} rows"


def java_table(bridge, java, rng, url):
    name, dynamodb = "live-java", peers.client("dynamodb", url, tries=3)
    for provider in (peer.rsa_provider("rsaWrap2048", "ecSignP256", "SHA256withECDSA"), peer.wrapped_provider("wrap256", "HmacSHA256")):
        record, items = live.record_of(provider, ACTS[1], name), table_items(rng, 10)
        peers.create_table(dynamodb, name)
        for item in items:
            dynamodb.put_item(TableName=name, Item=peer.to_wire(java.encrypt(record, item)))
        assert stored(scan(bridge, name, url, record)) == stored(items), "Java's, read by scan"
        peers.create_table(dynamodb, name)
        code, _, err = bridge.run("table", "put", "--table", f"dynamodb:{name}", "--endpoint-url", url, *bridge.sealing(record), lines=map(json.dumps, items))
        assert code == 0, f"put: exit {code}: {err.strip()}"
        found = [java.decrypt(record, peer.to_json(i)) for i in peers.scan_all(dynamodb, name)]
        assert stored(found) == stored(items), "ours, read by Java"


def table_checks(check, bridge, java, rng, arn):
    aes, rsa = peer.wrapped_provider("wrap256", "HmacSHA512"), peer.rsa_provider("rsaWrap2048", "rsaSign2048", "SHA256withRSA")
    providers = [("AES and HMAC", aes), ("RSA and RSA", rsa)] + ([("KMS", {"kind": "kms-direct", "key_id": arn})] if arn else [])
    for server, url in peers.servers():
        for label, provider in providers:
            record = live.record_of(provider, ACTS[1])
            check(f"{server}: {label}", through_table, bridge, rng, url, record, "live-items")
        check(f"{server}: load and batch_writer", load_and_batch_writer, bridge, url)
        if java:
            check(f"{server}: Java", java_table, bridge, java, rng, url)


class PythonPeer:
    encrypt, decrypt = staticmethod(peer.encrypt), staticmethod(peer.decrypt)


def key_checks(check, bridge, java, rng, count):
    python = {"python": PythonPeer}
    both = {**python, **({"java": java} if java else {})}
    for label, provider, wrap_alg, bits in generate_keys.java_combinations():
        clients = {k: v for k, v in both.items() if k == "java" or "ECDSA" not in provider["signature_algorithm"]}
        if clients:
            check(label, both_ways, bridge, clients, rng, provider, wrap_alg, bits, count)
    for label, provider in generate_keys.static_combinations():
        clients = {k: v for k, v in both.items() if k == "java" or "ECDSA" not in provider["signature_algorithm"]}
        if clients:
            check(label, both_ways, bridge, clients, rng, provider, None, None, count)
    check("altered, RSA and RSA", altered, bridge, PythonPeer, peer.rsa_provider("rsaWrap2048", "rsaSign2048", "SHA256withRSA"))
    if java:
        check("altered, RSA and ECDSA", altered, bridge, java, peer.rsa_provider("rsaWrap2048", "ecSignP256", "SHA256withECDSA"))
    for test in (halves, configured_algorithm, misfits):
        check(test.__name__.replace("_", " "), test, bridge, rng)
    check("exported public keys", exported, bridge)


def main():
    parser = argparse.ArgumentParser(description="two-way test with every key kind, and through servers")
    parser.add_argument("--keybridge", required=True, metavar="COMMAND")
    parser.add_argument("--java", metavar="DIR")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--items", type=int, default=2)
    args = parser.parse_args()
    rng, check, java = random.Random(args.seed), Checks(), JavaPeer(args.java) if args.java else None
    with tempfile.TemporaryDirectory(prefix="kb-keys-") as home:
        bridge = KeysBridge(os.path.abspath(args.keybridge), home)
        bridge.set_up()
        key_checks(check, bridge, java, rng, args.items)
        arn = None
        if "KB_MOTO_URL" in os.environ:
            bridge.env["AWS_ENDPOINT_URL_KMS"] = os.environ["KB_MOTO_URL"]
            peer.kms_session, arn = MotoSession(), new_kms_key()
            check("KMS, both ways", kms_both_ways, bridge, rng, arn, 3)
            check("KMS, refusals", kms_refusals, bridge, rng, arn)
        table_checks(check, bridge, java, rng, arn)
    if java:
        java.close()
    check.finish()


if __name__ == "__main__":
    sys.exit(main())
