"""Make ddbec-python-keys.json (the Python client with RSA keys and with KMS) and ddbec-java.json (the Java client).

    generate_keys.py --java DIR    write both beside this file; DIR is what java/install.sh built

The keys are those of the present ddbec-python-keys.json, or made when there is none. RSA wrapping and
ECDSA are random by nature, so each run gives other bytes. KMS is moto, inside this process. Of each
KMS item "kms" records the one answer that a stand-in needs: {ciphertext_blob, plaintext, key_arn, context}.
The format is otherwise that of ddbec-python.json; generate.py writes the table of what is covered.
"""
import argparse
import json
import os
import random

import botocore.session
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from moto import mock_aws

import ddbec_peer as peer
import generate
from java_peer import JavaPeer, Refused

PYTHON_FILE, JAVA_FILE = peer.KEYS_FILE, os.path.join(peer.HERE, "ddbec-java.json")
JAVA_ORIGIN = "made with the Java DynamoDB Encryption Client 2.0.3"
KMS_ORIGIN = generate.ORIGIN + " and moto's KMS"
ECDSA = {"SHA256withECDSA": "ecSignP256", "SHA384withECDSA": "ecSignP384"}
PAIRS = {"rsaWrap2048": 2048, "rsaWrap3072": 3072, "rsaWrap4096": 4096, "rsaSign2048": 2048, "rsaSign3072": 3072, "rsaWrapWrong2048": 2048,
         "rsaSignWrong2048": 2048, "ecSignP256": ec.SECP256R1(), "ecSignWrongP256": ec.SECP256R1(), "ecSignP384": ec.SECP384R1()}
# Without "keys-only": of an item with nothing to sign the Java client makes no item of its own, which the Python client refuses.
SHAPES = [s for s in generate.SHAPES if s not in ("keys-only", "deep", "strings", "numbers", "binaries", "nested")]
CONTEXT = {"env": "*amzn-ddb-env-alg*", "sig": "*amzn-ddb-sig-alg*", "table": "*aws-kms-table*"}


def make_keys():
    keys = {}
    for name, size in PAIRS.items():
        is_rsa = isinstance(size, int)
        private = rsa.generate_private_key(65537, size) if is_rsa else ec.generate_private_key(size)
        kind = "rsa" if is_rsa else "ec"
        algorithm = "EC" if not is_rsa else "SHA256withRSA" if "Sign" in name else "RSA"
        forms = {
            "private": ("pkcs8-der", private.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())),
            "public": ("spki-der", private.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))}
        for part, (encoding, data) in forms.items():
            keys[f"{name}-{part}"] = {"kind": f"{kind}-{part}", "algorithm": algorithm, "encoding": encoding, "material": peer.b64(data)}
    return keys


def combinations():
    """(label, provider, wrap algorithm or None, content key bits) that both clients have; every wrap and every signature."""
    turn = 0
    for wrap_alg in (*peer.OAEP, peer.PKCS1):
        for sign_alg in peer.RSA_SIGNATURES:
            bits = peer.AES_BITS[turn % 3]
            yield f"{wrap_alg.split('/')[-1]}-{sign_alg}-{bits}", peer.rsa_provider("rsaWrap2048", "rsaSign2048", sign_alg), wrap_alg, bits
            turn += 1
    yield "default-wrap", peer.rsa_provider("rsaWrap2048", "rsaSign2048", "SHA256withRSA"), None, 256
    yield "rsa3072", peer.rsa_provider("rsaWrap3072", "rsaSign3072", "SHA512withRSA"), peer.OAEP[1], 256
    yield "rsa4096-hmac", peer.rsa_provider("rsaWrap4096", "sign256", "HmacSHA256"), peer.OAEP[3], 256
    yield "rsa-hmac512", peer.rsa_provider("rsaWrap2048", "sign512", "HmacSHA512"), peer.OAEP[0], 128
    yield "aes-rsa", peer.rsa_provider("wrap256", "rsaSign2048", "SHA256withRSA"), None, 256
    yield "aes128-rsa512", peer.rsa_provider("wrap128", "rsaSign2048", "SHA512withRSA"), None, 192


