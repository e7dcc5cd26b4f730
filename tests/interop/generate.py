"""Make ddbec-python.json: items that the real Python client encrypted, and altered ones it refused.

    generate.py             write ddbec-python.json and COVERAGE.md beside this file
    generate.py --coverage  print the coverage table of the present vector files

The keys and items are fixed, and the client's random bytes are replaced by a stream that depends on
the item's id only. So the same versions give the same file, and a new item changes one line.
"""
import collections
import json
import os
import random
import sys
from decimal import Decimal

import ddbec_peer as peer
import generate_esdk
from dynamodb_encryption_sdk.internal.crypto.authentication import _string_to_sign
from dynamodb_encryption_sdk.internal.formatting.deserialize.attribute import deserialize_attribute
from dynamodb_encryption_sdk.internal.formatting.serialize.attribute import serialize_attribute

HERE = os.path.dirname(os.path.abspath(__file__))
VECTORS = os.path.join(HERE, "ddbec-python.json")
KEYS_VECTORS = ("ddbec-python-keys.json", "ddbec-java.json")  # generate_keys.py makes them
COVERAGE = os.path.join(HERE, "COVERAGE.md")
ORIGIN = "made with the Python DynamoDB Encryption Client 3.3.0"
TABLES = ("Orders", "T", "t\u00e4ble", "\u6ce8\u6587\u66f8", "\U0001f511 keys", "with space/and:marks <TABLE>")
NUMBERS = (
    "0 1 -1 10 100 00012.3400 55.00 1E+3 1e3 -1E3 +7 .5 5. 0E5 0.0 -.25 0.000001 123456789.987654321 "
    "1E-130 -1E-130 9.99E-5 1.5E-100 1E37 -9.999999999999999999999999999E37 1E125 -9.9E125 "
    "1234567890123456789012345678 -1234567890123456789012345678 12345678901234.56789012345678 "
    "0.1234567890123456789012345678 1234567890123456789012345678E9 9999999999999999999999999999 "
    "10000000000000000000000000000 12345678901234567890123456780000000000").split()
STRINGS = ("", "a", "\0", "a\0b\0", "\u00e9", "e\u0301", "\u6771\u4eac", "\U0001f511", "\U0010ffff", "\uffff", "\ufeffmark",
           "line\nline\r\n\ttab", "\"quotes\" and \\backslash\\", "</script>", "\u2028\u2029", "\x7f\x80\x9f", "fifteen bytes..",
           "ten bytes.", "nine byte", "x" * 1000)


def b(data):
    return {"B": peer.b64(data)}


