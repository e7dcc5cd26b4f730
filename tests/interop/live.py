"""Two-way test of the command keybridge against the real Python client.

    live.py --keybridge PATH_TO_COMMAND [--seed N] [--items N]

What one encrypts the other must decrypt, what one refuses the other must refuse. Keys are the test
keys of ddbec_peer.py, imported into a token of a temporary KEYBRIDGE_HOME. One line per check;
the last line is "N passed, N failed". Exits 1 on failure.
"""
import argparse
import copy
import json
import os
import random
import re
import sys
import tempfile

import ddbec_peer as peer
from bridge import Checks, Command

CLI_ACTIONS = {"encrypt": "ENCRYPT_AND_SIGN", "sign": "SIGN_ONLY", "nothing": "DO_NOTHING"}
# default, overrides, further index keys; for items of attributes a..h
ACTION_SETS = (
    ("encrypt", {}, ()),
    ("encrypt", {"b": "sign", "c": "nothing", "e": "sign"}, ()),
    ("encrypt", {"c": "nothing", "b": "sign"}, ("a", "b")),
    ("sign", {"a": "encrypt", "d": "nothing", "g": "encrypt"}, ()),
    ("nothing", {"a": "encrypt", "b": "sign", "f": "encrypt"}, ()),
    ("nothing", {"pk": "sign", "sk": "sign", "h": "encrypt"}, ()),
)
SIGN_ONLY_SETS = (("sign", {}, ()), ("sign", {"d": "nothing"}, ("a",)), ("nothing", {"pk": "sign", "a": "sign"}, ()))
TABLES = ("Orders", "t\u00e4ble", "\U0001f511 keys")
WEAK_KEY = {"kind": "hmac", "algorithm": "HmacSHA256", "encoding": "raw", "material": peer.b64(b"TESTweak")}


class Bridge(Command):
    """The command with the test keys, and the options of records."""

    def import_key(self, name, key, use, form, *more):
        data = peer.unb64(key["material"])
        path = self.file("key", data if form == "raw" else data.hex().encode())
        kind = f"aes-{len(data) * 8}" if key["kind"] == "aes" else "hmac-sha" + key["algorithm"][-3:]
        result = self.run("key", "import", name, "--use", use, "--type", kind, "--in", path, "--format", form, *more)
        os.unlink(path)
        return result

    def set_up(self):
        self.init()
        uses = {"wrap": "wrap", "content": "content", "sign": "sign", "wrongSign": "sign"}
        for i, (name, key) in enumerate(peer.KEYS.items()):
            stem = name[:-3]
            for use in ("wrap", "content") if stem == "wrong" else (uses[stem],):
                # one name, one use: a wrong key is wanted for two
                code, _, err = self.import_key(f"{name}-{use}" if stem == "wrong" else name, key, use, ("raw", "hex")[i % 2])
                if code:
                    raise SystemExit(f"live.py: key import {name}: exit {code}: {err.strip()}")

    def options(self, record, acts=None):
        """The command's options that mean the same as the record. acts: (default, overrides, index keys)."""
        p, acts = record["provider"], acts or (record["actions"]["default"], record["actions"]["attributes"], ())
        content = {"default": CLI_ACTIONS[acts[0]], "attributes": {k: CLI_ACTIONS[v] for k, v in acts[1].items()}}
        args = ["--format", "ddbec", "--table", record["table"], "--partition-key", "pk", "--sort-key", "sk",
                "--sign-key", p["signing_key"], "--provider", p["kind"],
                "--actions", self.file("actions.json", json.dumps(content).encode())]
        for name in acts[2]:
            args += ["--index-key", name]
        if p["kind"] == "wrapped":
            name = p["wrapping_key"]
            args += ["--wrap-key", f"{name}-wrap" if name.startswith("wrong") else name]
        elif p["encryption_key"]:
            name = p["encryption_key"]
            args += ["--content-key", f"{name}-content" if name.startswith("wrong") else name]
        return args

    def encrypt(self, record, items, *more, acts=None):
        """Encrypted items, all of them, or AssertionError."""
        return self.all_good("encrypt", record, items, more, acts)

    def decrypt(self, record, items, *more, acts=None):
        return self.all_good("decrypt", record, items, more, acts)

    def all_good(self, verb, record, items, more, acts):
        lines = [json.dumps(item, ensure_ascii=i % 2 == 0) for i, item in enumerate(items)]
        code, out, err = self.run("item", verb, *self.options(record, acts), *more, lines=lines)
        assert code == 0, f"{verb}: exit {code}: {err.strip()}"
        assert len(out) == len(items), f"{verb}: {len(items)} items in, {len(out)} out"
        return [json.loads(line) for line in out]


