"""A reverse proxy over TLS on loopback before an S3 server, which adds what test servers lack: it checks the signature
of every request with botocore's own SigV4, and injects faults. front.py is its counterpart for DynamoDB and KMS.

    s3_front.py FOLDER --upstream URL [--ca FILE] [--port P] [--rules JSON]

FOLDER gets its certificate (tls.py). Bodies are held in memory, up to 256 MiB.

    GET  /__front/stats           counters and the last 1,000 requests, as JSON: action, path, status, names of headers
    POST /__front/rules           a JSON object with any of
        "rules": [rule, …]        replaces the rules
        "clock": seconds          how far this server's clock is ahead of the machine's
        "keys": [key, …]          adds {"id", "secret", "token", "expired"}
        "blocked": [bucket, …]    buckets that refuse SSE-C as AWS's do since April 2026: 403 to what would write, until
                                  a PutBucketEncryption says NONE; its answers to GetBucketEncryption say so
        "reset": true             no rules, right clock, counters at zero, nothing blocked; comes first

A rule is {"fault": kind, …}. When it applies:
    "action": "PutObject", …, or a list; default: any     "key": text that the path has in it    "part": part number
    "every": n   each nth request that fits               "next": n   the next n, then never again
    "after": n   not the first n
Kinds, before the request is passed on:
    status       "status" (503), "code" (SlowDown), "message"          html         a page as a proxy sends, "status" (502)
    drop-before  the connection is closed                              delay        "seconds"; the rules behind it apply too
    cut-upload   the connection is closed after "at" bytes of the request's body
    redirect     to what is not signed for "region": "status" (301 with AWS's PermanentRedirect; 307, 400
                 AuthorizationHeaderMalformed), "location" (default: the same place)
    forget       what is passed on lacks the headers "drop" and has those of "set" ({name: value}), signed anew:
                 a server that ignores them
Kinds, of the answer:
    drop-after   done, but not answered           cut      the connection is closed after "at" bytes of the body
    short        the body ends at "at", and Content-Length says so           flip     one bit of byte "at" is another
    headers      without those of "drop", with those of "set"                body     every "find" is now "put"
The first rule that applies is taken, a "headers" or "body" besides others.
"""
import argparse
import asyncio
import collections
import datetime
import hashlib
import hmac
import json
import ssl
import sys
import urllib.parse
from xml.sax.saxutils import escape

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

import front
import rgw
import tls
from front import Closed, header, read_body, read_message

BODY_MAX = 256 << 20
LOG_MAX = 1000
SKEW = datetime.timedelta(minutes=15)
SSE_C = "x-amz-server-side-encryption-customer-algorithm"
BLOCKED = ('User: {user} is not authorized to perform: s3:PutObject on resource: "arn:aws:s3:::{name}" because this bucket has blocked upload '
           "requests that specify Server Side Encryption with Customer provided keys (SSE-C). Please specify a different server-side "
           "encryption type")
FAULTS = {"status", "html", "drop-before", "delay", "cut-upload", "redirect", "forget", "drop-after", "cut", "short", "flip", "headers", "body"}
BESIDES = ("delay", "headers", "body")
SUBRESOURCES = {"encryption": "BucketEncryption", "policy": "BucketPolicy", "versioning": "BucketVersioning", "tagging": "ObjectTagging",
                "retention": "ObjectRetention", "legal-hold": "ObjectLegalHold", "acl": "Acl", "location": "BucketLocation",
                "object-lock": "ObjectLockConfiguration", "lifecycle": "BucketLifecycle"}
WRITES = {"PutObject", "CopyObject", "CreateMultipartUpload", "UploadPart", "UploadPartCopy"}


class Refused(Exception):
    """An answer of the kind S3 gives; more: elements of its XML, and headers."""

    def __init__(self, status, code, message, more=(), headers=()):
        super().__init__(code)
        self.status, self.code, self.message, self.more, self.headers = status, code, message, dict(more), list(headers)

    def body(self):
        words = {"Code": self.code, "Message": self.message, **self.more, "RequestId": "FRONT", "HostId": "front"}
        inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in words.items())
        return ('<?xml version="1.0" encoding="UTF-8"?>\n<Error>' + inner + "</Error>").encode()