def shapes():
    """name -> attributes. Every shape has a, b, c … so that one list of overrides fits all."""
    letters = "abcdefghijklmnopqrstuvwxyz"

    def named(values):
        return {letters[i] if i < 26 else f"z{i}": v for i, v in enumerate(values)}
    yield "keys-only", {}
    yield "all-types", named([
        {"S": "text"}, {"N": "-12.50"}, b(b"\0\1\2\xfe\xff"), {"BOOL": True}, {"BOOL": False}, {"NULL": True},
        {"SS": ["beta", "alpha"]}, {"NS": ["3", "-1.50", "20"]}, {"BS": [peer.b64(b"b"), peer.b64(b"a")]},
        {"L": [{"S": "x"}, {"N": "1"}]}, {"M": {"b": {"N": "2"}, "a": {"S": "y"}}}])
    yield "strings", named({"S": s} for s in STRINGS)
    yield "numbers", named({"N": n} for n in NUMBERS)
    yield "binaries", named(b(bytes(range(256))[:n]) for n in (0, 1, 8, 9, 10, 15, 16, 17, 31, 32, 255))
    yield "empties", named([{"S": ""}, b(b""), {"L": []}, {"M": {}}, {"L": [{"L": []}, {"M": {}}, {"S": ""}]}, {"M": {"": {"S": ""}}}])
    yield "empty-sets", named([{"SS": []}, {"NS": []}, {"BS": []}])
    yield "sets", named([
        {"SS": ["b", "a", "aa", "B", "", "\u00e9", "z", "\u6771"]}, {"SS": ["only"]},
        {"NS": ["55.2", "34", "35.0", "1.230", "-3", "1E2", "0"]}, {"NS": ["9", "10", "-9", "-10", "0.9", "1E-5"]},
        {"BS": [peer.b64(x) for x in (b"ab", b"a", b"", b"\0", b"\0\0", b"\x7f", b"b")]},
        {"SS": [f"member {i:02d}" for i in range(40, 0, -1)]}])
    yield "nested", named([
        {"L": [{"L": [{"L": [{"N": "1.0"}]}]}, {"M": {"z": {"NULL": True}, "y": {"BOOL": False}}}]},
        {"M": {"list": {"L": [b(b"\xff\0"), {"SS": ["b", "a"]}, {"NS": ["2", "1"]}]}, "map": {"M": {"m": {"M": {}}}}}},
        peer.nest(1), peer.nest(8), {"M": {"\0": {"S": "\0"}, "": {"N": "0"}, "\U0001f511": {"S": "k"}, "a": {"N": "1E3"}}}])
    yield "deep", named([peer.nest(31), peer.nest(32, {"N": "1.50"}), peer.nest(16)])
    yield "sales", {k: v for k, v in peer.sales_record().items() if k not in ("pk", "sk")}
    yield "names", {"a": {"S": "1"}, "\u00e9": {"S": "2"}, "\u540d\u524d": {"N": "3"}, "\U0001f511": {"S": "4"}, "A": {"S": "5"}, "a.b-c_d": {"S": "6"},
                    "*amzn-ddb-map-sig": {"S": "7"}, "x" * 255: {"S": "8"}, "with space": {"S": "9"}, "nul\0": {"S": "10"}}


SHAPES = dict(shapes())
# Sorted differently elsewhere, so only ever encrypted here; the signed ones are in class divergent.
ENCRYPTED_ONLY = {
    "orders": {"a": {"SS": ["\U0001f511", "\uff5e", "z"]}, "b": {"BS": [peer.b64(x) for x in (b"\xff", b"\x80", b"\1", b"\1\x80")]},
               "c": {"M": {"\U0001f511": {"N": "1"}, "\uff5e": {"N": "2"}}}},
    "large": {"a": b(bytes(i * 7 % 256 for i in range(40000))), "b": {"S": "\u6771" * 5000}},
}
KEY_TYPES = ({"S": "partition"}, {"N": "12.0"}, b(b"\x80key"))
ACTION_SETS = {
    "encrypt": peer.actions("encrypt"),
    "encrypt-mixed": peer.actions("encrypt", {"b": "sign", "c": "nothing", "e": "sign", "units": "sign", "channel": "nothing"}),
    "sign-mixed": peer.actions("sign", {"a": "encrypt", "c": "encrypt", "d": "nothing", "priority": "encrypt", "profit": "encrypt"}),
    "nothing-mixed": peer.actions("nothing", {"a": "encrypt", "b": "sign", "f": "encrypt", "units": "encrypt", "country": "sign"}),
    "nothing-keys": peer.actions("nothing", {"pk": "sign", "sk": "sign", "d": "encrypt", "cost": "encrypt"}),
    "index-keys": peer.actions("encrypt", {"c": "nothing"}, ("pk", "sk", "a", "b")),
    "sign": peer.actions("sign"),
    "sign-nothing": peer.actions("nothing", {"a": "sign", "pk": "sign", "country": "sign"}),
}
WITHOUT_CONTENT = ("sign", "sign-nothing")
DESCRIPTION = {"owner": "orders team", "\u00e9tat": "\U0001f511", "empty": ""}