def same(found, wanted, what):
    assert peer.canonical(found) == peer.canonical(wanted), \
        f"{what}: item differs: {json.dumps(found)[:500]} instead of {json.dumps(wanted)[:500]}"


def record_of(provider, acts, table="Orders"):
    default, overrides, index_keys = acts
    return {"table": table, "partition_key": "pk", "sort_key": "sk", "provider": provider,
            "actions": peer.actions(default, overrides, ("pk", "sk", *index_keys))}


def check_protected(record, encrypted, item):
    """The item is what its actions say: encrypted attributes are not in it, the others unchanged."""
    assert set(encrypted) == set(item) | {peer.DESC, peer.SIG}, f"attributes {sorted(encrypted)}"
    for name, value in item.items():
        if peer.action_of(record["actions"], name) == "encrypt":
            assert set(encrypted[name]) == {"B"} and len(peer.unb64(encrypted[name]["B"])) % 16 == 0, f"{name} is not encrypted"
        else:
            same({name: encrypted[name]}, {name: value}, name)


def combinations():
    for mac in peer.MACS:
        for wrap in peer.AES_BITS:
            for bits in peer.AES_BITS:
                yield f"wrap {wrap}, {mac}, content {bits}", peer.wrapped_provider(f"wrap{wrap}", mac), bits
        for bits in peer.AES_BITS:
            yield f"static {bits}, {mac}", peer.static_provider(f"content{bits}", mac), None
        yield f"static without content key, {mac}", peer.static_provider(None, mac), None


def action_sets(provider):
    return ACTION_SETS if provider["kind"] == "wrapped" or provider["encryption_key"] else SIGN_ONLY_SETS


def ours_to_python(bridge, rng, provider, bits, count):
    sets = action_sets(provider)
    for i, acts in enumerate(sets):
        record = record_of(provider, acts, TABLES[i % len(TABLES)])
        items = [peer.random_item(rng) for _ in range(count)]
        more = ["--sign-alg", provider["signature_algorithm"]] if i % 2 else []
        more += ["--content-key-bits", str(bits)] if bits else []
        for encrypted, item in zip(bridge.encrypt(record, items, *more, acts=acts), items):
            check_protected(record, encrypted, item)
            same(peer.decrypt(record, encrypted), item, f"actions {i}")
            if bits:
                size = len(peer.content_key({**record, "encrypted": encrypted})) * 8
                assert size == bits, f"content key of {size} bits"
    return f"{count * len(sets)} items"


def python_to_ours(bridge, rng, provider, bits, count):
    sets = action_sets(provider)
    for i, acts in enumerate(sets):
        record = record_of(provider, acts, TABLES[i % len(TABLES)])
        items = [peer.random_item(rng) for _ in range(count)]
        encrypted = [peer.encrypt(record, item, bits or 256) for item in items]
        for plaintext, item in zip(bridge.decrypt(record, encrypted, acts=acts), items):
            same(plaintext, item, f"actions {i}")
    return f"{count * len(sets)} items"


# ---------------------------------------------------------------------------------------------
# What must be refused

def altered_bases():
    """(name, record, item, actions)"""
    for i, bits in enumerate(peer.AES_BITS):
        yield f"wrapped {bits}", peer.wrapped_provider(f"wrap{bits}", peer.MACS[i + 1]), peer.ALTERED_ACTIONS[i]
    yield "static 256", peer.static_provider("content256", "HmacSHA256"), peer.ALTERED_ACTIONS[0]
    yield "static without content key", peer.static_provider(None, "HmacSHA224"), peer.ALTERED_SIGN_ONLY


