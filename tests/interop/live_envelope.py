"""Two-way test of `keybridge envelope` against the AWS Encryption SDKs for Python and JavaScript.

    live_envelope.py --keybridge COMMAND [--python PYTHON] [--js FOLDER] [--seed N]

What one writes the other must read, byte for byte; what is altered, or not for the reader's keys, the
command must refuse and leave no file of. AES and RSA keys are made for the run and imported, one RSA
key is made in the token. The command does the same jobs as the peers (esdk_peer.py says what is in one).
One line per check; the last line is "N passed, N failed". Exits 1 on failure.
"""
import argparse
import base64
import collections
import hashlib
import json
import os
import random
import sys
import tempfile
import urllib.parse

import esdk
from bridge import Checks, Command

L = 128
SIZES = (0, 1, L - 1, L, L + 1, 3 * L + 7)
MIB = 1 << 20
WRITTEN = (*esdk.NO_COMMITMENT, *esdk.COMMITTING)  # the suites that the command writes


class Keybridge(Command):
    """The command as one more peer."""
    name = "keybridge"

    def __init__(self, command, home):
        super().__init__(command, home)
        self.token_keys = {}

    def token_key(self, key):
        """The name of the key in the token, imported when it is new there; RSA without its private half as that."""
        value = base64.b64decode(key["material"]) if key["kind"] == "aes" else key.get("private", key.get("public")).encode()
        digest = hashlib.sha256(value).hexdigest()
        if digest not in self.token_keys:
            name = self.token_keys[digest] = f"key-{len(self.token_keys)}"
            kind = f"aes-{len(value) * 8}" if key["kind"] == "aes" else "rsa" if "private" in key else "rsa-public"
            form = "pem" if key["kind"] == "rsa" else ("raw", "hex")[len(self.token_keys) % 2]
            path = self.file("key", value.hex().encode() if form == "hex" else value)
            self.must("key", "import", name, "--use", "envelope" if key["kind"] == "aes" else "wrap", "--type", kind,
                      "--in", path, "--format", form)
            os.unlink(path)
        return self.token_keys[digest]

    def make_rsa(self, name, bits):
        """An RSA key made in the token: its public half, which stands for it from now on."""
        self.must("key", "create", name, "--use", "wrap", "--type", f"rsa-{bits}")
        public = "".join(line + "\n" for line in self.must("key", "export-public", name, "--format", "pem"))
        self.token_keys[hashlib.sha256(public.encode()).hexdigest()] = name
        return public

    def keyring(self, key):
        spec = {"key": self.token_key(key), "namespace": key["namespace"], "name": key["name"]}
        if key["kind"] == "rsa" and key["padding"] != "oaep-sha256":  # the default, which is to be tried as that
            spec["padding"] = key["padding"]
        return ",".join(f"{name}={urllib.parse.quote(value, safe='')}" for name, value in spec.items())

    def options(self, job):
        for key in job["keys"]:
            yield from ("--keyring", self.keyring(key))
        if "policy" in job:
            yield from ("--policy", job["policy"])
        if "max_edks" in job:
            yield from ("--max-edks", str(job["max_edks"]))
        context, names = job.get("context", {}), job.get("required", [])
        if job["verb"] == "encrypt":
            yield from ("--suite", "0x" + job["suite"], "--frame-length", str(job["frame_length"]))
            for name in names:
                yield from ("--not-stored", name)
        given = context if job["verb"] == "encrypt" else {name: context[name] for name in names}
        if len(given) > 4:  # a file is another way than options
            yield from ("--context-file", self.file("context.json", json.dumps(given).encode()))
        else:
            for name, value in given.items():
                yield from ("-c", f"{name}={value}")
        if job["verb"] == "decrypt":
            for name, value in list(context.items())[:8]:
                yield from ("--require", f"{name}={value}")

    def do(self, jobs):
        return [self.one(job) for job in jobs]

    def one(self, job):
        code, out, err = self.run("envelope", job["verb"], *self.options(job), "-i", job["in"], "-o", job["out"])
        if code:
            return {"refused": f"exit {code}: {err.strip()}", "code": code}
        assert not out and not err, f"success is silent: {out} {err}"
        return {}

    def writes(self, job):
        return job["suite"] in WRITTEN and job["frame_length"] > 0 and not {"native", "locale_order"} & set(job)

    def reads(self, job):
        return "locale_order" not in job