def java_combinations():
    yield from combinations()
    for sign_alg, sign in ECDSA.items():
        for wrap, wrap_alg in (("rsaWrap2048", peer.OAEP[1]), ("rsaWrap2048", peer.OAEP[0]), ("wrap256", None), ("wrap128", None)):
            yield f"{wrap}-{(wrap_alg or 'x/x/AESWrap').split('/')[-1]}-{sign_alg}", peer.rsa_provider(wrap, sign, sign_alg), wrap_alg, 256
    for mac in peer.MACS:
        for wrap in peer.AES_BITS:
            yield f"aes{wrap}-{mac}", peer.wrapped_provider(f"wrap{wrap}", mac), None, peer.AES_BITS[wrap // 64 - 2]


def static_combinations():
    for mac in peer.MACS:
        yield f"static256-{mac}", peer.static_provider("content256", mac)
    yield "static128-HmacSHA256", peer.static_provider("content128", "HmacSHA256")
    yield "static-none-HmacSHA256", peer.static_provider(None, "HmacSHA256")
    for name, algorithm in (("rsaSign2048", "SHA256withRSA"), ("rsaSign2048", "SHA384withRSA"), *((n, a) for a, n in ECDSA.items())):
        for content in ("content256", None):
            pair = {"signing_key": f"{name}-private", "verification_key": f"{name}-public", "signature_algorithm": algorithm}
            yield f"static-{content or 'none'}-{algorithm}", {"kind": "static", "encryption_key": content, **pair}


def class_of(provider):
    return "static" if provider["kind"] == "static" else "wrapped-rsa" if provider["wrapping_key"].startswith("rsa") else "wrapped-aes"


class Maker:
    """Items of one client in turns of shapes, actions, tables and kinds of keys."""

    def __init__(self, lang, origin, encrypt, decrypt, others):
        self.lang, self.origin, self.encrypt, self.decrypt, self.others, self.turn = lang, origin, encrypt, decrypt, others, 0

    def make(self, label, cls, provider, description, shape=None, acts=None, attributes=None):
        turn, self.turn = self.turn, self.turn + 1
        names = [a for a in generate.ACTION_SETS if provider.get("encryption_key", True) or a in generate.WITHOUT_CONTENT]
        shape, acts = shape or SHAPES[turn % len(SHAPES)], acts or generate.ACTION_SETS[names[turn % len(names)]]
        sort = turn % 4 != 3
        record = {"id": f"items/{self.lang}-keys/{label}/{turn}", "origin": self.origin, "lang": self.lang, "class": cls,
                  "table": generate.TABLES[turn % len(generate.TABLES)], "partition_key": "pk", "sort_key": "sk" if sort else None,
                  "actions": acts, "provider": provider}
        item = {"pk": generate.KEY_TYPES[turn % 3], **({"sk": {"N": "7"}} if sort else {}), **(attributes or generate.SHAPES[shape])}
        record["encrypted"] = self.encrypt(record, item, description)
        if peer.DESC in record["encrypted"]:
            record["description"] = peer.parse_description(record["encrypted"])
        if cls.startswith("wrapped") and peer.DESC in record["encrypted"]:
            record["content_key"] = peer.b64(peer.content_key(record))
        record.update({"expect": "ok", "plaintext": self.decrypt(record), "peers": {self.lang: "ok"}})
        assert peer.canonical(record["plaintext"]) == peer.canonical(item), record["id"]
        for other, decrypt in self.others.items():
            if other == "java" or "ECDSA" not in provider.get("signature_algorithm", ""):
                assert peer.canonical(decrypt(record)) == peer.canonical(item), f"{record['id']}: {other}"
                record["peers"][other] = "ok"
        return record

    def altered(self, record):
        """Refused by this client, or what nothing protects: then "policy" with what it read."""
        for name, change in peer.alterations(record):
            try:
                plaintext, refused = self.decrypt(change), None
            except Exception as error:  # whatever it is, it is a refusal
                plaintext, refused = None, str(error).split(":")[0] if isinstance(error, Refused) else type(error).__name__
            new = {"id": f"{record['id']}/{name}".replace("items/", "items/altered/"), "origin": f"altered copy of {record['id']}", "lang": self.lang,
                   "class": "altered-" + record["class"], **change, "expect": "refuse" if refused else "policy", "plaintext": plaintext,
                   "peers": {self.lang: f"refused: {refused}" if refused else "ok"}}
            if not refused:
                assert plaintext == record["plaintext"] or peer.unprotected(name, record), (new["id"], "gave another plaintext")
            yield new


def start_of_altered():
    return {k: v for k, v in peer.altered_item().items() if k not in ("pk", "sk")}


def python_items(java):
    def encrypt(record, item, description):
        description = dict(description)
        bits = description.pop("bits", 256)
        return peer.encrypt(record, item, bits, description)
    maker = Maker("python", generate.ORIGIN, encrypt, peer.decrypt, {"java": java.decrypt})
    for label, provider, wrap_alg, bits in combinations():
        yield maker.make(label, class_of(provider), provider, {"bits": bits, **({"amzn-ddb-wrap-alg": wrap_alg} if wrap_alg else {})})
    for label, provider in static_combinations():
        if "RSA" in label:
            yield maker.make(label, "static", provider, {})
    provider = peer.rsa_provider("rsaWrap2048", "rsaSign2048", "SHA256withRSA")
    base = maker.make("base", "wrapped-rsa", provider, {}, acts=peer.actions(*peer.ALTERED_ACTIONS[0]), attributes=start_of_altered())
    yield base
    yield from maker.altered(base)


def java_items(java):
    maker = Maker("java", JAVA_ORIGIN, java.encrypt, java.decrypt, {"python": peer.decrypt})
    for label, provider, wrap_alg, bits in java_combinations():
        yield maker.make(label, class_of(provider), provider,
                         {"amzn-ddb-env-alg": f"AES/{bits}", **({"amzn-ddb-wrap-alg": wrap_alg} if wrap_alg else {})})
    # what it writes when nothing is configured: "AES" without a length
    yield maker.make("unconfigured", "wrapped-aes", peer.wrapped_provider("wrap256", "HmacSHA256"), {})
    yield maker.make("unconfigured-rsa", "wrapped-rsa", peer.rsa_provider("rsaWrap2048", "rsaSign2048", "SHA256withRSA"), {})
    for label, provider in static_combinations():
        yield maker.make(label, "static", provider, {})
    provider = peer.rsa_provider("rsaWrap2048", "ecSignP256", "SHA256withECDSA")
    base = maker.make("base", "wrapped-rsa", provider, {}, acts=peer.actions(*peer.ALTERED_ACTIONS[0]), attributes=start_of_altered())
    yield base
    yield from maker.altered(base)


class Kms:
    """moto's KMS in this process, with an ear on what the client says to it."""

    def __init__(self):
        self.session, self.context = botocore.session.Session(), None
        self.session.register("before-parameter-build.kms", lambda params, **_: setattr(self, "context", params.get("EncryptionContext")))
        self.client = self.session.create_client("kms", region_name="us-east-1")
        self.arn = self.client.create_key(Tags=[{"TagKey": "_custom_id_", "TagValue": "00000000-0000-4000-8000-000000000001"}])["KeyMetadata"]["Arn"]

    def answer(self, record):
        """What Decrypt is asked for this item, and what it answers."""
        blob = record["description"]["amzn-ddb-env-key"]
        context = self.context
        plain = self.client.decrypt(CiphertextBlob=peer.unb64(blob), EncryptionContext=context)["Plaintext"]
        return {"ciphertext_blob": blob, "plaintext": peer.b64(plain), "key_arn": self.arn, "context": context}


def kms_items():
    os.environ.update({"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"})
    with mock_aws():
        kms = Kms()
        peer.kms_session = kms.session
        maker = Maker("python", KMS_ORIGIN, lambda record, item, description: peer.encrypt(record, item, description=description), peer.decrypt, {})

        def make(label, description, **more):
            record = maker.make(f"kms/{label}", "kms-direct", {"kind": "kms-direct", "key_id": kms.arn}, description, **more)
            answer = kms.answer(record)
            record["provider"]["data_key"] = answer["plaintext"]
            record.update({"kms_encryption_context": answer["context"], "kms": answer})
            return record
        for i in range(12):
            yield make("default", {})
        for content in ("AES/128", "AES/192", "AES/256"):
            for mac in ("HmacSHA224/224", "HmacSHA384/384", "HmacSHA512/512"):
                yield make(f"{content}-{mac}".replace("/", "_"), {"amzn-ddb-env-alg": content, "amzn-ddb-sig-alg": mac})
        base = make("base", {}, acts=peer.actions(*peer.ALTERED_ACTIONS[0]), attributes=start_of_altered())
        yield base
        for new in maker.altered(base):
            # the stand-in knows one answer: what the unaltered item asks
            yield {**new, "kms": base["kms"]}


def write(path, keys, records):
    ids = [r["id"] for r in records]
    assert len(ids) == len(set(ids)), "an id is there twice"
    names = {v for r in records for k, v in r["provider"].items() if k.endswith("_key") and k != "data_key" and v}
    wanted = {name: key for name, key in keys.items() if name in names or path == PYTHON_FILE and key["encoding"] != "raw"}
    with open(path + ".new", "w", encoding="ascii") as f:
        f.write('{"format": "ddbec-vectors-1",\n"keys": {' + ",".join(f"\n{json.dumps(n)}: {json.dumps(k)}" for n, k in wanted.items()) + "}")
        for name in ("serialize_attribute", "deserialize_attribute", "material_description", "string_to_sign", "hkdf"):
            f.write(f',\n"{name}": []')
        f.write(',\n"items": [' + ",".join("\n" + json.dumps(r) for r in records) + "\n]\n}\n")
    os.replace(path + ".new", path)


def main():
    parser = argparse.ArgumentParser(description="make the vectors with RSA, EC and KMS keys")
    parser.add_argument("--java", required=True, metavar="DIR")
    args = parser.parse_args()
    peer.KEYS.update(peer.key_pairs() if os.path.exists(PYTHON_FILE) else make_keys())
    java = JavaPeer(args.java)
    python_records, java_records = list(python_items(java)), list(java_items(java))
    java.close()
    write(PYTHON_FILE, peer.KEYS, python_records + list(kms_items()))
    write(JAVA_FILE, peer.KEYS, java_records)
    with open(generate.COVERAGE, "w", encoding="utf-8") as out:
        out.write("\n".join(generate.coverage()) + "\n")


if __name__ == "__main__":
    random.seed(1)
    main()