def check_alteration(bridge, record, name, altered):
    plaintext, refused = peer.try_decrypt(altered)
    assert bool(refused) != peer.unprotected(name, record), f"{name}: the Python client: {refused or 'accepted'}"
    code, out, err = bridge.run("item", "decrypt", *bridge.options(altered), lines=[json.dumps(altered["encrypted"])])
    if refused or code:
        assert code == 4, f"{name}: exit {code} instead of 4: {err.strip()}"
        assert not out, f"{name}: refused, but printed {out[0][:200]}"
        assert err.strip(), f"{name}: refused without a word"
    else:  # nothing protects it: the same plaintext, or refused
        same(json.loads(out[0]), plaintext, name)


def alterations(bridge, record):
    faults, count = [], 0
    for name, altered in peer.alterations(record):
        count += 1
        try:
            check_alteration(bridge, record, name, altered)
        except AssertionError as error:
            faults.append(str(error))
    assert not faults, "; ".join(faults)
    return f"{count} alterations"


def some_bad_lines(bridge, record, item):
    """Altered lines among good ones: exit 8, the good ones printed in order, the others named."""
    lines, bad, good = [], set(), []
    for name, altered in peer.alterations(record):
        if altered["provider"] != record["provider"] or altered["table"] != record["table"] or peer.unprotected(name, record):
            continue
        lines.append(json.dumps(altered["encrypted"]))
        bad.add(len(lines))
        if len(lines) % 3:
            lines.append(json.dumps(record["encrypted"]))
            good.append(item)
    for broken in ("not json", "{", '{"a":{"S":"x"},"a":{"S":"y"}}', '{"a":{"Q":"x"}}', '{"a":{}}', "[]"):
        lines.append(broken)
        bad.add(len(lines))
    for workers in ("1", "4"):
        code, out, err = bridge.run("item", "decrypt", *bridge.options(record), "--workers", workers, lines=lines)
        assert code == 8, f"exit {code} instead of 8: {err.strip()[:500]}"
        assert len(out) == len(good), f"{len(out)} good lines instead of {len(good)}"
        for line, wanted in zip(out, good):
            same(json.loads(line), wanted, "good line")
        named = {int(n) for n in re.findall(r"^.*?\bline (\d+)", err, re.M)}
        assert named == bad, f"stderr names lines {sorted(named ^ bad)} wrongly: {err.strip()[:500]}"
    return f"{len(bad)} bad lines of {len(lines)}"


def only_bad_lines(bridge, record):
    bad = {**record["encrypted"], peer.SIG: {"B": peer.flip(record["encrypted"][peer.SIG]["B"], 0)}}
    path = os.path.join(bridge.files, "out")
    for name, lines in (("one", [bad]), ("three", [bad] * 3)):
        code, out, err = bridge.run("item", "decrypt", *bridge.options(record), "-o", path, lines=[json.dumps(x) for x in lines])
        assert code == 4 and not out, f"{name}: exit {code} instead of 4: {err.strip()}"
        assert not os.path.exists(path), f"{name}: nothing was good, yet the output file exists"


# ---------------------------------------------------------------------------------------------
# Single features

def untouched(bridge, rng):
    acts = ("nothing", {}, ())
    record = record_of(peer.wrapped_provider("wrap256", "HmacSHA256"), acts)
    items = [peer.random_item(rng) for _ in range(3)]
    for verb in (bridge.encrypt, bridge.decrypt):
        for found, item in zip(verb(record, items), items):
            same(found, item, verb.__name__)


def own_description(bridge, rng):
    for provider in (peer.wrapped_provider("wrap256", "HmacSHA256"), peer.static_provider("content256", "HmacSHA256")):
        record, item = record_of(provider, ACTION_SETS[1]), peer.random_item(rng)
        entries = {"owner": "orders team", "n\u00e4me": "\U0001f511", "equals": "a=b"}
        more = [x for k, v in entries.items() for x in ("--description", f"{k}={v}")]
        encrypted, = bridge.encrypt(record, [item], *more)
        found = peer.parse_description(encrypted)
        assert entries.items() <= found.items(), f"description {found}"
        same(peer.decrypt(record, encrypted), item, "ours")
        same(bridge.decrypt(record, [peer.encrypt(record, item, description=entries)])[0], item, "theirs")