def made(name, cls, provider, attributes, acts, table="Orders", bits=256, description=None, sort=True, key=0):
    """One item made by the client, decrypted by it again and compared with what went in."""
    record = {"id": f"items/python/{name}", "origin": ORIGIN, "lang": "python", "class": cls, "table": table,
              "partition_key": "pk", "sort_key": "sk" if sort else None, "actions": acts, "provider": provider}
    item = {"pk": KEY_TYPES[key], **({"sk": {"N": "7"}} if sort else {}), **attributes}
    os.urandom = random.Random(record["id"]).randbytes
    record["encrypted"] = peer.encrypt(record, item, bits, description)
    if peer.DESC in record["encrypted"]:
        record["description"] = peer.parse_description(record["encrypted"])
    plain = peer.content_key(record)
    if plain:
        record["content_key"] = peer.b64(plain)
    record.update({"expect": "ok", "plaintext": peer.decrypt(record), "peers": {"python": "ok"}})
    if cls == "divergent":
        record["input"] = item
    else:
        assert peer.canonical(record["plaintext"]) == peer.canonical(item), record["id"]
    return record


def altered(record):
    """The record's alterations. The client must refuse all but those that nothing protects."""
    for name, change in peer.alterations(record):
        plaintext, refused = peer.try_decrypt(change)
        assert bool(refused) != peer.unprotected(name, record), (record["id"], name, refused)
        new = {"id": f"{record['id']}/{name}".replace("/python/", "/altered/python/"),
               "origin": f"altered copy of {record['id']}", "lang": "python", "class": "altered-" + record["class"], **change,
               "expect": "refuse" if refused else "policy", "plaintext": plaintext,
               "peers": {"python": f"refused: {refused}" if refused else "ok"}}
        try:
            new["description"] = peer.parse_description(change["encrypted"])
        except Exception:  # none, or altered beyond reading: the record has none either
            pass
        yield new


def providers():
    """(label, class, provider, content key bits) of every supported combination."""
    for mac in peer.MACS:
        for wrap in peer.AES_BITS:
            for bits in peer.AES_BITS:
                yield f"aes{wrap}-{mac}-{bits}", "wrapped-aes", peer.wrapped_provider(f"wrap{wrap}", mac), bits
        for bits in peer.AES_BITS:
            yield f"static{bits}-{mac}", "static", peer.static_provider(f"content{bits}", mac), bits
        yield f"static-none-{mac}", "static", peer.static_provider(None, mac), None


def items():
    # every combination of keys with some shapes and actions, taken in turn
    small = [s for s in SHAPES if s not in ("deep", "strings", "numbers", "names")]
    turn = 0
    for label, cls, provider, bits in providers():
        for _ in range(3):
            names = [a for a in ACTION_SETS if bits or a in WITHOUT_CONTENT]
            shape, acts, table = small[turn % len(small)], names[turn % len(names)], TABLES[turn % len(TABLES)]
            yield made(f"{label}/{shape}/{acts}/{turn}", cls, provider, SHAPES[shape], ACTION_SETS[acts], table, bits,
                       sort=turn % 4 != 3, key=turn % 3)
            turn += 1
    # every shape with every list of actions, under one provider of each kind
    wrapped = peer.wrapped_provider("wrap256", "HmacSHA256")
    static = peer.static_provider("content256", "HmacSHA256")
    for shape in SHAPES:
        for i, acts in enumerate(ACTION_SETS):
            label, cls, provider = (("wrapped", "wrapped-aes", wrapped), ("static", "static", static))[i % 2]
            yield made(f"shapes/{label}/{shape}/{acts}", cls, provider, SHAPES[shape], ACTION_SETS[acts])
    for label, cls, provider in (("wrapped", "wrapped-aes", wrapped), ("static", "static", static)):
        yield made(f"shapes/{label}/orders/encrypt", cls, provider, ENCRYPTED_ONLY["orders"], ACTION_SETS["encrypt"])
        for i, table in enumerate(TABLES):
            yield made(f"tables/{label}/{i}", cls, provider, SHAPES["all-types"], ACTION_SETS["encrypt-mixed"], table)
        for acts in ("encrypt", "sign"):
            yield made(f"description/{label}/{acts}", cls, provider, SHAPES["sales"], ACTION_SETS[acts], description=DESCRIPTION)
        yield made(f"untouched/{label}", cls, provider, SHAPES["all-types"], peer.actions("nothing"))
    yield made("shapes/wrapped/large/encrypt", "wrapped-aes", wrapped, ENCRYPTED_ONLY["large"], ACTION_SETS["encrypt"])
    for name, item, acts in peer.divergent_items():
        attributes = {k: v for k, v in item.items() if k not in ("pk", "sk")}
        yield made(f"divergent/{name}", "divergent", wrapped, attributes, acts)


