"""The real Python DynamoDB Encryption Client as a peer: keys, items, alterations, comparison.

Shared by generate.py (vectors), live.py (two-way test) and bench_python.py. Items are DynamoDB
JSON here, with base64 text in B and BS; only encrypt() and decrypt() turn it into the bytes that
the client wants. A "record" is one item of the vector file.
"""
import base64
import copy
import json
import logging
import os
import struct
from decimal import Decimal

from cryptography.hazmat.primitives.keywrap import aes_key_unwrap
from dynamodb_encryption_sdk.delegated_keys.jce import JceNameLocalDelegatedKey
from dynamodb_encryption_sdk.encrypted import CryptoConfig
from dynamodb_encryption_sdk.encrypted.item import decrypt_dynamodb_item, encrypt_dynamodb_item
from dynamodb_encryption_sdk.identifiers import CryptoAction, EncryptionKeyType, KeyEncodingType
from dynamodb_encryption_sdk.internal.crypto.authentication import verify_item_signature
from dynamodb_encryption_sdk.internal.formatting.material_description import deserialize, serialize
from dynamodb_encryption_sdk.material_providers.aws_kms import AwsKmsCryptographicMaterialsProvider
from dynamodb_encryption_sdk.material_providers.static import StaticCryptographicMaterialsProvider
from dynamodb_encryption_sdk.material_providers.wrapped import WrappedCryptographicMaterialsProvider
from dynamodb_encryption_sdk.materials.raw import RawDecryptionMaterials, RawEncryptionMaterials
from dynamodb_encryption_sdk.structures import AttributeActions, EncryptionContext

logging.getLogger("dynamodb_encryption_sdk").setLevel(logging.CRITICAL)

DESC = "*amzn-ddb-map-desc*"
SIG = "*amzn-ddb-map-sig*"
AES_BITS = (128, 192, 256)
MACS = ("HmacSHA224", "HmacSHA256", "HmacSHA384", "HmacSHA512")
ACTIONS = {
    "encrypt": CryptoAction.ENCRYPT_AND_SIGN,
    "sign": CryptoAction.SIGN_ONLY,
    "nothing": CryptoAction.DO_NOTHING,
}


def b64(data):
    return base64.b64encode(data).decode()


def unb64(text):
    return base64.b64decode(text, validate=True)


# ---------------------------------------------------------------------------------------------
# Keys. All of them are test keys and say so in their bytes.

def _key(kind, algorithm, label, size):
    text = f"TEST {label}".ljust(size, ".")
    assert len(text) == size
    return {"kind": kind, "algorithm": algorithm, "encoding": "raw", "material": b64(text.encode())}


