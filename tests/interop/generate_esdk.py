"""Make esdk-peers.json: messages that the AWS Encryption SDKs for Python and JavaScript wrote.

    generate_esdk.py --python PYTHON --js FOLDER

Each message was read again by every SDK that can. The keys are those of the present file, or made
when there is none: test keys, public to all. Data keys are random, so each run gives other bytes.
generate.py writes the table of what is covered; that needs this file and no SDK.

A record in "tests" has the form of those in the shared vectors' manifest: "keyrings" are the recipients,
in order; "context" is the stored encryption context, but for the signature's key; the plaintext is
esdk.plaintext(size). "expect" fail: written under a context in an order that is not the specification's.
"""
import argparse
import base64
import collections
import json
import os
import sys
import tempfile

import esdk

FILE = os.path.join(esdk.HERE, "esdk-peers.json")
ABOUT = "Written by generate_esdk.py, which says what this is. All keys are public test keys: never use them."
ORIGINS = {"python": "aws-encryption-sdk 4.0.7 with aws-cryptographic-material-providers 1.11.3",
           "js": "@aws-crypto/client-node 5.0.2"}
RSA_BITS = (2048, 3072, 4096)
SIZE, FRAME = 270, 128


def make_keys():
    """AES keys that nobody could take for secrets, and RSA keys."""
    keys = {f"aes{bits}": bytes(range(bits // 8)) for bits in esdk.AES_BITS}
    keys.update({f"other{bits}": bytes(range(255, 255 - bits // 8, -1)) for bits in esdk.AES_BITS})
    found = {name: {"type": "aes", "bits": len(value) * 8, "hex": value.hex()} for name, value in keys.items()}

    for bits in RSA_BITS:
        private, public = ("".join(text.split("\n")[1:-2]) for text in esdk.rsa_pair(bits))
        found[f"rsa{bits}"] = {"type": "rsa", "bits": bits, "private_der": private, "public_der": public}
    return found


def pem(label, data):
    lines = [data[i:i + 64] for i in range(0, len(data), 64)]
    return "\n".join([f"-----BEGIN {label} KEY-----", *lines, f"-----END {label} KEY-----", ""])


def recipient(key, name=None, namespace="keybridge-tests", padding=None):
    found = {"type": "raw-rsa" if padding else "raw-aes", "key": key, "namespace": namespace, "name": name or f"name of {key}"}
    return {**found, "padding": padding.removeprefix("oaep-")} if padding else found


def peer_key(keys, to):
    """A recipient as the peers take it."""
    key = keys[to["key"]]
    if key["type"] == "aes":
        return esdk.aes_key(to["name"], bytes.fromhex(key["hex"]), to["namespace"])
    padding = next(p for p in esdk.PADDINGS if p.removeprefix("oaep-") == to["padding"])
    return esdk.rsa_key(to["name"], padding, pem("PUBLIC", key["public_der"]), pem("PRIVATE", key["private_der"]), to["namespace"])


# ---------------------------------------------------------------------------------------------
# What is written: (class, what differs from the usual)

def suites():
    for suite in esdk.SUITES:
        for bits in esdk.AES_BITS:
            yield "suite", {"suite": suite, "keyrings": [recipient(f"aes{bits}")]}


def paddings():
    for padding in esdk.PADDINGS:
        for suite in ("0578", "0478", "0214", "0146", "0014"):
            yield "padding", {"suite": suite, "keyrings": [recipient("rsa2048", padding=padding)]}
    for bits in RSA_BITS[1:]:
        for padding in ("oaep-sha1", "oaep-sha512"):
            yield "padding", {"keyrings": [recipient(f"rsa{bits}", padding=padding)]}


def frames():
    for suite in ("0478", "0578", "0178"):
        for size in (0, 1, FRAME - 1, FRAME, FRAME + 1, 2 * FRAME, 3 * FRAME + 7):
            yield "frames", {"suite": suite, "size": size}
    for size in (4095, 4096, 4097):
        yield "frames", {"size": size, "frame_length": 4096}
    for length, size in ((1, 5), (100, 300), (127, 128), (2**31 - 128, 10), (2**32 - 1, 10)):
        yield "frames", {"size": size, "frame_length": length}
    for suite in esdk.SUITES:
        yield "unframed", {"suite": suite, "frame_length": 0}
    for size in (0, 1):
        yield "unframed", {"size": size, "frame_length": 0}


def contexts():
    for i, context in enumerate(esdk.CONTEXTS.values()):
        yield "context", {"context": context, "suite": esdk.COMMITTING[i % 2]}
        yield "context", {"context": context, "suite": esdk.NO_COMMITMENT[i % 6], "keyrings": [recipient("rsa2048", padding="oaep-sha256")]}
    for name in ("order", "astral"):
        yield "locale", {"context": esdk.CONTEXTS[name], "locale_order": True}


def required():
    pairs = {"tenant": "t-17", "purpose": "backup", "\u0416": "\u00e9"}
    for names in (["tenant"], ["purpose", "tenant"], ["\u0416", "purpose", "tenant"]):
        for i, key in enumerate((recipient("aes256"), recipient("rsa2048", padding="oaep-sha256"))):
            for suite in (esdk.COMMITTING[i], "0378"):
                yield "required", {"context": pairs, "required": names, "keyrings": [key], "suite": suite}


def several():
    both = [recipient("aes256"), recipient("rsa2048", padding="oaep-sha256")]
    yield "several", {"keyrings": both}
    yield "several", {"keyrings": both[::-1], "suite": "0578"}
    yield "several", {"keyrings": [recipient("rsa2048", padding=p, name=p) for p in esdk.PADDINGS[1:]]}
    yield "several", {"keyrings": [recipient("other256", name="same"), recipient("aes256", name="same")]}
    yield "several", {"keyrings": [recipient("aes128", namespace="\u00e4"), recipient("aes128", namespace="\U0001f511", name="n, %")]}
    yield "several", {"keyrings": [recipient("aes192", name=f"key {i}") for i in range(16)]}


def native():
    for bits in esdk.AES_BITS:
        yield "native", {"native": True, "context": esdk.CONTEXTS["order"], "keyrings": [recipient(f"aes{bits}")]}
    for padding in esdk.PADDINGS:
        yield "native", {"native": True, "suite": "0578", "keyrings": [recipient("rsa2048", padding=padding)]}


def wanted():
    for part in (suites, paddings, frames, contexts, required, several, native):
        for kind, change in part():
            yield {"class": kind, "suite": "0478", "frame_length": FRAME, "size": SIZE, "context": {},
                   "keyrings": [recipient("aes256")], **change}


# ---------------------------------------------------------------------------------------------
# Writing

class Maker:
    def __init__(self, keys, peers, folder):
        self.keys, self.peers, self.folder = keys, peers, folder

    def job(self, verb, record, source, target):
        made = {"verb": verb, "in": os.path.join(self.folder, source), "out": os.path.join(self.folder, target),
                "policy": esdk.policy_of(record["suite"]), "keys": [peer_key(self.keys, to) for to in record["keyrings"]]}
        wanted_too = ("suite", "frame_length", "context", "required", "locale_order", "native") if verb == "encrypt" else ("locale_order",)
        made.update({k: record[k] for k in wanted_too if k in record})
        if verb == "decrypt" and "required" in record:
            made.update({k: record[k] for k in ("context", "required")})
        return made

    def write(self, writer):
        """The records of what this peer can write, each with its message."""
        records, jobs = [], []
        for record in wanted():
            job = self.job("encrypt", record, "plain", "made")
            if writer.writes(job):
                record["id"] = f"{writer.name}-{len(records):03}-{record['class']}"
                records.append(record)
                jobs.append({**job, "in": self.file(f"plain-{record['size']}", esdk.plaintext(record["size"])),
                             "out": os.path.join(self.folder, record["id"])})
        for record, answer in zip(records, writer.do(jobs)):
            assert "refused" not in answer, (record, answer)
            assert answer["suite"] == record["suite"], (record, answer)
            with open(os.path.join(self.folder, record["id"]), "rb") as f:
                record.update(peer=writer.name, message=base64.b64encode(f.read()).decode(), readers=[])
        return records

    def file(self, name, data):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as f:
            f.write(data)
        return path

    def read(self, reader, records):
        """Note in each record whether this peer reads it, which it must if it can."""
        for record, answer in zip(records, reader.do([self.job("decrypt", r, r["id"], r["id"] + ".plain") for r in records])):
            expected = reader.reads({**record, "keys": record["keyrings"]})
            assert expected == ("refused" not in answer), (reader.name, record["id"], answer)
            if expected:
                with open(os.path.join(self.folder, record["id"] + ".plain"), "rb") as f:
                    assert f.read() == esdk.plaintext(record["size"]), record["id"]
                record["readers"].append(reader.name)


def write(peers):
    try:
        with open(FILE, encoding="ascii") as f:
            keys = json.load(f)["keys"]
    except FileNotFoundError:
        keys = make_keys()
    records = []
    with tempfile.TemporaryDirectory(prefix="kb-esdk-") as folder:
        maker = Maker(keys, peers, folder)
        for writer in peers:
            records += maker.write(writer)
        for reader in peers:
            maker.read(reader, records)
    for record in records:
        record["expect"] = "fail" if record["class"] == "locale" else "ok"
        names = record.pop("required", None)
        if names:
            record["required_encryption_context_keys"] = names
            whole = record["context"]
            record["reproduced_encryption_context"] = {name: whole[name] for name in names}
            record["context"] = {name: value for name, value in whole.items() if name not in names}
    with open(FILE, "w", encoding="ascii") as f:
        lines = ",\n".join(json.dumps(record) for record in records)
        f.write(f'{{"about": {json.dumps(ABOUT)},\n"origins": {json.dumps(ORIGINS)},\n"keys": {json.dumps(keys)},\n"tests": [\n{lines}\n]}}\n')
    print(f"{len(records)} messages, {os.path.getsize(FILE) >> 10} KiB")


# ---------------------------------------------------------------------------------------------
# What is covered

def coverage(table):
    """Lines of Markdown, counted from the file; `table` is generate.py's."""
    with open(FILE, encoding="ascii") as f:
        records = json.load(f)["tests"]
    peers = list(ORIGINS)

    def by_peer(title, head, key_of):
        counts = collections.Counter((key, record["peer"]) for record in records for key in key_of(record))
        rows = [(*key, *(counts[key, peer] for peer in peers)) for key in sorted({key for key, _ in counts})]
        return table(title, (*head, *(f"{peer} wrote" for peer in peers)), rows)
    yield ""
    yield "# What esdk-peers.json covers"
    yield ""
    yield "Written by `generate_esdk.py`; not to be edited by hand."
    yield from by_peer("Messages", ("class", "expect"), lambda r: [(r["class"], r["expect"])])
    yield from by_peer("Suites", ("suite",), lambda r: [(r["suite"],)])
    yield from by_peer("Recipients", ("key", "padding"), lambda r: sorted({(k["key"], k.get("padding", "")) for k in r["keyrings"]}))
    yield from by_peer("Frames", ("frame length", "plaintext"), lambda r: [(r["frame_length"], r["size"])])
    yield from by_peer("Read back by", ("readers",), lambda r: [(" and ".join(r["readers"]),)])


def main():
    parser = argparse.ArgumentParser(description="make esdk-peers.json")
    esdk.add_options(parser)
    peers = esdk.peers(parser.parse_args())
    if len(peers) != len(ORIGINS):
        parser.error("both peers are needed")
    write(peers)


if __name__ == "__main__":
    sys.exit(main())