def renamed_attributes(bridge, rng):
    record, item = record_of(peer.wrapped_provider("wrap256", "HmacSHA256"), ACTION_SETS[1]), peer.random_item(rng)
    names = ("--description-attribute", "my-desc", "--signature-attribute", "my-sig")
    encrypted, = bridge.encrypt(record, [item], *names)
    assert {"my-desc", "my-sig"} <= set(encrypted) and peer.SIG not in encrypted and peer.DESC not in encrypted, sorted(encrypted)
    same(bridge.decrypt(record, [encrypted], *names)[0], item, "ours")
    usual = dict(encrypted)
    usual[peer.DESC], usual[peer.SIG] = usual.pop("my-desc"), usual.pop("my-sig")
    same(peer.decrypt(record, usual), item, "theirs, renamed back")


def files_and_workers(bridge, rng):
    """Order is kept, whatever the number of workers; -i and -o; no input is success."""
    record = record_of(peer.wrapped_provider("wrap256", "HmacSHA256"), ACTION_SETS[1])
    items = [peer.random_item(rng) for _ in range(300)]
    path = bridge.file("items", "".join(json.dumps(x) + "\n" for x in items).encode())
    out = os.path.join(bridge.files, "encrypted")
    code, printed, err = bridge.run("item", "encrypt", *bridge.options(record), "--workers", "4", "-i", path, "-o", out)
    assert code == 0 and not printed, f"exit {code}: {err.strip()}"
    with open(out, encoding="utf-8") as f:
        encrypted = [json.loads(line) for line in f]
    assert len(encrypted) == len(items), f"{len(encrypted)} of {len(items)} items"
    for found, item in zip(encrypted, items):
        same(peer.decrypt(record, found), item, "order or content")
    for found, item in zip(bridge.decrypt(record, encrypted, "--workers", "4"), items):
        same(found, item, "order or content")
    keys = [peer.parse_description(x)["amzn-ddb-env-key"] for x in encrypted]
    assert len(set(keys)) == len(keys), "a content key was used twice"
    assert bridge.encrypt(record, []) == [] and bridge.decrypt(record, []) == []
    return f"{len(items)} items"


def weak_key(bridge, rng):
    """An HMAC key shorter than its hash, as old test data has: only with --allow-weak."""
    code, _, _ = bridge.import_key("weak256", WEAK_KEY, "sign", "raw")
    assert code, "imported without --allow-weak"
    code, _, err = bridge.import_key("weak256", WEAK_KEY, "sign", "raw", "--allow-weak")
    assert code == 0, f"exit {code}: {err.strip()}"
    peer.KEYS["weak256"] = WEAK_KEY
    provider = {**peer.wrapped_provider("wrap256", "HmacSHA256"), "signing_key": "weak256", "verification_key": "weak256"}
    record, item = record_of(provider, ACTION_SETS[1]), peer.random_item(rng)
    same(peer.decrypt(record, bridge.encrypt(record, [item])[0]), item, "ours")
    same(bridge.decrypt(record, [peer.encrypt(record, item)])[0], item, "theirs")


def unsupported_numbers(bridge, rng):
    """What only the client writes so: over 28 digits, negative zero, its own orders."""
    count = 0
    for name, item, acts in peer.divergent_items():
        record = {**record_of(peer.wrapped_provider("wrap256", "HmacSHA256"), ("encrypt", {}, ())), "actions": acts}
        encrypted = peer.encrypt(record, item)
        same(bridge.decrypt(record, [encrypted])[0], peer.decrypt(record, encrypted), name)
        count += 1
    return f"{count} items"


