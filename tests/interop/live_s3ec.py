"""Two-way test of client-side encryption by `keybridge s3` against the Amazon S3 Encryption Client for Java.

    with.sh rgw -- live_s3ec.py --keybridge COMMAND --java FOLDER [--seed N] [--only NAME,…]

FOLDER is where java/install.sh put java-s3. What one stores the other must read, byte for byte, under the same AES and RSA
keys (ours in the token): format versions 2 and 3, in metadata and with instruction files, whole, in parts and in ranges; an
instruction file that one re-encrypts the other reads. One line per check; the last line is "N passed, N failed". Exits 1 on
failure.
"""
import argparse
import base64
import glob
import itertools
import json
import os
import random
import subprocess
import tempfile

from bridge import Checks, Command

PART = 5 << 20
SIZES = (0, 1, 15, 16, 17, 100_003)
LARGE = (PART, 2 * PART + 7)
FORMATS = ("2", "3")


class Refused(Exception):
    """What the client raised."""


class JavaPeer:
    """One process, asked by lines."""

    def __init__(self, folder, url, ca, home):
        store = os.path.join(home, "trust.p12")
        subprocess.run(["keytool", "-importcert", "-noprompt", "-alias", "ca", "-file", ca, "-keystore", store, "-storepass", "changeit",
                        "-storetype", "PKCS12"], check=True, capture_output=True)
        classes = [os.path.join(folder, "peer.jar"), *glob.glob(os.path.join(folder, "lib", "*.jar"))]
        command = ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Djavax.net.ssl.trustStore={store}",
                   "-Djavax.net.ssl.trustStorePassword=changeit", "-cp", os.pathsep.join(classes), "S3Peer", url]
        environment = {**os.environ, "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required", "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required"}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)

    def close(self):
        self.process.stdin.close()
        self.process.wait(20)

    def ask(self, **request):
        request = {name: value for name, value in request.items() if value is not None}
        if "body" in request:
            request["body"] = base64.b64encode(request["body"]).decode()
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        kind, _, rest = self.process.stdout.readline().decode().rstrip("\n").partition(" ")
        if kind != "ok":
            raise Refused(rest)
        return base64.b64decode(rest)


def openssl(given, *words):
    return subprocess.run(["openssl", *words], input=given, check=True, capture_output=True).stdout