class Request:
    def __init__(self, start, headers):
        self.start, self.headers, self.body = start, headers, b""
        self.method, self.target, _ = start.split(" ")
        path, _, query = self.target.partition("?")
        self.query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        host = header(headers, "host").rsplit(":", 1)[0]
        self.path = urllib.parse.unquote(path)
        if host.endswith(".localhost"):
            self.path = "/" + host[:-len(".localhost")] + self.path
        self.bucket, _, self.key = self.path[1:].partition("/")
        self.action = self.name()

    def name(self):
        """What AWS calls it, as far as clients of objects go."""
        verb = {"GET": "Get", "PUT": "Put", "HEAD": "Head", "DELETE": "Delete", "POST": "Post"}.get(self.method, "?")
        for word, name in SUBRESOURCES.items():
            if word in self.query:
                return verb + name
        if not self.key:
            if "uploads" in self.query:
                return "ListMultipartUploads"
            if "versions" in self.query:
                return "ListObjectVersions"
            whole = {"GET": "ListObjectsV2", "PUT": "CreateBucket", "POST": "DeleteObjects"}
            return whole.get(self.method, verb + "Bucket") if self.bucket else "ListBuckets"
        copies = bool(header(self.headers, "x-amz-copy-source"))
        if "uploadId" in self.query:
            return {"PUT": "UploadPartCopy" if copies else "UploadPart", "POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload",
                    "GET": "ListParts"}.get(self.method, "?")
        if "uploads" in self.query:
            return "CreateMultipartUpload"
        return "CopyObject" if copies and self.method == "PUT" else verb + "Object"


# ---------------------------------------------------------------------------------------------
# Signatures

class ListedHeaders(S3SigV4Auth):
    """botocore leaves some headers out when it signs; to verify, those the client listed count."""

    def headers_to_sign(self, request):
        listed = AWSRequest(method="GET", url=request.url).headers
        for name in request.context["listed"]:
            listed[name] = request.headers[name]
        return listed


def signature(key, scope, listed, stamp, request):
    auth = ListedHeaders(Credentials(key["id"], key["secret"], key.get("token")), "s3", scope[1])
    made = AWSRequest(method=request.method, url="https://" + header(request.headers, "host") + request.target)
    for name, value in request.headers:
        made.headers[name] = value
    made.context.update({"timestamp": stamp, "listed": listed})
    return auth.signature(auth.string_to_sign(made, auth.canonical_request(made)), made)