def alteration_bases():
    """The items that are altered; they are in the file unaltered too."""
    start = {k: v for k, v in peer.altered_item().items() if k not in ("pk", "sk")}
    for wrap, mac, bits, chosen in ((128, "HmacSHA224", 256, 0), (192, "HmacSHA384", 128, 1), (256, "HmacSHA256", 256, 0), (256, "HmacSHA512", 192, 2)):
        yield made(f"base/aes{wrap}-{mac}-{bits}", "wrapped-aes", peer.wrapped_provider(f"wrap{wrap}", mac), start,
                   peer.actions(*peer.ALTERED_ACTIONS[chosen]), bits=bits)
    for content, mac, chosen in ((128, "HmacSHA512", 2), (192, "HmacSHA224", 1), (256, "HmacSHA256", 0)):
        yield made(f"base/static{content}-{mac}", "static", peer.static_provider(f"content{content}", mac), start,
                   peer.actions(*peer.ALTERED_ACTIONS[chosen]))
    yield made("base/static-none-HmacSHA256", "static", peer.static_provider(None, "HmacSHA256"), start,
               peer.actions(*peer.ALTERED_SIGN_ONLY))


def blocks():
    """The building blocks: single values both ways, descriptions, and what is signed."""
    values = {f"{shape}/{n}": v for shape in ("all-types", "strings", "numbers", "binaries", "empties", "empty-sets", "sets", "nested", "deep")
              for n, v in SHAPES[shape].items()}
    values.update({f"orders/{n}": v for n, v in ENCRYPTED_ONLY["orders"].items()})
    out = collections.defaultdict(list)
    for name, value in values.items():
        wire = serialize_attribute(peer.to_wire({"v": value})["v"])
        out["serialize_attribute"].append({"id": f"serialize/{name}", "attribute": value, "serialized": peer.b64(wire)})
        back = peer.to_json({"v": deserialize_attribute(wire)})["v"]
        out["deserialize_attribute"].append({"id": f"deserialize/{name}", "serialized": peer.b64(wire), "attribute": back})
    bad = {"empty": b"", "one-byte": b"\0", "tag-first-byte": b"\1s\0\0\0\0", "unknown-tag": b"\0x", "short-length": b"\0s\0\0\0",
           "short-text": b"\0s\0\0\0\2a", "huge-length": b"\0s\xff\xff\xff\xff", "bool-2": b"\0?\2", "bool-missing": b"\0?",
           "set-short": b"\0S\0\0\0\2\0\0\0\1a", "list-short": b"\0L\0\0\0\1", "list-huge": b"\0L\xff\xff\xff\xff",
           "map-key-number": b"\0M\0\0\0\1\0n\0\0\0\0011\0\0", "map-value-missing": b"\0M\0\0\0\1\0s\0\0\0\1a", "not-utf8": b"\0s\0\0\0\1\xff"}
    for name, wire in bad.items():
        try:
            deserialize_attribute(wire)
        except Exception:  # many kinds, all of them a refusal
            out["deserialize_attribute"].append({"id": f"deserialize/bad/{name}", "serialized": peer.b64(wire), "expect": "refuse"})
        else:
            raise AssertionError(f"the client reads {name}")
    for name, entries in {"empty": {}, "one": {"a": "b"}, "several": DESCRIPTION, "sorted": {"b": "2", "a": "1", "B": "3", "\uff5e": "4", "\U0001f511": "5"}}.items():
        out["material_description"].append({"id": f"description/{name}", "op": "both", "description": entries,
                                            "serialized": peer.b64(peer.serialize(entries)["B"])})
    for name, wire in {"no-version": b"", "short-version": b"\0\0\0", "version-1": b"\0\0\0\1", "name-only": b"\0\0\0\0\0\0\0\1a",
                       "short-value": b"\0\0\0\0\0\0\0\1a\0\0\0\2b", "huge": b"\0\0\0\0\xff\xff\xff\xff"}.items():
        try:
            peer.deserialize({"B": wire})
        except Exception:
            out["material_description"].append({"id": f"description/bad/{name}", "op": "refuse", "serialized": peer.b64(wire)})
        else:
            raise AssertionError(f"the client reads {name}")
    for shape in SHAPES:
        for acts in ("encrypt-mixed", "nothing-keys", "sign"):
            table = TABLES[len(out["string_to_sign"]) % len(TABLES)]
            item = {"pk": KEY_TYPES[0], **SHAPES[shape]}
            chosen = ACTION_SETS[acts]
            stored = {n: b(b"sixteen byte IV." + n.encode()) if peer.action_of(chosen, n) == "encrypt" else v for n, v in item.items()}
            out["string_to_sign"].append({
                "id": f"string-to-sign/{shape}/{acts}", "table": table,
                "attributes": {n: {"value": v, "action": peer.action_of(chosen, n)} for n, v in stored.items()},
                "string_to_sign": peer.b64(_string_to_sign(peer.to_wire(stored), table, peer.client_actions(chosen["default"], chosen["attributes"])))})
    return out


