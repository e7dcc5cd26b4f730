#!/usr/bin/env python3
"""Requests signed by botocore, the signer of AWS's own tools, for our verifier.

Each has to be accepted as it is, and refused with one character changed.
Usage: sigv4_botocore.py --verify PROGRAM [--count N] [--seed S]
"""
import argparse
import datetime
import random
import string
import subprocess
import sys
import tempfile
from urllib.parse import quote, urlsplit

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

KEY_ID = "AKIDPEER"
SECRET = "peer/Secret+" + "x" * 28
BATCHES = 8


def set_clock(moment):
    """botocore asks the clock by one of two names, by its version."""

    class Fixed(datetime.datetime):
        @classmethod
        def utcnow(cls):
            return moment

    class Module:
        datetime = Fixed

    if hasattr(botocore.auth, "get_current_datetime"):
        botocore.auth.get_current_datetime = lambda *args, **kwargs: moment
    else:
        botocore.auth.datetime = Module


def random_text(rng, alphabet, most):
    return "".join(rng.choice(alphabet) for _ in range(rng.randint(0, most)))


def random_path(rng):
    odd = "abc123-._~ !$&'()*+,;=:@/%äé€\\\"<>|"
    parts = [quote(random_text(rng, odd, 6), safe=rng.choice(["", "!$&'()*+,;=:@"]))
             for _ in range(rng.randint(0, 4))]
    if rng.random() < 0.3:
        parts.insert(rng.randint(0, len(parts)), rng.choice([".", "..", ""]))
    return "/" + "/".join(parts) + rng.choice(["", "/"])


def random_request(rng, s3):
    method = rng.choice(["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH"])
    host = rng.choice(["example.org", "example.org:8000", "127.0.0.1:4566", "a.b-c.example"])
    url = rng.choice(["http", "https"]) + "://" + host + random_path(rng)
    headers = {}
    odd = "abcXYZ019 -_=;:/\"'(),\t  "
    for _ in range(rng.randint(0, 4)):
        name = rng.choice(["X-Amz-Target", "Content-Type", "X-Custom", "x-amz-Meta-a", "Accept",
                           "Range", "User-Agent", "If-Match", "X-A", "X-A-B"])
        headers[name] = random_text(rng, odd, 20).strip()
    params = {}
    if rng.random() < 0.6:
        values = "abc019 -._~!*'();:@&=+$,/?#[]%äé€\""
        for _ in range(rng.randint(1, 5)):
            params[random_text(rng, values, 5) + rng.choice("abAB")] = random_text(rng, values, 8)
    query = "&".join(quote(k, safe="-_.~") + "=" + quote(v, safe="-_.~") for k, v in params.items())
    if query and rng.random() < 0.5:
        url, params = url + "?" + query, {}
    body = b"" if method in ("GET", "HEAD") else rng.randbytes(rng.randint(0, 200))
    token = rng.choice([None, "token/" + "t" * rng.randint(1, 400) + "+=="])
    request = AWSRequest(method=method, url=url, headers=headers, data=body, params=params)
    kind = botocore.auth.S3SigV4Auth if s3 else botocore.auth.SigV4Auth
    if s3 and url.startswith("https") and rng.random() < 0.5:
        request.headers["Content-MD5"] = "1B2M2Y8AsgTpgAmY7PhCfg=="
        request.context["has_streaming_input"] = True
    kind(Credentials(KEY_ID, SECRET, token), "s3" if s3 else "kms", "eu-central-1").add_auth(request)
    return request.prepare()


def to_bytes(prepared):
    """Request line, headers and body apart, as they are sent."""
    parts = urlsplit(prepared.url)
    target = (parts.path or "/") + ("?" + parts.query if parts.query else "")
    headers = [(name, value.decode() if isinstance(value, bytes) else value)
               for name, value in prepared.headers.items()]
    if "host" not in [name.lower() for name, _ in headers]:
        headers.append(("Host", parts.netloc))
    body = prepared.body or b""
    return prepared.method, target, headers, body if isinstance(body, bytes) else body.encode()