class Verifier:
    def __init__(self):
        self.keys, self.clock = {}, datetime.timedelta()
        self.add([{"id": access, "secret": secret} for access, secret in rgw.USERS.values()])
        self.add(front.KEYS[1:])

    def add(self, keys):
        self.keys.update({key["id"]: key for key in keys})

    def now(self):
        return datetime.datetime.now(datetime.timezone.utc) + self.clock

    def check_date(self, stamp):
        try:
            made = datetime.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
        except ValueError:
            raise Refused(403, "AccessDenied", "AWS authentication requires a valid Date or x-amz-date header") from None
        if abs(made - self.now()) > SKEW:
            raise Refused(403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.",
                          {"RequestTime": stamp, "ServerTime": self.now().strftime("%Y-%m-%dT%H:%M:%SZ"), "MaxAllowedSkewMilliseconds": "900000"})

    def check_key(self, access_key, headers):
        key, token = self.keys.get(access_key), header(headers, "x-amz-security-token")
        if key is None:
            raise Refused(403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.",
                          {"AWSAccessKeyId": access_key})
        if key.get("token", "") != token:
            raise Refused(400, "InvalidToken", "The provided token is malformed or otherwise invalid.")
        if key.get("expired"):
            raise Refused(400, "ExpiredToken", "The provided token has expired.")
        return key

    def check(self, request):
        """(the key's record, the scope) of a request that is signed in its headers, None of one in its query."""
        authorization = header(request.headers, "authorization")
        if not authorization:
            if "X-Amz-Signature" in request.query:  # the server behind looks at it
                return None
            raise Refused(403, "AccessDenied", "Access Denied")
        try:
            access_key, scope, listed, sent = front.parse_authorization(authorization)
        except front.Refused as error:
            raise Refused(400, "AuthorizationHeaderMalformed", error.message) from None
        key = self.check_key(access_key, request.headers)
        stamp = header(request.headers, "x-amz-date")
        self.check_date(stamp)
        if len(scope) != 4 or scope[0] != stamp[:8] or scope[2:] != ["s3", "aws4_request"]:
            raise Refused(400, "AuthorizationHeaderMalformed", "The authorization header is malformed; its scope is " + "/".join(scope))
        unlisted = {n.lower() for n, _ in request.headers if n.lower().startswith("x-amz-")} - set(listed)
        if "host" not in listed or unlisted:
            raise Refused(403, "AccessDenied", "There were headers present in the request which were not signed",
                          {"HeadersNotSigned": ", ".join(sorted(unlisted))})
        wanted = signature(key, scope, listed, stamp, request)
        if not hmac.compare_digest(wanted, sent):
            raise Refused(403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided. Check "
                          "your key and signing method.", {"AWSAccessKeyId": access_key})
        self.check_body(request)
        return key, scope

    @staticmethod
    def check_body(request):
        sent = header(request.headers, "x-amz-content-sha256")
        if not sent:
            raise Refused(400, "InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
        if sent.startswith("STREAMING-"):
            raise Refused(501, "NotImplemented", "the front does not read aws-chunked bodies")
        if sent != "UNSIGNED-PAYLOAD" and sent != hashlib.sha256(request.body).hexdigest():
            raise Refused(400, "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed.")


def sign_anew(request, key, scope):
    """After its headers were changed."""
    kept = [(n, v) for n, v in request.headers if n.lower() != "authorization"]
    listed = sorted(n.lower() for n, _ in kept if n.lower() == "host" or n.lower().startswith("x-amz-"))
    request.headers = kept
    made = signature(key, scope, listed, header(kept, "x-amz-date"), request)
    kept.append(("Authorization", f"{front.ALGORITHM} Credential={key['id']}/{'/'.join(scope)}, SignedHeaders={';'.join(listed)}, Signature={made}"))


# ---------------------------------------------------------------------------------------------
# Faults

class Rule:
    def __init__(self, spec):
        self.spec, self.fault, self.seen, self.used = spec, spec["fault"], 0, 0
        if self.fault not in FAULTS:
            raise ValueError(f"no fault {self.fault}")
        action = spec.get("action")
        self.actions = {action} if isinstance(action, str) else set(action or ())

    def applies(self, request):
        if self.actions and request.action not in self.actions or self.spec.get("key", "") not in request.path:
            return False
        if "part" in self.spec and request.query.get("partNumber") != str(self.spec["part"]):
            return False
        if self.fault == "redirect" and f"/{self.spec['region']}/" in header(request.headers, "authorization"):
            return False
        self.seen += 1
        if self.seen <= self.spec.get("after", 0) or self.used >= self.spec.get("next", self.used + 1):
            return False
        if (self.seen - self.spec.get("after", 0)) % self.spec.get("every", 1):
            return False
        self.used += 1
        return True


def redirect(spec, request):
    status, region = spec.get("status", 301), spec["region"]
    here = spec.get("location", "https://" + header(request.headers, "host") + request.target)
    headers = [("x-amz-bucket-region", region)]
    if status == 400:
        wrong = header(request.headers, "authorization").split("/")[2:3]
        return Refused(400, "AuthorizationHeaderMalformed", f"The authorization header is malformed; the region '{''.join(wrong)}' is wrong; "
                       f"expecting '{region}'", {"Region": region}, headers)
    code = "TemporaryRedirect" if status == 307 else "PermanentRedirect"
    return Refused(status, code, "The bucket you are attempting to access must be addressed using the specified endpoint. Please send all "
                   "future requests to this endpoint.", {"Endpoint": urllib.parse.urlsplit(here).netloc, "Bucket": request.bucket},
                   [*headers, ("Location", here)])


def change_headers(headers, spec):
    gone = {name.lower() for name in spec.get("drop", ())} | {name.lower() for name in spec.get("set", {})}
    return [(n, v) for n, v in headers if n.lower() not in gone] + list(spec.get("set", {}).items())


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body
        self.length = header(headers, "content-length")  # of HEAD's answer, which has no body

    def change(self, rule):
        at = rule.spec.get("at", 0)
        if rule.fault == "short":
            self.body = self.body[:at]
        elif rule.fault == "flip" and at < len(self.body):
            self.body = self.body[:at] + bytes([self.body[at] ^ 1]) + self.body[at + 1:]
        elif rule.fault == "headers":
            self.headers = change_headers(self.headers, rule.spec)
        elif rule.fault == "body":
            self.body = self.body.replace(rule.spec["find"].encode(), rule.spec["put"].encode())

    def bytes(self, method):
        dropped = ("content-length", "transfer-encoding", "connection", "keep-alive")
        kept = [(n, v) for n, v in self.headers if n.lower() not in dropped]
        length = self.length if method == "HEAD" and self.length else str(len(self.body))
        if self.status not in (204, 304):
            kept.append(("Content-Length", length))
        head = f"HTTP/1.1 {self.status} Test\r\n" + "".join(f"{n}: {v}\r\n" for n, v in kept) + "\r\n"
        return head.encode("latin-1"), b"" if method == "HEAD" else self.body


# ---------------------------------------------------------------------------------------------
# The proxy

class Front:
    def __init__(self, upstream, ca):
        parts = urllib.parse.urlsplit(upstream)
        self.host, self.port = parts.hostname, parts.port
        self.tls = ssl.create_default_context(cafile=ca) if parts.scheme == "https" else None
        self.reset()

    def reset(self):
        self.verifier, self.rules, self.blocked = Verifier(), [], set()
        self.stats = {name: collections.Counter() for name in ("requests", "faults", "refused")}
        self.log = collections.deque(maxlen=LOG_MAX)
        self.connections = 0

    def control(self, method, path, body):
        if (method, path) == ("GET", "/__front/stats"):
            return {**self.stats, "connections": self.connections, "log": list(self.log),
                    "rules": [{**r.spec, "seen": r.seen, "used": r.used} for r in self.rules]}
        if (method, path) != ("POST", "/__front/rules"):
            raise ValueError("GET /__front/stats or POST /__front/rules")
        change = json.loads(body)
        if change.pop("reset", False):
            self.reset()
        if "clock" in change:
            self.verifier.clock = datetime.timedelta(seconds=change.pop("clock"))
        self.verifier.add(change.pop("keys", ()))
        self.blocked |= set(change.pop("blocked", ()))
        if "rules" in change:
            self.rules = [Rule(spec) for spec in change.pop("rules")]
        if change:
            raise ValueError(f"unknown: {', '.join(change)}")
        return {}

    async def serve(self, reader, writer):
        self.connections += 1
        try:
            while True:
                got = await read_message(reader)
                if got is None:
                    break
                request = Request(*got)
                if request.path.startswith("/__front/"):
                    await self.steer(request, reader, writer)
                elif not await self.respond(request, reader, writer):
                    break
                await writer.drain()
        except (Closed, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        except (ValueError, IndexError, front.Refused) as error:
            print(f"s3_front.py: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        finally:
            writer.close()

    async def steer(self, request, reader, writer):
        self.connections -= request.method == "POST"
        body = await read_body(reader, request.headers)
        try:
            answer = Answer(200, [], json.dumps(self.control(request.method, request.path, body)).encode())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            answer = Answer(400, [], json.dumps({"error": str(error)}).encode())
        writer.write(b"".join(answer.bytes(request.method)))

    def chosen(self, request):
        """The rules that apply: one, and those that go with it."""
        found = []
        for rule in self.rules:
            if any(other.fault not in BESIDES for other in found) and rule.fault not in BESIDES:
                continue
            if rule.applies(request):
                self.stats["faults"][rule.fault] += 1
                found.append(rule)
        return found

    async def receive(self, request, rules, reader, writer):
        """The body, or as much of it as is to be read."""
        if header(request.headers, "expect").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        for rule in rules:
            if rule.fault == "cut-upload":
                await reader.readexactly(min(rule.spec.get("at", 0), int(header(request.headers, "content-length", "0"))))
                raise Closed
        request.body = await read_body(reader, request.headers, BODY_MAX)

    async def respond(self, request, reader, writer):
        """Whether the connection may go on."""
        entry = {"action": request.action, "path": request.path, "query": request.query, "headers": [n.lower() for n, _ in request.headers]}
        self.stats["requests"][request.action] += 1
        self.log.append(entry)
        rules = self.chosen(request)
        await self.receive(request, rules, reader, writer)
        try:
            answer = await self.faulty(request, rules)
        except Refused as refused:
            self.stats["refused"][refused.code] += 1
            answer = Answer(refused.status, [("Content-Type", "application/xml"), *refused.headers], refused.body())
        entry["status"] = answer.status
        for rule in rules:
            answer.change(rule)
        head, body = answer.bytes(request.method)
        faults = {rule.fault: rule.spec for rule in rules}
        if "drop-after" in faults:
            raise Closed
        writer.write(head)
        if "cut" in faults:
            writer.write(body[:faults["cut"].get("at", 0)])
            await writer.drain()
            raise Closed
        writer.write(body)
        return header(request.headers, "connection").lower() != "close"

    async def faulty(self, request, rules):
        for rule in rules:
            spec = rule.spec
            if rule.fault == "delay":
                await asyncio.sleep(spec.get("seconds", 1))
            elif rule.fault == "drop-before":
                raise Closed
            elif rule.fault == "html":
                return Answer(spec.get("status", 502), [("Content-Type", "text/html")], front.HTML)
            elif rule.fault == "status":
                raise Refused(spec.get("status", 503), spec.get("code", "SlowDown"), spec.get("message", "Please reduce your request rate."))
            elif rule.fault == "redirect":
                raise redirect(spec, request)
        signer = self.verifier.check(request)
        self.refuse_blocked(request)
        for rule in rules:
            if rule.fault == "forget" and signer:
                request.headers = change_headers(request.headers, rule.spec)
                sign_anew(request, *signer)
        return self.noted(request, await self.forward(request))

    def refuse_blocked(self, request):
        if request.bucket in self.blocked and request.action in WRITES and header(request.headers, SSE_C):
            raise Refused(403, "AccessDenied", BLOCKED.format(user=front.USER, name=f"{request.bucket}/{request.key}"))

    def noted(self, request, answer):
        """What a bucket's encryption says of SSE-C: servers for tests do not know it."""
        if request.action == "PutBucketEncryption" and answer.status == 200:
            (self.blocked.add if b"<EncryptionType>SSE-C<" in request.body else self.blocked.discard)(request.bucket)
        elif request.action == "GetBucketEncryption" and request.bucket in self.blocked:
            answer.body = answer.body.replace(b"</Rule>", b"<BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType>"
                                              b"</BlockedEncryptionTypes></Rule>")
        return answer

    async def forward(self, request):
        dropped = ("connection", "keep-alive", "expect", "content-length", "transfer-encoding")
        kept = [(n, v) for n, v in request.headers if n.lower() not in dropped]
        if request.body or request.method in ("PUT", "POST"):
            kept.append(("Content-Length", str(len(request.body))))
        head = request.start + "\r\n" + "".join(f"{n}: {v}\r\n" for n, v in [*kept, ("Connection", "close")]) + "\r\n"
        reader, writer = await asyncio.open_connection(self.host, self.port, ssl=self.tls, limit=1 << 20)
        try:
            writer.write(head.encode("latin-1") + request.body)
            await writer.drain()
            start, headers = await read_message(reader)
            while start.split(" ")[1] == "100":
                start, headers = await read_message(reader)
            status = int(start.split(" ")[1])
            body = b"" if request.method == "HEAD" or status in (204, 304) else await read_body(reader, headers, BODY_MAX)
        except (TypeError, asyncio.IncompleteReadError, OSError) as error:
            print(f"s3_front.py: the server behind: {error}", file=sys.stderr, flush=True)
            raise Refused(500, "InternalError", "the server behind is gone") from None
        finally:
            writer.close()
        return Answer(status, headers, body)


async def run(args):
    proxy = Front(args.upstream, args.ca)
    proxy.control("POST", "/__front/rules", args.rules)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", args.port, limit=1 << 20, ssl=tls.context(args.folder))
    print(f"https://localhost:{server.sockets[0].getsockname()[1]}", flush=True)
    await tls.until_stopped()


def main():
    parser = argparse.ArgumentParser(description="a proxy before S3 that checks signatures and injects faults")
    parser.add_argument("folder")
    parser.add_argument("--upstream", required=True, metavar="URL")
    parser.add_argument("--ca", help="authority of the upstream's certificate")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--rules", default="{}", help="as POST /__front/rules takes them")
    options = parser.parse_args()
    tls.make(options.folder)
    asyncio.run(run(options))


if __name__ == "__main__":
    main()