def inspect(bridge, rng):
    """Without any key: in an empty home."""
    with tempfile.TemporaryDirectory(dir=bridge.home) as empty:
        for provider in (peer.wrapped_provider("wrap256", "HmacSHA256"), peer.static_provider("content256", "HmacSHA256")):
            record, item = record_of(provider, ACTION_SETS[1]), peer.random_item(rng)
            encrypted = peer.encrypt(record, item, description={"owner": "orders team"})
            code, out, err = bridge.run("item", "inspect", lines=[json.dumps(encrypted)], env={**bridge.env, "KEYBRIDGE_HOME": empty})
            assert code == 0 and out, f"exit {code}: {err.strip()}"
            assert "orders team" in "\n".join(out), f"the description is not shown: {out}"


def unreleased(bridge, rng):
    """Under a key that never releases a data key only we decrypt; the client checks all but that."""
    name = "never256"
    bridge.must("key", "create", name, "--use", "wrap", "--type", "aes-256", "--release", "never")
    provider = {**peer.wrapped_provider("wrap256", "HmacSHA256"), "wrapping_key": name, "unwrapping_key": name}
    known = record_of(peer.wrapped_provider("wrap256", "HmacSHA256"), ACTION_SETS[1])
    for acts in ACTION_SETS:
        record, items = record_of(provider, acts), [peer.random_item(rng) for _ in range(3)]
        encrypted = bridge.encrypt(record, items, acts=acts)
        for found, back, item in zip(encrypted, bridge.decrypt(record, encrypted, acts=acts), items):
            same(back, item, "round trip")
            check_protected(record, found, item)
            entries = peer.parse_description(found)
            assert entries["amzn-ddb-env-alg"] in ("AES", "AES/256"), entries
            assert len(peer.unb64(entries["amzn-ddb-env-key"])) == 40, entries
            assert entries["amzn-ddb-wrap-alg"] == "AESWrap", entries
            assert entries["amzn-ddb-map-sym-mode"] == "/CBC/PKCS5Padding", entries
            assert entries.get("amzn-ddb-map-signingAlg", "HmacSHA256") == "HmacSHA256", entries
            peer.verify({**known, "actions": record["actions"]}, found)
    altered = copy.deepcopy(encrypted[0])
    name = next(n for n in altered if peer.action_of(record["actions"], n) == "sign")
    altered[name] = {"S": "changed"}
    code, out, _ = bridge.run("item", "decrypt", *bridge.options(record, acts), lines=[json.dumps(altered)])
    assert code == 4 and not out, f"altered: exit {code}"


def main():
    parser = argparse.ArgumentParser(description="two-way test against the Python DynamoDB Encryption Client")
    parser.add_argument("--keybridge", required=True, metavar="COMMAND")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--items", type=int, default=3, help="items for each combination and actions file")
    args = parser.parse_args()
    rng, check = random.Random(args.seed), Checks()
    with tempfile.TemporaryDirectory(prefix="kb-live-") as home:
        bridge = Bridge(os.path.abspath(args.keybridge), home)
        bridge.set_up()
        for name, provider, bits in combinations():
            check(f"keybridge -> python: {name}", ours_to_python, bridge, rng, provider, bits, args.items)
            check(f"python -> keybridge: {name}", python_to_ours, bridge, rng, provider, bits, args.items)
        for name, provider, (default, overrides) in altered_bases():
            record, item = record_of(provider, (default, overrides, ())), peer.altered_item()
            for maker, make in (("keybridge", lambda: bridge.encrypt(record, [item])[0]), ("python", lambda: peer.encrypt(record, item))):
                try:
                    made = {**record, "encrypted": make()}
                except AssertionError as error:
                    check(f"altered, made by {maker}: {name}", same, {}, item, str(error))
                    continue
                check(f"altered, made by {maker}: {name}", alterations, bridge, made)
                check(f"some lines altered, made by {maker}: {name}", some_bad_lines, bridge, made, item)
                check(f"all lines altered, made by {maker}: {name}", only_bad_lines, bridge, made)
        for feature in (untouched, own_description, renamed_attributes, files_and_workers, weak_key, unsupported_numbers, inspect, unreleased):
            check(feature.__name__.replace("_", " "), feature, bridge, rng)
    check.finish()


if __name__ == "__main__":
    sys.exit(main())