class Place:
    """The server, the Java client and our command, with the same keys."""

    def __init__(self, bridge, java, rng):
        self.bridge, self.java, self.rng, self.count, self.keys = bridge, java, rng, 0, {}
        self.remote = ("--endpoint-url", os.environ["KB_RGW_URL"], "--ca-file", os.environ["KB_RGW_CA"])
        self.bucket = "live-s3ec"
        self.must("mb", f"s3://{self.bucket}")
        for name, size in (("aes-256", 32), ("aes-128", 16), ("aes-other", 32)):
            value = rng.randbytes(size)
            bridge.must("key", "import", name, "--use", "envelope", "--type", f"aes-{8 * size}", "--in", bridge.file(name, value), "--format", "raw")
            self.keys[name] = {"aes": base64.b64encode(value).decode()}
        made = openssl(b"", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
        secret = openssl(made, "pkcs8", "-topk8", "-nocrypt", "-outform", "DER")
        public = openssl(made, "pkey", "-pubout", "-outform", "DER")
        bridge.must("key", "import", "rsa", "--use", "wrap", "--type", "rsa", "--in", bridge.file("rsa", secret), "--format", "der")
        self.keys["rsa"] = {"private": base64.b64encode(secret).decode(), "public": base64.b64encode(public).decode()}

    def fresh(self):
        self.count += 1
        return f"object-{self.count}"

    def ours(self, *verb):
        return self.bridge.run("s3", *verb, *self.remote)

    def must(self, *verb):
        code, out, err = self.ours(*verb)
        assert code == 0, f"s3 {' '.join(verb)[:300]}: exit {code}: {err.strip()}"
        return out

    def address(self, key):
        return f"s3://{self.bucket}/{key}"

    def put(self, key, body, token_key, version, *more):
        self.must("put", "--encryption", "client", "--key", token_key, "--client-format", f"v{version}", *more,
                  self.bridge.file("body", body), self.address(key))

    def get(self, key, token_key, *more):
        target = os.path.join(self.bridge.files, "got")
        if os.path.exists(target):
            os.unlink(target)
        self.must("get", "--key", token_key, *(more or ("--policy", "require-allow")), self.address(key), target)
        with open(target, "rb") as f:
            return f.read()

    def their(self, op, key, token_key, version, **more):
        return self.java.ask(op=op, bucket=self.bucket, key=key, material={**self.keys[token_key], **more.pop("material", {})},
                             version=version, **more)


def each():
    """Half of the sizes for each kind of object, the other half for the next."""
    kinds = itertools.product(("aes-256", "aes-128", "rsa"), FORMATS, (False, True))
    for i, kind in enumerate(kinds):
        for size in SIZES[i % 2::2]:
            yield (*kind, size)


def ours_to_java(place):
    count = 0
    for name, version, file, size in each():
        key, body = place.fresh(), place.rng.randbytes(size)
        place.put(key, body, name, version, *(("--instruction-file",) if file else ()))
        strict = "REQUIRE_ENCRYPT_REQUIRE_DECRYPT" if version == "3" else None
        assert place.their("get", key, name, version, policy=strict) == body, f"{name}, version {version}, {size} bytes: other bytes"
        count += 1
    return f"{count} objects"


def java_to_ours(place):
    count = 0
    for name, version, file, size in each():
        key, body = place.fresh(), place.rng.randbytes(size)
        place.their("put", key, name, version, body=body, instruction_file="true" if file else None)
        got = place.get(key, name, "--policy", "require-require" if version == "3" else "require-allow")
        assert got == body, f"{name}, version {version}, {size} bytes: other bytes"
        count += 1
    return f"{count} objects"


def in_parts(place):
    for version, size in itertools.product(FORMATS, LARGE):
        key, body = place.fresh(), place.rng.randbytes(size)
        place.put(key, body, "aes-256", version, "--part-size", "5M")
        assert place.their("get", key, "aes-256", version) == body, "ours in parts: other bytes"
        key = place.fresh()
        place.their("put", key, "aes-256", version, body=body, multipart="true")
        assert place.get(key, "aes-256") == body, "theirs in parts: other bytes"


def ranges(place):
    body = place.rng.randbytes(1000)
    for version in FORMATS:
        ours, theirs = place.fresh(), place.fresh()
        place.put(ours, body, "aes-256", version)
        place.their("put", theirs, "aes-256", version, body=body)
        for first, last in ((0, 0), (5, 40), (16, 31), (980, 999)):
            got = place.their("get", ours, "aes-256", version, legacy="true", range=f"bytes={first}-{last}")
            assert got == body[first:last + 1], f"theirs of ours, {first}-{last}"
            done = subprocess.run([place.bridge.command, "s3", "cat", "--key", "aes-256", "--policy", "require-allow", "--legacy-unauthenticated",
                                   "--range", f"{first}-{last}", *place.remote, place.address(theirs)], capture_output=True,
                                  env=place.bridge.env, timeout=60)
            assert done.returncode == 0 and done.stdout == body[first:last + 1], f"ours of theirs, {first}-{last}: {done.stderr.decode()}"


def descriptions(place):
    """Whatever stands in them: a description only chooses a key."""
    given = {"team": "payments", "odd \"\\": "\u00e9\u20ac\U0001f600"}
    for version in FORMATS:
        key = place.fresh()
        place.put(key, b"x", "aes-256", version, *itertools.chain(*(("--description", f"{k}={v}") for k, v in given.items())))
        assert place.their("get", key, "aes-256", version, material={"description": given}) == b"x"
        key = place.fresh()
        place.their("put", key, "aes-256", version, body=b"y", material={"description": {"team": "payments"}})
        assert place.get(key, "aes-256") == b"y"
        head = "\n".join(place.must("head", place.address(key)))
        assert "payments" in head, head


def refused(place, call, *args, **named):
    try:
        call(*args, **named)
    except Refused:
        return
    raise AssertionError("not refused")


def wrong_keys(place):
    for version in FORMATS:
        key = place.fresh()
        place.put(key, b"x", "aes-256", version)
        refused(place, place.their, "get", key, "aes-other", version)
        refused(place, place.their, "get", key, "rsa", version)
        key = place.fresh()
        place.their("put", key, "aes-256", version, body=b"x")
        for name, want in (("aes-other", 4), ("rsa", 5)):
            code, _, err = place.ours("get", "--key", name, "--policy", "require-allow", place.address(key), os.path.join(place.bridge.files, "no"))
            assert code == want and err, f"{name}: exit {code}"
            assert not os.path.exists(os.path.join(place.bridge.files, "no"))


def policies(place):
    """Who insists on commitment reads version 3 only."""
    key = place.fresh()
    place.put(key, b"x", "aes-256", "2")
    refused(place, place.their, "get", key, "aes-256", "3", policy="REQUIRE_ENCRYPT_REQUIRE_DECRYPT")
    key = place.fresh()
    place.their("put", key, "aes-256", "2", body=b"x")
    code, _, err = place.ours("get", "--key", "aes-256", "--policy", "require-require", place.address(key), os.path.join(place.bridge.files, "no"))
    assert code == 5 and "require-allow" in err, f"exit {code}: {err}"


def reencrypted_by_java(place):
    """Their client rewrites our instruction file; the body stays where it is."""
    for version, name in itertools.product(FORMATS, ("aes-256", "rsa")):
        key, body = place.fresh(), place.rng.randbytes(333)
        place.put(key, body, name, version, "--instruction-file", "--description", "key=old")
        new = {**place.keys["aes-other" if name == "aes-256" else "rsa"], "description": {"key": "new"}}
        place.their("reencrypt", key, name, version, material={"description": {"key": "old"}}, new_material=new, instruction_file="true")
        assert place.get(key, "aes-other" if name == "aes-256" else "rsa") == body


CHECKS = (ours_to_java, java_to_ours, in_parts, ranges, descriptions, wrong_keys, policies, reencrypted_by_java)


def main():
    parser = argparse.ArgumentParser(description="keybridge s3 beside the S3 Encryption Client for Java")
    parser.add_argument("--keybridge", required=True)
    parser.add_argument("--java", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="checks whose name has one of these in it")
    options = parser.parse_args()
    check, wanted = Checks(), options.only.split(",")
    with tempfile.TemporaryDirectory(prefix="kb-s3ec-") as home:
        bridge = Command(options.keybridge, home)
        bridge.init()
        java = JavaPeer(options.java, os.environ["KB_RGW_URL"], os.environ["KB_RGW_CA"], home)
        try:
            place = Place(bridge, java, random.Random(options.seed))
            for one in CHECKS:
                if any(word in one.__name__ for word in wanted):
                    check(one.__name__.replace("_", " "), one, place)
        finally:
            java.close()
    check.finish()


if __name__ == "__main__":
    main()
