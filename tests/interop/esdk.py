"""What the tests with the AWS Encryption SDKs have in common: the two peers, keys, suites, plaintext.

Nothing here needs more than Python itself; the SDKs are in programs of their own (esdk_peer.py,
esdk_peer.mjs), which are handed lists of jobs.
"""
import base64
import json
import os
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
NO_KDF = ("0014", "0046", "0078")
NO_COMMITMENT = ("0114", "0146", "0178", "0214", "0346", "0378")
COMMITTING = ("0478", "0578")
SUITES = (*NO_KDF, *NO_COMMITMENT, *COMMITTING)
PADDINGS = ("pkcs1", "oaep-sha1", "oaep-sha256", "oaep-sha384", "oaep-sha512")
AES_BITS = (128, 192, 256)
# Contexts that the peers might serialize differently. Between capitals and small letters, and between
# characters of one and of two UTF-16 units, the orders of bytes, of UTF-16 and of locales differ.
CONTEXTS = {
    "none": {},
    "one": {"purpose": "backup"},
    "order": {"b": "1", "B": "2", "a": "3", "A": "4", "_": "5", "aa": "6", "Z": "7"},
    "unicode": {"stra\u00dfe": "\u00e4\u00f6\u00fc", "\u0416": "\u4e2d\u6587", "e\u0301": "decomposed", "\u00e9": "composed"},
    "astral": {"\ufffd": "bmp", "\U0001f511": "astral", "\ue000": "private", "plain": "\U0001f512 \u200d"},
    "empty value": {"k": "", "l": " "},
    "many": {f"key-{i:03}": "v" * (i % 7) for i in range(60)},
    "long": {"k": "x" * 2000},
}


def plaintext(size):
    """Bytes that are the same everywhere (tests/vectors/test_esdk_peers.c makes them too), and in no frame twice."""
    return bytes((i * 131 + (i >> 8) * 17 + (i >> 16)) & 0xff for i in range(size))


def policy_of(suite):
    """The strictest policy under which the suite is written."""
    return "require-require" if suite in COMMITTING else "forbid-allow"


def aes_key(name, material, namespace="keybridge-tests"):
    return {"kind": "aes", "namespace": namespace, "name": name, "material": base64.b64encode(material).decode()}


def rsa_key(name, padding, public=None, private=None, namespace="keybridge-tests"):
    halves = {half: pem for half, pem in (("public", public), ("private", private)) if pem}
    return {"kind": "rsa", "namespace": namespace, "name": name, "padding": padding, **halves}


def openssl(given, *words):
    return subprocess.run(["openssl", *words], input=given, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, text=True).stdout


def rsa_pair(bits):
    """The PEM of a new key: PKCS#8, and its SubjectPublicKeyInfo."""
    private = openssl("", "genpkey", "-algorithm", "RSA", "-pkeyopt", f"rsa_keygen_bits:{bits}")
    return private, openssl(private, "pkey", "-pubout")


class Peer:
    def __init__(self, name, command):
        self.name, self.command = name, command

    def do(self, jobs):
        """The answers to the jobs. What is refused leaves no file."""
        done = subprocess.run(self.command, input=json.dumps(jobs).encode(), stdout=subprocess.PIPE, check=True)
        answers = json.loads(done.stdout)
        assert len(answers) == len(jobs), f"{self.name}: {len(answers)} answers to {len(jobs)} jobs"
        return answers

    def writes(self, job):
        """Whether this peer has what the job wants to have written."""
        if self.name == "python":
            return job["frame_length"] % 128 == 0 and job["frame_length"] < 2**31 and "locale_order" not in job
        return job["frame_length"] > 0 and "required" not in job and "native" not in job

    def reads(self, job):
        """Whether this peer can read what the other, or keybridge, wrote of such a job."""
        if self.name == "python":
            return job["frame_length"] < 2**31 and "locale_order" not in job
        # Node refuses decryption with PKCS#1 v1.5 (CVE-2023-46809), some versions of it.
        return "required" not in job and all(key.get("padding") != "pkcs1" for key in job["keys"])


def add_options(parser):
    parser.add_argument("--python", metavar="PYTHON", help="one with the SDK for Python")
    parser.add_argument("--js", metavar="FOLDER", help="what esdk-js/install.sh made: with the SDK for JavaScript")


def peers(options):
    """Those that are there."""
    found = []
    if options.python:
        found.append(Peer("python", [options.python, os.path.join(HERE, "esdk_peer.py")]))
    if options.js:
        found.append(Peer("js", ["node", os.path.join(HERE, "esdk_peer.mjs"), os.path.join(options.js, "node_modules")]))
    return found
