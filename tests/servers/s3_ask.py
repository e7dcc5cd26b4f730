#!/usr/bin/env python3
"""One signed request to Ceph's gateway, for what the command does not ask of a server.

    s3_ask.py METHOD PATH [NAME:VALUE …]

PATH is /BUCKET[/KEY][?QUERY], encoded and its parameters sorted; one without a value ends with "=". The body of a PUT
is standard input's. Server, authority and credentials are those of the environment. Prints the answer's body; exits
with 1 when it is no success. Needs nothing but Python: Signature Version 4 by hand.
"""
import base64
import datetime
import hashlib
import hmac
import os
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request


def signed(method, host, path, headers, body):
    now, region = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ"), os.environ["AWS_REGION"]
    scope = f"{now[:8]}/{region}/s3/aws4_request"
    headers = {**headers, "host": host, "x-amz-date": now, "x-amz-content-sha256": hashlib.sha256(body).hexdigest()}
    names = ";".join(sorted(headers))
    plain, _, query = path.partition("?")
    lines = [method, plain, query, *(f"{name}:{headers[name]}" for name in sorted(headers)), "", names, headers["x-amz-content-sha256"]]
    text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256("\n".join(lines).encode()).hexdigest()])
    key = ("AWS4" + os.environ["AWS_SECRET_ACCESS_KEY"]).encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    made = hmac.digest(key, text.encode(), "sha256").hex()
    headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={os.environ['AWS_ACCESS_KEY_ID']}/{scope}, SignedHeaders={names}, Signature={made}"
    return headers


def main():
    method, path, *more = sys.argv[1:]
    url, headers = os.environ["KB_RGW_URL"], dict(word.split(":", 1) for word in more)
    body = sys.stdin.buffer.read() if method == "PUT" else b""
    headers["content-md5"] = base64.b64encode(hashlib.md5(body).digest()).decode()
    request = urllib.request.Request(url + path, body or None, signed(method, urllib.parse.urlsplit(url).netloc, path, headers, body), method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(
        context=ssl.create_default_context(cafile=os.environ["KB_RGW_CA"])))
    try:
        with opener.open(request) as answer:
            sys.stdout.buffer.write(answer.read())
    except urllib.error.HTTPError as error:
        sys.stderr.buffer.write(error.read() + b"\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