def _keys():
    keys = {}
    for use in ("wrap", "content", "wrong"):
        for bits in AES_BITS:
            keys[f"{use}{bits}"] = _key("aes", "AES", f"{use} {bits}", bits // 8)
    for use in ("sign", "wrongSign"):
        for mac in MACS:
            bits = int(mac[-3:])
            keys[f"{use}{bits}"] = _key("hmac", mac, f"{use} {bits}", bits // 8)
    return keys


HERE = os.path.dirname(os.path.abspath(__file__))
KEYS_FILE = os.path.join(HERE, "ddbec-python-keys.json")
OAEP = tuple(f"RSA/ECB/OAEPWithSHA-{n}AndMGF1Padding" for n in (1, 256, 384, 512))
PKCS1 = "RSA/ECB/PKCS1Padding"
RSA_SIGNATURES = tuple(f"SHA{n}withRSA" for n in (224, 256, 384, 512))
KEYS = _keys()


def key_pairs():
    """The RSA and EC test keys, name -> key as in KEYS: rsaWrap2048-private, …-public; those of ddbec-python-keys.json."""
    with open(KEYS_FILE, encoding="ascii") as f:
        return {name: key for name, key in json.load(f)["keys"].items() if key["encoding"] != "raw"}


def wrong_key(name):
    """A key of the same kind as that one, which is not it."""
    if name.startswith(("wrap", "content")):
        return f"wrong{name[-3:]}"
    return name.replace("sign", "wrongSign", 1) if name.startswith("sign") else name.replace("2048", "Wrong2048").replace("P256", "WrongP256")


def key_bytes(name):
    return unb64(KEYS[name]["material"])


def _delegated(name, algorithm=None):
    key = KEYS[name]
    kind = {"public": EncryptionKeyType.PUBLIC, "private": EncryptionKeyType.PRIVATE}.get(key["kind"][-7:].lstrip("-"), EncryptionKeyType.SYMMETRIC)
    raw = key["encoding"] == "raw"
    return JceNameLocalDelegatedKey(key=key_bytes(name), algorithm=key["algorithm"] if raw else algorithm or "RSA", key_type=kind,
                                    key_encoding=KeyEncodingType.RAW if raw else KeyEncodingType.DER)


def wrapped_provider(wrap, mac):
    return {"kind": "wrapped", "wrapping_key": wrap, "unwrapping_key": wrap,
            "signing_key": f"sign{mac[-3:]}", "verification_key": f"sign{mac[-3:]}", "signature_algorithm": mac}


def static_provider(content, mac):
    return {"kind": "static", "encryption_key": content,
            "signing_key": f"sign{mac[-3:]}", "verification_key": f"sign{mac[-3:]}", "signature_algorithm": mac}


def rsa_provider(wrap, sign, algorithm):
    """Names of key pairs without -private and -public; sign may be the name of a MAC key."""
    pair = (sign, sign) if algorithm.startswith("Hmac") else (f"{sign}-private", f"{sign}-public")
    aes = wrap.startswith("wrap")
    return {"kind": "wrapped", "wrapping_key": wrap if aes else f"{wrap}-public", "unwrapping_key": wrap if aes else f"{wrap}-private",
            "signing_key": pair[0], "verification_key": pair[1], "signature_algorithm": algorithm}


# ---------------------------------------------------------------------------------------------
# DynamoDB JSON <-> what the client takes

def _map_binary(value, convert):
    (tag, inner), = value.items()
    if tag == "B":
        return {tag: convert(inner)}
    if tag == "BS":
        return {tag: [convert(x) for x in inner]}
    if tag == "L":
        return {tag: [_map_binary(x, convert) for x in inner]}
    if tag == "M":
        return {tag: {k: _map_binary(v, convert) for k, v in inner.items()}}
    return {tag: list(inner) if tag in ("SS", "NS") else inner}


def to_wire(item):
    return {name: _map_binary(value, unb64) for name, value in item.items()}


def to_json(item):
    return {name: _map_binary(value, lambda x: b64(bytes(x))) for name, value in item.items()}


def _plain(value):
    (tag, inner), = value.items()
    if tag == "N":
        return tag, Decimal(inner)
    if tag == "NS":
        return tag, sorted(Decimal(x) for x in inner)
    if tag in ("SS", "BS"):
        return tag, sorted(inner)
    if tag == "L":
        return tag, [_plain(x) for x in inner]
    if tag == "M":
        return tag, {k: _plain(v) for k, v in inner.items()}
    return tag, inner


def canonical(item):
    """A form in which equal items are equal: numbers as Decimal, sets in order."""
    return {name: _plain(value) for name, value in item.items()}


# ---------------------------------------------------------------------------------------------
# The client

def client_actions(default, overrides):
    return AttributeActions(default_action=ACTIONS[default], attribute_actions={k: ACTIONS[v] for k, v in overrides.items()})


def actions(default, overrides=None, index_keys=("pk", "sk")):
    """Actions as a record holds them: the index key rule already applied, by the client itself."""
    made = client_actions(default, overrides or {})
    made.set_index_keys(*index_keys)
    names = {v.name: k for k, v in ACTIONS.items()}
    return {"default": default, "attributes": {k: names[v.name] for k, v in made.attribute_actions.items()}}


def action_of(acts, name):
    return acts["attributes"].get(name, acts["default"])


kms_session = None  # the botocore session whose KMS direct KMS providers use


def client_config(record, description=None, verify=False, attributes=None):
    """verify: with the key that only verifies. attributes: the item, which KMS wants to know."""
    p = record["provider"]
    if p["kind"] == "kms-direct":
        provider = AwsKmsCryptographicMaterialsProvider(key_id=p["key_id"], botocore_session=kms_session, material_description=description)
    elif p["kind"] == "wrapped":
        provider = WrappedCryptographicMaterialsProvider(
            signing_key=_delegated(p["verification_key" if verify else "signing_key"], p["signature_algorithm"]),
            wrapping_key=_delegated(p["wrapping_key"]), unwrapping_key=_delegated(p["unwrapping_key"]),
            material_description=description)
    else:
        content = _delegated(p["encryption_key"]) if p["encryption_key"] else None
        sign = _delegated(p["signing_key"], p["signature_algorithm"])
        provider = StaticCryptographicMaterialsProvider(
            encryption_materials=RawEncryptionMaterials(
                signing_key=sign, encryption_key=content, material_description=description),
            decryption_materials=RawDecryptionMaterials(verification_key=sign, decryption_key=content))
    context = EncryptionContext(table_name=record["table"], partition_key_name=record["partition_key"],
                                sort_key_name=record["sort_key"], attributes=attributes or {})
    return CryptoConfig(materials_provider=provider, encryption_context=context,
                        attribute_actions=client_actions(record["actions"]["default"], record["actions"]["attributes"]))


def encrypt(record, item, bits=256, description=None):
    """Encrypt a JSON item with the client; bits is the content key's length (wrapped only)."""
    description = dict(description or {})
    if record["provider"]["kind"] == "wrapped":
        description["amzn-ddb-env-alg"] = f"AES/{bits}"
    return to_json(encrypt_dynamodb_item(to_wire(item), client_config(record, description, attributes=to_wire(item))))


def decrypt(record, encrypted=None):
    """Decrypt with the client. It takes the reserved attributes out of what it is given: a copy."""
    item = encrypted or record["encrypted"]
    return to_json(decrypt_dynamodb_item(to_wire(item), client_config(record, verify=True, attributes=to_wire(item))))


def try_decrypt(record, encrypted=None):
    """(plaintext, None), or (None, name of what the client raised)."""
    try:
        return decrypt(record, encrypted), None
    except Exception as error:  # the client lets many kinds out
        return None, type(error).__name__


def verify(record, encrypted):
    """Only the signature, for items whose wrapping key the client cannot have. Raises if bad."""
    item = to_wire(encrypted)
    sig = item.pop(SIG)
    item.pop(DESC)
    verify_item_signature(sig, item, _delegated(record["provider"]["verification_key"]), client_config(record))


def parse_description(encrypted):
    return deserialize({"B": unb64(encrypted[DESC]["B"])})


def content_key(record):
    """The content key of a wrapped record, or None."""
    p = record["provider"]
    if p["kind"] != "wrapped" or DESC not in record["encrypted"]:
        return None
    entries = parse_description(record["encrypted"])
    wrapped = unb64(entries["amzn-ddb-env-key"])
    if entries["amzn-ddb-wrap-alg"] == "AESWrap":
        return aes_key_unwrap(key_bytes(p["unwrapping_key"]), wrapped)
    key = _delegated(p["unwrapping_key"]).unwrap(entries["amzn-ddb-wrap-alg"], wrapped, "AES", EncryptionKeyType.SYMMETRIC)
    return key.key


# ---------------------------------------------------------------------------------------------
# Alterations

def flip(text, at, bit=1):
    data = bytearray(unb64(text))
    data[at] ^= bit
    return b64(bytes(data))


def alterations(record):
    """Yield (name, altered copy of the record). Which of them a client refuses is for it to say."""
    acts = record["actions"]
    own = [n for n in sorted(record["encrypted"]) if n not in (DESC, SIG, "pk", "sk")]
    enc = [n for n in own if action_of(acts, n) == "encrypt"]
    signed = sorted((n for n in own if action_of(acts, n) == "sign"), key=lambda n: "N" not in record["encrypted"][n])
    free = [n for n in own if action_of(acts, n) == "nothing"]
    wrapped = record["provider"]["kind"] == "wrapped"
    todo = []

    def add(name, change):
        todo.append((name, change))

    def on_item(name, change):
        add(name, lambda r: change(r["encrypted"]))

    def on_bytes(name, attribute, change):
        def apply(item):
            item[attribute] = {"B": b64(change(bytearray(unb64(item[attribute]["B"]))))}
        on_item(name, apply)

    def flip_byte(at, bit=1):
        def change(data):
            data[at] ^= bit
            return bytes(data)
        return change

    def move(item, old, new):
        item[new] = item.pop(old)

    def swap(item, one, two):
        item[one], item[two] = item[two], item[one]

    def on_entries(name, change):
        def apply(item):
            entries = deserialize({"B": unb64(item[DESC]["B"])})
            change(entries)
            item[DESC] = {"B": b64(serialize(entries)["B"])}
        on_item(name, apply)

    on_bytes("sig-flip-first", SIG, flip_byte(0, 0x80))
    on_bytes("sig-flip-last", SIG, flip_byte(-1))
    on_bytes("sig-short", SIG, lambda d: bytes(d[:-1]))
    on_bytes("sig-long", SIG, lambda d: bytes(d) + b"\0")
    on_bytes("sig-empty", SIG, lambda d: b"")
    on_item("sig-missing", lambda i: i.pop(SIG))
    on_item("sig-type", lambda i: i.update({SIG: {"S": i[SIG]["B"]}}))
    on_bytes("desc-version", DESC, flip_byte(3))
    on_bytes("desc-version-first", DESC, flip_byte(0, 0x80))
    on_bytes("desc-cut-1", DESC, lambda d: bytes(d[:-1]))
    on_bytes("desc-cut-half", DESC, lambda d: bytes(d[:len(d) // 2]))
    on_bytes("desc-cut-version", DESC, lambda d: bytes(d[:3]))
    on_bytes("desc-empty", DESC, lambda d: b"")
    on_bytes("desc-length", DESC, lambda d: bytes(d[:4]) + struct.pack(">I", 0xffffffff) + bytes(d[8:]))
    on_bytes("desc-trailing", DESC, lambda d: bytes(d) + b"\0")
    on_item("desc-type", lambda i: i.update({DESC: {"S": i[DESC]["B"]}}))
    on_item("desc-missing", lambda i: i.pop(DESC))
    on_item("key-changed", lambda i: i.update({"pk": {"S": "another partition"}}))
    on_item("key-removed", lambda i: i.pop("pk"))
    on_item("added", lambda i: i.update({"added": {"S": "not there before"}}))
    add("table-changed", lambda r: r.update({"table": r["table"] + "2"}))
    kms = record["provider"]["kind"] == "kms-direct"
    if not kms:
        add("wrong-sign-key", lambda r: r["provider"].update(
            {k: wrong_key(r["provider"][k]) for k in ("signing_key", "verification_key")}))
    if kms:
        for name, at in (("first", 0), ("last", -1)):
            on_entries(f"kms-blob-flip-{name}", lambda e, at=at: e.update(
                {"amzn-ddb-env-key": flip(e["amzn-ddb-env-key"], at)}))
        on_entries("kms-blob-missing", lambda e: e.pop("amzn-ddb-env-key"))
        on_entries("content-algorithm-changed", lambda e: e.update({"amzn-ddb-env-alg": "AES/128"}))
        on_entries("signature-algorithm-changed", lambda e: e.update({"amzn-ddb-sig-alg": "HmacSHA256/128"}))
    elif wrapped:
        add("wrong-wrap-key", lambda r: r["provider"].update(
            {k: wrong_key(r["provider"][k]) for k in ("wrapping_key", "unwrapping_key")}))
        for name, at in (("first", 0), ("last", -1)):
            on_entries(f"wrapped-key-flip-{name}", lambda e, at=at: e.update(
                {"amzn-ddb-env-key": flip(e["amzn-ddb-env-key"], at)}))
        on_entries("wrapped-key-cut", lambda e: e.update({"amzn-ddb-env-key": e["amzn-ddb-env-key"][:-12]}))
        on_entries("wrapped-key-empty", lambda e: e.update({"amzn-ddb-env-key": ""}))
        on_entries("wrapped-key-missing", lambda e: e.pop("amzn-ddb-env-key"))
        on_entries("wrap-alg-missing", lambda e: e.pop("amzn-ddb-wrap-alg"))
        on_entries("wrap-alg-unknown", lambda e: e.update({"amzn-ddb-wrap-alg": "NoSuchWrap"}))
    elif record["provider"]["encryption_key"]:
        add("wrong-content-key", lambda r: r["provider"].update({"encryption_key": wrong_key(r["provider"]["encryption_key"])}))
    if enc:
        on_entries("mode-missing", lambda e: e.pop("amzn-ddb-map-sym-mode"))
        on_entries("mode-unknown", lambda e: e.update({"amzn-ddb-map-sym-mode": "/XYZ/PKCS5Padding"}))
        a = enc[0]
        on_bytes("ct-flip-iv", a, flip_byte(0))
        on_bytes("ct-flip-body", a, flip_byte(16))
        on_bytes("ct-flip-last", a, flip_byte(-1))
        on_bytes("ct-cut-block", a, lambda d: bytes(d[:-16]))
        on_bytes("ct-empty", a, lambda d: b"")
        on_item("ct-type", lambda i: i.update({a: {"S": i[a]["B"]}}))
        on_item("ct-removed", lambda i: i.pop(a))
        on_item("ct-renamed", lambda i: move(i, a, a + "2"))
        on_item("ct-swapped", lambda i: swap(i, enc[0], enc[1]))
    if signed:
        s = signed[0]
        on_item("signed-changed", lambda i: i.update({s: {"N": "4"}}))
        on_item("signed-type", lambda i: i.update({s: {"S": i[s]["N"]}}))
        on_item("signed-removed", lambda i: i.pop(s))
        on_item("signed-renamed", lambda i: move(i, s, s + "2"))
        on_item("signed-swapped", lambda i: swap(i, signed[0], signed[1]))
    if enc and signed:
        on_item("swapped-across", lambda i: swap(i, enc[0], signed[0]))
    if free:
        on_item("unsigned-changed", lambda i: i.update({free[0]: {"S": "changed"}}))

    for name, change in todo:
        altered = copy.deepcopy({k: record[k] for k in (
            "table", "partition_key", "sort_key", "actions", "provider", "encrypted")})
        change(altered)
        yield name, altered


def unprotected(name, record):
    """Whether nothing in the format protects against this alteration, so that the client accepts it."""
    sign_only = record["provider"]["kind"] == "static" and not record["provider"]["encryption_key"]
    return (name == "unsigned-changed" or (name == "added" and record["actions"]["default"] == "nothing")
            or (name == "desc-missing" and sign_only))


def altered_item():
    """What alterations() wants to start from: two encrypted attributes, and two signed ones with a number."""
    return {"pk": {"S": "altered"}, "sk": {"N": "7"},
            "a": {"S": "first secret"}, "b": {"SS": ["x", "y"]}, "c": {"N": "12.5"}, "d": {"M": {"in": {"BOOL": True}}},
            "s1": {"N": "3"}, "s2": {"N": "30"}, "s3": {"S": "in the clear"}, "u": {"S": "unsigned"}}


ALTERED_ACTIONS = (
    ("encrypt", {"s1": "sign", "s2": "sign", "s3": "sign", "u": "nothing"}),
    ("sign", {"a": "encrypt", "b": "encrypt", "c": "encrypt", "d": "encrypt", "u": "nothing"}),
    ("nothing", {"pk": "sign", "sk": "sign", "a": "encrypt", "b": "encrypt", "c": "encrypt", "d": "encrypt",
                 "s1": "sign", "s2": "sign", "s3": "sign"}),
)
ALTERED_SIGN_ONLY = ("sign", {"u": "nothing"})


# ---------------------------------------------------------------------------------------------
# Items

def sales_record(number=1):
    """The 14-attribute record that the speeds are measured with."""
    return {
        "pk": {"S": f"region#{number % 50:02d}"}, "sk": {"N": str(663_000_000 + number)},
        "country": {"S": "Vanuatu"}, "item_type": {"S": "Office Supplies"}, "channel": {"S": "Offline"},
        "priority": {"S": "H"}, "order_date": {"S": "2021-03-14"}, "ship_date": {"S": "2021-04-02"},
        "units": {"N": "8269"}, "unit_price": {"N": "651.21"}, "unit_cost": {"N": "524.96"},
        "revenue": {"N": "5384855.49"}, "cost": {"N": "4340894.24"}, "profit": {"N": "1043961.25"}}


def nest(depth, leaf=None):
    """A value with depth lists and maps around a leaf."""
    value = leaf or {"S": "innermost"}
    for level in range(depth):
        value = {"M": {"k": value, "n": {"N": str(level)}}} if level % 2 else {"L": [value]}
    return value


_TEXT = ["", "a", "plain text", "\0", "a\0b", "tab\tnew\nline", "\"quoted\\\"", "h\u00e9llo", "\u6771\u4eac", "\U0001f511", "\u0001\u007f"]


def random_number(rng):
    """At most 28 significant digits and a plain form below 1E38: what the client keeps exactly."""
    digits = rng.choice((1, 2, 5, 10, 18, 28))
    coefficient = str(rng.randrange(10 ** digits))
    sign = rng.choice(("", "", "-")) if int(coefficient) else ""
    form = rng.randrange(4)
    if form == 0:
        return sign + coefficient
    if form == 1:
        at = rng.randrange(len(coefficient) + 1)
        return sign + (coefficient[:at] or "0") + "." + (coefficient[at:] or "0")
    if form == 2:
        return f"{sign}{coefficient}E-{rng.randrange(100)}"
    return f"{sign}{coefficient}E+{rng.randrange(9)}"


def _set(rng, make, key=lambda x: x):
    return list({key(x): x for x in (make() for _ in range(rng.randrange(1, 7)))}.values())


def random_value(rng, depth=0):
    tag = rng.choice(("S", "N", "B", "BOOL", "NULL", "SS", "NS", "BS", "L", "M") if depth < 5 else ("S", "N", "B"))

    def binary(limit=40):  # bytes below 0x80, as set members above it sort differently elsewhere
        return b64(bytes(rng.randrange(128) for _ in range(rng.randrange(limit))))

    def text():
        return "".join(rng.choice(_TEXT) for _ in range(rng.randrange(4)))
    if tag == "S":
        return {tag: text() * rng.choice((1, 1, 20))}
    if tag == "N":
        return {tag: random_number(rng)}
    if tag == "B":
        return {tag: b64(rng.randbytes(rng.choice((0, 1, 9, 10, 11, 300))))}
    if tag == "BOOL":
        return {tag: rng.random() < 0.5}
    if tag == "NULL":
        return {tag: True}
    if tag == "SS":
        return {tag: _set(rng, text)}
    if tag == "NS":
        return {tag: _set(rng, lambda: random_number(rng), Decimal)}
    if tag == "BS":
        return {tag: _set(rng, binary)}
    if tag == "L":
        return {tag: [random_value(rng, depth + 1) for _ in range(rng.randrange(4))]}
    return {tag: {f"k{i}{rng.choice(_TEXT)}": random_value(rng, depth + 1) for i in range(rng.randrange(4))}}


def random_item(rng, names="abcdefgh"):
    """An item of attributes a..h, of which a list of actions may name any."""
    item = {"pk": {"S": f"p{rng.randrange(10 ** 9)}"}, "sk": {"N": str(rng.randrange(10 ** 6))}}
    item.update({name: random_value(rng) for name in names if rng.random() < 0.9})
    return item


def divergent_items():
    """(id, item, actions): where the client's own rules differ from the other library's."""
    number = "12345678901234567890123456789012345678"
    wide = {
        "number-29-digits": {"n": {"N": "12345678901234567890123456789"}},
        "number-38-digits": {"n": {"N": number}},
        "number-38-digits-negative-fraction": {"n": {"N": "-0." + number}},
        "number-set-38-digits": {"n": {"NS": [number, "5"]}},
        "number-nested-38-digits": {"n": {"L": [{"M": {"x": {"N": number}}}]}},
        "number-half-even-down": {"n": {"N": "10000000000000000000000000005"}},
        "number-half-even-up": {"n": {"N": "10000000000000000000000000015"}},
        "number-half-even-over": {"n": {"N": "10000000000000000000000000005000000001"}},
        "number-round-carry": {"n": {"N": "99999999999999999999999999999"}},
        "negative-zero": {"n": {"N": "-0"}},
        "negative-zero-point": {"n": {"N": "-0.00"}},
        "negative-zero-exponent": {"n": {"N": "-0E-10"}},
        "negative-zero-set": {"n": {"NS": ["-0", "1"]}},
        "negative-zero-nested": {"n": {"M": {"x": {"L": [{"N": "-0"}]}}}},
        "binary-set-high-bytes": {"n": {"BS": [b64(b"\xff"), b64(b"\x80"), b64(b"\x01"), b64(b"\x7f"), b64(b"\x01\x80")]}},
        "string-set-utf16-order": {"n": {"SS": ["\U0001f511", "\uff5e", "z"]}},
        "map-key-utf16-order": {"n": {"M": {"\U0001f511": {"N": "1"}, "\uff5e": {"N": "2"}}}},
        "attribute-name-utf16-order": {"\U0001f511": {"N": "1"}, "\uff5e": {"N": "2"}},
    }
    for name, attributes in wide.items():
        for default in ("encrypt", "sign"):
            item = {"pk": {"S": "divergent"}, "sk": {"N": "1"}, **attributes}
            yield f"{name}-{default}", item, actions(default)