def write():
    bases = list(alteration_bases())
    records = list(items()) + bases + [a for base in bases for a in altered(base)]
    out = blocks()
    ids = [r["id"] for part in (records, *out.values()) for r in part]
    assert len(ids) == len(set(ids)), [i for i, n in collections.Counter(ids).items() if n > 1]
    lists = {k: out[k] for k in ("serialize_attribute", "deserialize_attribute", "material_description", "string_to_sign", "hkdf")}
    lists["items"] = records
    temporary = VECTORS + ".new"
    with open(temporary, "w", encoding="ascii") as f:
        f.write('{"format": "ddbec-vectors-1",\n"keys": ')
        json.dump(peer.KEYS, f)
        for name, members in lists.items():
            f.write(f',\n"{name}": [' + ",".join("\n" + json.dumps(m) for m in members) + "\n]")
        f.write("\n}\n")
    os.replace(temporary, VECTORS)


def value_types(value):
    (tag, inner), = value.items()
    yield tag
    for child in inner if tag == "L" else inner.values() if tag == "M" else ():
        yield from value_types(child)


def table(title, head, rows):
    yield from ("", f"## {title}", "", "| " + " | ".join(head) + " |", "|" + "---|" * len(head))
    for row in rows:
        yield "| " + " | ".join(str(x) for x in row) + " |"


def keys_coverage(name):
    """The same for a file of generate_keys.py, where it is the keys that differ."""
    with open(os.path.join(HERE, name), encoding="ascii") as f:
        records = json.load(f)["items"]

    def keys(r):
        p, entries = r["provider"], r.get("description", {})
        bits = entries.get("amzn-ddb-env-alg", "-")
        if p["kind"] == "kms-direct":
            return "KMS", "kms", bits, entries["amzn-ddb-sig-alg"]
        if p["kind"] == "static":
            return p["encryption_key"] or "no content key", "static", "-", p["signature_algorithm"]
        return p["unwrapping_key"].split("-")[0], entries.get("amzn-ddb-wrap-alg", "-"), bits, p["signature_algorithm"]
    yield f"\n# What {name} covers"
    yield ""
    yield "Written by `generate_keys.py`; not to be edited by hand."
    classes = sorted(collections.Counter((r["class"], r["expect"]) for r in records).items())
    yield from table("Items", ("class", "expect", "items"), [(*k, n) for k, n in classes] + [("all", "", len(records))])
    count = collections.Counter(keys(r) for r in records if r["expect"] == "ok")
    yield from table("Keys: items that decrypt", ("key", "wrapped by", "content key", "signature", "items"), [(*k, n) for k, n in sorted(count.items())])
    alter = collections.Counter((r["id"].rsplit("/", 1)[1], r["class"], r["expect"]) for r in records if r["class"].startswith("altered-"))
    yield from table("Alterations", ("alteration", "class", "expect", "items"), [(*k, n) for k, n in sorted(alter.items())])