# ---------------------------------------------------------------------------------------------
# What is exchanged: class -> jobs; "readers" are the keys with which it is read, in turn

def cases(rng, bridge):
    aes = {bits: esdk.aes_key(f"aes {bits}, 100%", rng.randbytes(bits // 8), "ns=\u00e4,%") for bits in esdk.AES_BITS}
    pairs = {bits: esdk.rsa_pair(bits) for bits in (2048, 3072, 4096)}
    inside = bridge.make_rsa("made-inside", 2048)

    def rsa(padding, bits=2048):
        private, public = pairs[bits]
        return esdk.rsa_key(f"rsa {bits}", padding, public, private)

    def usual(**change):
        return {"suite": "0478", "frame_length": L, "size": 3 * L + 7, "context": {}, "keys": [aes[256]], **change}
    for i, suite in enumerate(esdk.SUITES):
        for size in SIZES:
            yield f"suite {suite}", usual(suite=suite, size=size, keys=[aes[esdk.AES_BITS[(i + size) % 3]]])
        yield f"suite {suite}", usual(suite=suite, size=MIB, frame_length=4096)
        for size in SIZES:
            yield f"unframed {suite}", usual(suite=suite, size=size, frame_length=0)
    for length in (1, 100, 256, 4096, 65536, MIB, 2**31 - 128, 2**32 - 1):
        for size in (0, 3 * min(length, 65536) + 7):
            yield "frame lengths", usual(frame_length=length, size=size, suite=("0478", "0578")[length % 2])
    for padding in esdk.PADDINGS:
        for suite in ("0578", "0178", "0114"):
            yield padding, usual(suite=suite, keys=[rsa(padding)])
        for bits in (3072, 4096):
            yield padding, usual(keys=[rsa(padding, bits)])
        # written with the public half alone, read with the private one
        for reader in (rsa(padding), esdk.rsa_key("rsa 2048", padding, private=pairs[2048][0])):
            yield padding, usual(keys=[esdk.rsa_key("rsa 2048", padding, public=pairs[2048][1])], readers=[reader])
        yield padding, usual(keys=[esdk.rsa_key("inside", padding, public=inside)], inside=True)
    for name, context in esdk.CONTEXTS.items():
        for key in (aes[128], rsa("oaep-sha256")):
            yield f"context, {name}", usual(context=context, keys=[key], suite="0578")
    for order in ("order", "astral"):
        yield "locale order", usual(context=esdk.CONTEXTS[order], locale_order=True)
    several = [aes[128], rsa("oaep-sha256"), aes[192], rsa("oaep-sha1", 3072), aes[256]]
    yield "several recipients", usual(keys=several, readers=several)
    yield "several recipients", usual(keys=several[::-1], readers=several, suite="0578")
    same = [esdk.aes_key("same", rng.randbytes(32)) for _ in range(3)]
    yield "several recipients", usual(keys=same, readers=same)
    many = [esdk.aes_key(f"key {i}", base64.b64decode(aes[256]["material"])) for i in range(16)]
    yield "several recipients", usual(keys=many, readers=[many[0], many[-1]])
    pairs_of = {"tenant": "t-17", "purpose": "backup", "\u0416": "\u00e9"}
    for names in (["tenant"], ["tenant", "purpose"], list(pairs_of)):
        for key in (aes[256], rsa("oaep-sha256")):
            for suite in ("0478", "0578", "0378"):
                yield "not stored", usual(context=pairs_of, required=names, keys=[key], suite=suite)
    for key in (*aes.values(), *(rsa(padding) for padding in esdk.PADDINGS)):
        yield "native master keys", usual(context=esdk.CONTEXTS["order"], keys=[key], native=True, suite="0578")


class Exchange:
    """Writes each case with each that can, and reads it with the others."""

    def __init__(self, check, folder, wanted):
        self.check, self.folder, self.cases = check, folder, wanted

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, writer):
        """(class, case, path of the message) of all that this one writes."""
        found, jobs = [], []
        for i, (kind, case) in enumerate(self.cases):
            if not writer.writes(case):
                continue
            job = {k: v for k, v in case.items() if k not in ("size", "readers", "inside")}
            job.update(verb="encrypt", policy=esdk.policy_of(case["suite"]), out=self.path(f"{writer.name}-{i}"), **{"in": self.path(str(case["size"]))})
            if not os.path.exists(job["in"]):
                with open(job["in"], "wb") as f:
                    f.write(esdk.plaintext(case["size"]))
            found.append((kind, case, job["out"]))
            jobs.append(job)
        answers = writer.do(jobs)
        self.check(f"{writer.name} writes", self.all_done, [kind for kind, _, _ in found], answers)
        return [row for row, answer in zip(found, answers) if "refused" not in answer]

    @staticmethod
    def all_done(kinds, answers):
        bad = [f"{kind}: {answer['refused']}" for kind, answer in zip(kinds, answers) if "refused" in answer]
        assert answers and not bad, f"{len(bad)} of {len(answers)}: " + "; ".join(bad)[:2000]
        return f"{len(answers)} messages"

    def read(self, writer, reader, written):
        by_kind = collections.defaultdict(list)
        jobs = []
        for kind, case, path in written:
            for key in case.get("readers", [None]):
                keys = [key] if key else case["keys"]
                if case.get("inside") and reader.name != "keybridge" or not reader.reads({**case, "keys": keys}):
                    continue
                job = {"verb": "decrypt", "in": path, "out": self.path("plain"), "keys": keys, "policy": esdk.policy_of(case["suite"])}
                job["out"] += f"-{len(jobs)}"
                job.update({k: case[k] for k in ("required", "native") if k in case})
                if reader.name == "keybridge" or "required" in case:
                    job["context"] = case["context"]
                by_kind[kind].append((case, job, len(jobs)))
                jobs.append(job)
        answers = reader.do(jobs)
        for kind, rows in by_kind.items():
            self.check(f"{writer.name} -> {reader.name}: {kind}", self.compare, rows, answers)
        for job in jobs:
            if os.path.exists(job["out"]):
                os.unlink(job["out"])

    @staticmethod
    def compare(rows, answers):
        for case, job, at in rows:
            what = {k: v for k, v in case.items() if k not in ("keys", "readers")}
            assert "refused" not in answers[at], f"{what}: {answers[at]['refused']}"
            with open(job["out"], "rb") as f:
                assert f.read() == esdk.plaintext(case["size"]), f"{what}: another plaintext"
            found = answers[at]
            if "suite" in found:
                assert found["suite"] == case["suite"], f"{what}: suite {found['suite']}"
                stored = {k: v for k, v in found["context"].items() if k != "aws-crypto-public-key"}
                assert stored in (case["context"], {k: v for k, v in case["context"].items() if k not in case.get("required", ())}), f"{what}: {stored}"
        return f"{len(rows)} messages"


# ---------------------------------------------------------------------------------------------
# What must be refused

def refused(bridge, folder, message, *codes, **change):
    """The command refuses with one of these exit codes, says why, and leaves no file."""
    source, target = os.path.join(folder, "altered"), os.path.join(folder, "refused")
    with open(source, "wb") as f:
        f.write(message)
    answer = bridge.one({"verb": "decrypt", "in": source, "out": target, **change})
    assert answer.get("code") in codes, f"{answer or 'accepted'} instead of exit {codes}"
    assert not os.path.exists(target), "a file is left"
    assert len(answer["refused"]) > len("exit 0: "), "refused without a word"


def alterations(bridge, folder, path, keys):
    """One of the peers' messages under 0478 or 0578, damaged in every part of it."""
    with open(path, "rb") as f:
        message = f.read()
    for at in {*range(0, len(message), max(1, len(message) // 40)), len(message) - 1}:
        # 5: one bit in the count of recipients is more than are allowed
        refused(bridge, folder, message[:at] + bytes([message[at] ^ 1]) + message[at + 1:], 4, 5, keys=keys)
    for cut in {1, 16, len(message) // 2, len(message) - 1}:
        refused(bridge, folder, message[:-cut], 4, keys=keys)
    refused(bridge, folder, message + b"\0", 4, keys=keys)
    refused(bridge, folder, base64.b64encode(message), 4, keys=keys)
    wrong = [{**keys[0], "material": base64.b64encode(bytes(len(base64.b64decode(keys[0]["material"])))).decode()}]
    refused(bridge, folder, message, 4, keys=wrong)
    refused(bridge, folder, message, 4, keys=[{**keys[0], "name": keys[0]["name"] + "x"}])
    refused(bridge, folder, message, 4, keys=keys, context={"k": "not there"})


def policies(bridge, folder, written):
    count = 0
    for kind, case, path in written:
        if kind.startswith("suite") and case["size"] == 1 and case["suite"] not in esdk.COMMITTING:
            with open(path, "rb") as f:
                refused(bridge, folder, f.read(), 5, keys=case["keys"])
            count += 1
    assert count, "no message that does not commit"
    return f"{count} suites"


def too_many(bridge, folder, written):
    count = 0
    for kind, case, path in written:
        if kind == "several recipients" and len(case["keys"]) == 16:
            with open(path, "rb") as f:
                refused(bridge, folder, f.read(), 5, keys=case["keys"][:1], max_edks=15)
            count += 1
    assert count, "no message of 16 recipients"


def locale_order(bridge, folder, written):
    """Messages of the JavaScript SDK whose AES recipients have the context in the order of a locale."""
    found = [row for row in written if "locale_order" in row[1]]
    assert found, "none was written"
    for _, case, path in found:
        with open(path, "rb") as f:
            refused(bridge, folder, f.read(), 4, keys=case["keys"])


def refusals(check, bridge, folder, writer, written):
    for suite in esdk.COMMITTING:
        rows = [row for row in written if row[0] == f"suite {suite}" and row[1]["size"] == 3 * L + 7]
        for _, case, path in rows:
            check(f"{writer.name}, altered: {suite}", alterations, bridge, folder, path, case["keys"])
    check(f"{writer.name}, policy", policies, bridge, folder, written)
    check(f"{writer.name}, too many recipients", too_many, bridge, folder, written)
    if writer.name == "js":
        check(f"{writer.name}, order of a locale", locale_order, bridge, folder, written)


def main():
    parser = argparse.ArgumentParser(description="two-way test against the AWS Encryption SDKs")
    parser.add_argument("--keybridge", required=True, metavar="COMMAND")
    parser.add_argument("--seed", type=int, default=1)
    esdk.add_options(parser)
    args = parser.parse_args()
    peers, check = esdk.peers(args), Checks()
    with tempfile.TemporaryDirectory(prefix="kb-live-") as home:
        bridge = Keybridge(args.keybridge, home)
        bridge.init()
        exchange = Exchange(check, tempfile.mkdtemp(dir=home), list(cases(random.Random(args.seed), bridge)))
        ours = exchange.write(bridge)
        for peer in peers:
            exchange.read(bridge, peer, ours)
            theirs = exchange.write(peer)
            exchange.read(peer, bridge, theirs)
            refusals(check, bridge, home, peer, theirs)
    check.finish()


if __name__ == "__main__":
    sys.exit(main())