def join(method, target, headers, body):
    lines = ["%s %s HTTP/1.1" % (method, target)] + ["%s: %s" % pair for pair in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def other(rng, text, at):
    """`text` with another letter or digit at `at`."""
    choices = string.digits if text[at].isdigit() else string.ascii_lowercase
    return text[:at] + rng.choice([c for c in choices if c != text[at].lower()]) + text[at + 1:]


def places(text):
    return [i for i, c in enumerate(text) if c.isascii() and c.isalnum()]


def signed_names(headers):
    value = dict(headers)["Authorization"]
    return value.split("SignedHeaders=")[1].split(",")[0].split(";")


def spoil(rng, method, target, headers, body):
    """One character changed in something that is signed; says what."""
    names = signed_names(headers)
    able = [i for i, (name, value) in enumerate(headers)
            if (name.lower() in names or name == "Authorization") and places(value)]
    ways = ["header", "header", "method"]
    unsigned_body = ("X-Amz-Content-SHA256", "UNSIGNED-PAYLOAD") in headers
    if body and not unsigned_body:
        ways.append("body")
    # Segments that are taken away again ("/a/../") are not part of what is signed.
    if "/." not in target and places(target) and "%" not in target:
        ways.append("target")
    way = rng.choice(ways)
    if way == "method":
        method = other(rng, method, rng.choice(places(method))).upper()
    elif way == "body":
        at = rng.randrange(len(body))
        body = body[:at] + bytes([body[at] ^ 1 << rng.randrange(8)]) + body[at + 1:]
    elif way == "target":
        target = other(rng, target, rng.choice(places(target)))
    else:
        at = rng.choice(able)
        name, value = headers[at]
        headers = list(headers)
        headers[at] = (name, other(rng, value, rng.choice(places(value))))
        way = name
    return way, join(method, target, headers, body)


def verify(program, service, now, requests, mark):
    with tempfile.NamedTemporaryFile("w") as secret:
        secret.write(SECRET + "\n")
        secret.flush()
        text = b"".join(b"%d\n%s%s" % (len(r) + 1, mark, r) for r in requests)
        run = subprocess.run([program, service, "eu-central-1", str(now), secret.name], input=text,
                             stdout=subprocess.PIPE, check=True)
    lines = run.stdout.decode().splitlines()
    assert len(lines) == len(requests), (len(lines), len(requests))
    return lines


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--verify", required=True)
    parser.add_argument("--count", type=int, default=800)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    args = parser.parse_args()
    rng = random.Random(args.seed)
    bad = unsigned = 0
    for batch in range(BATCHES):
        s3 = batch % 2 == 1
        now = rng.randint(1_000_000_000, 4_000_000_000)
        requests, spoiled = [], []
        for _ in range(args.count // BATCHES):
            moment = datetime.datetime.fromtimestamp(now + rng.randint(-300, 300),
                                                     datetime.timezone.utc)
            set_clock(moment.replace(tzinfo=None))
            parts = to_bytes(random_request(rng, s3))
            requests.append(join(*parts))
            spoiled.append(spoil(rng, *parts))
            unsigned += ("X-Amz-Content-SHA256", "UNSIGNED-PAYLOAD") in parts[2]
        service, mark = ("s3", b"S") if s3 else ("kms", b"-")
        for request, line in zip(requests, verify(args.verify, service, now, requests, mark)):
            if line != "ok":
                print("refused: %s\n%r" % (line, request))
                bad += 1
        lines = verify(args.verify, service, now, [r for _, r in spoiled], mark)
        for (way, request), line in zip(spoiled, lines):
            if line == "ok":
                print("accepted with another %s:\n%r" % (way, request))
                bad += 1
    print("%d requests of botocore (seed %d; %d with an unsigned body), %d wrong"
          % (args.count, args.seed, unsigned, bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