def coverage():
    """The coverage tables as Markdown lines, counted from the files themselves."""
    with open(VECTORS, encoding="ascii") as f:
        vectors = json.load(f)
    records = vectors["items"]
    good = [r for r in records if r["expect"] == "ok"]

    def keys(r):
        """(how the content key is had, MAC, content key bits)"""
        p = r["provider"]
        mac = p["signature_algorithm"]
        if p["kind"] == "static":
            return ("static", mac, p["encryption_key"][-3:] if p["encryption_key"] else "none")
        bits = r.get("description", {}).get("amzn-ddb-env-alg", "AES/-")[4:]
        return (f"AES-{p['wrapping_key'][-3:]} wrap", mac, bits)
    yield "# What ddbec-python.json covers"
    yield ""
    yield "Written by `generate.py`; not to be edited by hand."
    classes = sorted(collections.Counter((r["class"], r["expect"]) for r in records).items())
    yield from table("Items", ("class", "expect", "items"), [(*k, n) for k, n in classes] + [("all", "", len(records))])
    yield from table("Building blocks", ("list", "entries"), [(k, len(v)) for k, v in vectors.items() if isinstance(v, list) and k != "items"])
    count = collections.Counter(keys(r) for r in good)
    rows = [(w, bits, *(count[w, m, bits] for m in peer.MACS)) for w, bits in sorted({(w, c) for w, _, c in count})]
    yield from table("Keys: items that decrypt ('-': untouched items)", ("key", "content bits", *peer.MACS), rows)
    types = collections.Counter()
    for r in good:
        for name, value in r["plaintext"].items():
            action = peer.action_of(r["actions"], name)
            types.update({(t, action) for t in value_types(value)})
    tags = ("S", "N", "B", "BOOL", "NULL", "SS", "NS", "BS", "L", "M")
    yield from table("Types: attributes that hold one, by action", ("type", *peer.ACTIONS), [(t, *(types[t, a] for a in peer.ACTIONS)) for t in tags])
    by = collections.Counter((r["actions"]["default"], r["class"]) for r in records)
    names = sorted({c for _, c in by})
    yield from table("Default action by class", ("default", *names), [(d, *(by[d, c] for c in names)) for d in peer.ACTIONS])
    alter = collections.Counter()
    for r in records:
        if r["class"].startswith("altered-"):
            alter[r["id"].rsplit("/", 1)[1], r["class"], r["expect"]] += 1
    kinds = [(c, e) for c in ("altered-wrapped-aes", "altered-static") for e in ("refuse", "policy")]
    yield from table("Alterations", ("alteration", *(f"{c} {e}" for c, e in kinds)),
                     [(a, *(alter[a, c, e] for c, e in kinds)) for a in sorted({k[0] for k in alter})])
    for name in KEYS_VECTORS:
        yield from keys_coverage(name)
    yield from generate_esdk.coverage(table)


if __name__ == "__main__":
    if sys.argv[1:] == ["--coverage"]:
        print("\n".join(coverage()))
    elif sys.argv[1:]:
        sys.exit("usage: generate.py [--coverage]")
    else:
        write()
        with open(COVERAGE, "w", encoding="utf-8") as out_file:
            out_file.write("\n".join(coverage()) + "\n")
