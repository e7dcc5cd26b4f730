"""A reverse proxy on loopback before a DynamoDB or KMS server, which adds what test servers lack:
it checks the signature of every request with botocore's own SigV4, and injects faults.

    front.py --port P --upstream dynamodb=URL [--upstream kms=URL] [--seed N] [--region R] [--rules JSON]

    GET  /__front/stats           counters, as JSON
    POST /__front/rules           a JSON object with any of
        "rules": [rule, …]        replaces the rules
        "clock": seconds          how far this server's clock is ahead of the machine's
        "auth_status": 400 | 403  HTTP status of refused credentials (DynamoDB's is 400)
        "keys": [key, …]          adds {"id", "secret", "token", "expired"}
        "seed": N                 starts the dice anew
        "reset": true             no rules, right clock, counters at zero; comes first

A rule is {"fault": kind, …}. When it applies:
    "action": "PutItem" or a list; default: any       "table": name that the body must mention
    "every": n   each nth request that fits           "next": n   the next n, then never again
    "after": n   not the first n                      "share": p  by the dice, 0 to 1
Kinds:
    throttle     "code": ProvisionedThroughputExceededException (default), ThrottlingException, …
    unprocessed  of a BatchWriteItem, "items": p of the entries (0.5) come back as UnprocessedItems; the rest is really
                 done, and it is at least one unless "all": true
    status       "status": 500, 503, …    error       "code", "message", "status" (400)
    drop-before  the connection is closed and nothing forwarded      drop-after   done, but not answered
    cut          the connection is closed in the middle of the answer delay        "seconds" before forwarding
    html         a page as a proxy sends, "status" (502)             crc         a wrong x-amz-crc32
    deny         AccessDeniedException with AWS's words
The first rule that applies is taken; a delay lets the ones behind it apply too.
"""
import argparse
import asyncio
import collections
import datetime
import hashlib
import hmac
import json
import random
import signal
import sys
import urllib.parse
import zlib

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

KEYS = (
    {"id": "AKIAIOSFODNN7EXAMPLE", "secret": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"},
    {"id": "ASIATEMPORARYEXAMPLE", "secret": "temporary-secret-EXAMPLEKEY", "token": "temporary/token+EXAMPLE=="},
    {"id": "ASIAEXPIREDEXAMPLE00", "secret": "expired-secret-EXAMPLEKEY", "token": "expired/token+EXAMPLE==", "expired": True},
)
ACCOUNT = "123456789012"
USER = f"arn:aws:iam::{ACCOUNT}:user/tester"
SKEW = datetime.timedelta(minutes=5)
BODY_MAX = 20 << 20
ALGORITHM = "AWS4-HMAC-SHA256"
HTML = b"<html><head><title>502 Bad Gateway</title></head><body><h1>Bad Gateway</h1><p>The proxy could not reach the server.</p></body></html>\n"
SERVICE_OF = {"TrentService": "kms", "DynamoDB_20120810": "dynamodb"}


class Refused(Exception):
    """An answer of the kind AWS gives: code, message, status."""

    def __init__(self, code, message, status=400, key="message"):
        super().__init__(code)
        self.code, self.message, self.status, self.key = code, message, status, key


class Closed(Exception):
    """The connection is to be closed without another byte."""


# ---------------------------------------------------------------------------------------------
# HTTP/1.1, as much as clients of AWS use

async def read_message(reader):
    """(start line, [(name, value)]), or None at the end of a connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if not error.partial:
            return None
        raise
    start, *lines = head[:-4].decode("latin-1").split("\r\n")
    headers = []
    for line in lines:
        name, _, value = line.partition(":")
        headers.append((name, value.strip()))
    return start, headers


def header(headers, name, default=""):
    return next((v for n, v in headers if n.lower() == name), default)


async def read_body(reader, headers, limit=BODY_MAX):
    if "chunked" in header(headers, "transfer-encoding").lower():
        parts = []
        while True:
            size = int((await reader.readline()).split(b";")[0], 16)
            parts.append(await reader.readexactly(size))
            await reader.readline()
            if size == 0:
                return b"".join(parts)
    size = int(header(headers, "content-length", "0"))
    if size > limit:
        raise Refused("RequestEntityTooLargeException", "Request too large", 413)
    return await reader.readexactly(size)


def message(start, headers, body):
    kept = [(n, v) for n, v in headers if n.lower() not in ("content-length", "transfer-encoding", "connection", "keep-alive")]
    kept.append(("Content-Length", str(len(body))))
    return (start + "\r\n" + "".join(f"{n}: {v}\r\n" for n, v in kept) + "\r\n").encode("latin-1") + body


class Upstream:
    """A server behind, with a pool of kept connections."""

    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        self.host, self.port, self.free = parts.hostname, parts.port, []

    async def call(self, start, headers, body):
        """(status line, headers, body). A connection the server had closed is replaced once."""
        while True:
            kept = bool(self.free)
            reader, writer = self.free.pop() if kept else await asyncio.open_connection(self.host, self.port, limit=1 << 20)
            try:
                writer.write(message(start, headers, body))
                await writer.drain()
                answer = await read_message(reader)
                if answer is None:
                    raise ConnectionResetError
                content = await read_body(reader, answer[1])
            except (OSError, asyncio.IncompleteReadError):
                writer.close()
                if kept:
                    continue
                raise
            if header(answer[1], "connection").lower() == "close" or answer[0].startswith("HTTP/1.0"):
                writer.close()
            else:
                self.free.append((reader, writer))
            return answer[0], answer[1], content


# ---------------------------------------------------------------------------------------------
# Signatures

class ListedHeaders(SigV4Auth):
    """botocore leaves some headers out when it signs; to verify, those the client listed count."""

    def headers_to_sign(self, request):
        listed = AWSRequest(method="POST", url=request.url).headers
        for name in request.context["listed"]:
            listed[name] = request.headers[name]
        return listed


def parse_authorization(text):
    """(access key, scope, listed headers, signature)"""
    algorithm, _, rest = text.partition(" ")
    fields = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    if algorithm != ALGORITHM or set(fields) != {"Credential", "SignedHeaders", "Signature"}:
        raise Refused("IncompleteSignatureException", "Authorization header requires 'Credential' parameter. Authorization header "
                      "requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter.")
    access_key, _, scope = fields["Credential"].partition("/")
    return access_key, scope.split("/"), fields["SignedHeaders"].split(";"), fields["Signature"]


class Verifier:
    def __init__(self, region):
        self.region, self.keys, self.clock = region, {}, datetime.timedelta()
        self.add(KEYS)

    def add(self, keys):
        self.keys.update({key["id"]: key for key in keys})

    def now(self):
        return datetime.datetime.now(datetime.timezone.utc) + self.clock

    def check_date(self, stamp):
        try:
            made = datetime.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
        except ValueError:
            raise Refused("IncompleteSignatureException", "Date must be in ISO-8601 'basic format'. Got '" + stamp + "'.") from None
        now = self.now()
        at, limit = now.strftime("%Y%m%dT%H%M%SZ"), [(now + sign * SKEW).strftime("%Y%m%dT%H%M%SZ") for sign in (-1, 1)]
        if made < now - SKEW:
            raise Refused("InvalidSignatureException", f"Signature expired: {stamp} is now earlier than {limit[0]} ({at} - 5 min.)")
        if made > now + SKEW:
            raise Refused("InvalidSignatureException", f"Signature not yet current: {stamp} is still later than {limit[1]} ({at} + 5 min.)")

    def check_key(self, access_key, headers):
        """The key's record; its token must be the one that was sent."""
        key, token = self.keys.get(access_key), header(headers, "x-amz-security-token")
        if key is None or key.get("token", "") != token:
            raise Refused("UnrecognizedClientException", "The security token included in the request is invalid.")
        if key.get("expired"):
            raise Refused("ExpiredTokenException", "The security token included in the request is expired")
        return key

    def check(self, service, path, headers, body):
        authorization = header(headers, "authorization")
        if not authorization:
            raise Refused("MissingAuthenticationTokenException", "Request is missing Authentication Token")
        access_key, scope, listed, signature = parse_authorization(authorization)
        key = self.check_key(access_key, headers)
        stamp = header(headers, "x-amz-date")
        self.check_date(stamp)
        if len(scope) != 4 or scope[3] != "aws4_request" or scope[0] != stamp[:8]:
            raise Refused("InvalidSignatureException", "Credential should be scoped with a valid terminator and the date of the request.")
        if scope[1] != self.region:
            raise Refused("InvalidSignatureException", f"Credential should be scoped to a valid region, not '{scope[1]}'. ")
        if scope[2] != service:
            raise Refused("InvalidSignatureException", f"Credential should be scoped to correct service: '{service}'. ")
        unlisted = {n.lower() for n, _ in headers if n.lower().startswith("x-amz-")} - set(listed)
        if "host" not in listed or unlisted:
            raise Refused("InvalidSignatureException", "'Host' and all 'X-Amz-' headers must be a 'SignedHeader' in the AWS Authorization.")
        sent = header(headers, "x-amz-content-sha256")
        if sent and sent != "UNSIGNED-PAYLOAD" and sent != hashlib.sha256(body).hexdigest():
            raise Refused("InvalidSignatureException", "The provided 'x-amz-content-sha256' header does not match what was computed.")
        wanted = self.signature(key, scope, listed, stamp, path, headers, body)
        if not hmac.compare_digest(wanted, signature):
            raise Refused("InvalidSignatureException", "The request signature we calculated does not match the signature you provided. Check "
                          "your AWS Secret Access Key and signing method. Consult the service documentation for details.")

    @staticmethod
    def signature(key, scope, listed, stamp, path, headers, body):
        auth = ListedHeaders(Credentials(key["id"], key["secret"], key.get("token")), scope[2], scope[1])
        request = AWSRequest(method="POST", url="http://" + header(headers, "host") + path, data=body)
        for name, value in headers:
            request.headers[name] = value
        request.context.update({"timestamp": stamp, "listed": listed})
        return auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)


# ---------------------------------------------------------------------------------------------
# Faults

class Rule:
    def __init__(self, spec):
        self.spec, self.fault, self.seen, self.used = spec, spec["fault"], 0, 0
        if self.fault not in FAULTS:
            raise ValueError(f"no fault {self.fault}")
        action = spec.get("action")
        self.actions = {action} if isinstance(action, str) else set(action or ())

    def applies(self, action, body, dice):
        if self.actions and action not in self.actions or self.fault == "unprocessed" and action != "BatchWriteItem":
            return False
        if "table" in self.spec and json.dumps(self.spec["table"]).encode() not in body:
            return False
        self.seen += 1
        if self.seen <= self.spec.get("after", 0) or self.used >= self.spec.get("next", self.used + 1):
            return False
        if (self.seen - self.spec.get("after", 0)) % self.spec.get("every", 1) or dice.random() >= self.spec.get("share", 1):
            return False
        self.used += 1
        return True


FAULTS = ("throttle", "unprocessed", "status", "error", "drop-before", "drop-after", "cut", "delay", "html", "crc", "deny")
THROTTLES = {
    "ProvisionedThroughputExceededException": "The level of configured provisioned throughput for the table was exceeded. Consider increasing "
                                              "your provisioning level with the UpdateTable API.",
    "ThrottlingException": "Rate of requests exceeds the allowed throughput.",
    "RequestLimitExceeded": "Throughput exceeds the current throughput limit for your account.",
}


def refusal_of(rule, service, action, region, body):
    """The Refused that a rule means, or None when it is of another kind."""
    spec = rule.spec
    if rule.fault == "throttle":
        code = spec.get("code", "ProvisionedThroughputExceededException")
        return Refused(code, THROTTLES.get(code, "Rate exceeded"))
    if rule.fault == "status":
        status = spec.get("status", 500)
        return Refused("InternalServerError" if status == 500 else "ServiceUnavailable", "The request processing has failed because of an "
                       "unknown error, exception or failure.", status)
    if rule.fault == "error":
        return Refused(spec["code"], spec.get("message", ""), spec.get("status", 400))
    if rule.fault == "deny":
        resource = f"arn:aws:{service}:{region}:{ACCOUNT}:" + ("key/" if service == "kms" else "table/") + named_in(body)
        return Refused("AccessDeniedException", f"User: {USER} is not authorized to perform: {service}:{action} on resource: {resource} because "
                       f"no identity-based policy allows the {service}:{action} action", key="Message")
    return None


def named_in(body):
    try:
        request = json.loads(body)
        return request.get("TableName") or request.get("KeyId") or next(iter(request.get("RequestItems", {})), "*")
    except (ValueError, AttributeError):
        return "*"


def hold_back(rule, body, dice):
    """(what to forward, or None when nothing is left; UnprocessedItems)"""
    request, held = json.loads(body), {}
    for table, entries in request["RequestItems"].items():
        chosen = {i for i in range(len(entries)) if dice.random() < rule.spec.get("items", 0.5)}
        if chosen:
            held[table] = [entries[i] for i in sorted(chosen)]
            request["RequestItems"][table] = [e for i, e in enumerate(entries) if i not in chosen]
    left = {t: e for t, e in request["RequestItems"].items() if e}
    if not left and not rule.spec.get("all"):  # AWS does at least one, or throttles
        table = next(iter(held))
        left = {table: [held[table].pop(0)]}
        held = {t: e for t, e in held.items() if e}
    request["RequestItems"] = left
    return json.dumps(request).encode() if left else None, held


# ---------------------------------------------------------------------------------------------
# The proxy

class Front:
    def __init__(self, upstreams, region, seed):
        self.upstreams = {name: Upstream(url) for name, url in upstreams.items()}
        self.region = region
        self.reset(seed)

    def reset(self, seed=1):
        self.verifier, self.dice, self.rules, self.auth_status = Verifier(self.region), random.Random(seed), [], 400
        self.stats = {name: collections.Counter() for name in ("requests", "faults", "refused", "items")}
        self.connections = 0

    def control(self, method, path, body):
        if (method, path) == ("GET", "/__front/stats"):
            return {**self.stats, "connections": self.connections,
                    "rules": [{**r.spec, "seen": r.seen, "used": r.used} for r in self.rules]}
        if (method, path) != ("POST", "/__front/rules"):
            raise ValueError("GET /__front/stats or POST /__front/rules")
        change = json.loads(body)
        if change.pop("reset", False):
            self.reset()
        if "seed" in change:
            self.dice = random.Random(change.pop("seed"))
        if "clock" in change:
            self.verifier.clock = datetime.timedelta(seconds=change.pop("clock"))
        self.auth_status = change.pop("auth_status", self.auth_status)
        self.verifier.add(change.pop("keys", ()))
        if "rules" in change:
            self.rules = [Rule(spec) for spec in change.pop("rules")]
        if change:
            raise ValueError(f"unknown: {', '.join(change)}")
        return {}

    def date(self):
        return self.verifier.now().strftime("%a, %d %b %Y %H:%M:%S GMT")

    def answer(self, status, content, kind="application/x-amz-json-1.0", crc=True):
        headers = [("Content-Type", kind), ("Date", self.date()), ("x-amzn-RequestId", f"{self.dice.getrandbits(128):032X}")]
        if crc:
            headers.append(("x-amz-crc32", str(zlib.crc32(content))))
        return message(f"HTTP/1.1 {status} Test", headers, content)

    def refusal(self, refused, service):
        space = "com.amazon.coral.service#" if refused.status < 500 and refused.code not in THROTTLES else "com.amazonaws.dynamodb.v20120810#"
        kind = refused.code if service == "kms" else space + refused.code
        return self.answer(refused.status, json.dumps({"__type": kind, refused.key: refused.message}).encode())

    async def serve(self, reader, writer):
        used = False
        try:
            while True:
                request = await read_message(reader)
                if request is None:
                    break
                if not used and " /__front/" not in request[0]:
                    self.connections += 1
                    used = True
                if header(request[1], "expect").lower() == "100-continue":
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                writer.write(await self.respond(*request, await read_body(reader, request[1]), writer))
                await writer.drain()
                if header(request[1], "connection").lower() == "close":
                    break
        except (Closed, Refused, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        except (ValueError, IndexError) as error:
            print(f"front.py: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        finally:
            writer.close()

    async def respond(self, start, headers, body, writer):
        method, path, _ = start.split(" ")
        if path.startswith("/__front/"):
            try:
                return self.answer(200, json.dumps(self.control(method, path, body)).encode(), "application/json", crc=False)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                return self.answer(400, json.dumps({"error": str(error)}).encode(), "application/json", crc=False)
        if method != "POST":
            return self.answer(200, b"healthy: dynamodb\n", "text/plain")
        prefix, _, action = header(headers, "x-amz-target").partition(".")
        service = SERVICE_OF.get(prefix)
        self.stats["requests"][action or "?"] += 1
        try:
            if service not in self.upstreams:
                raise Refused("UnknownOperationException", "")
            return await self.faulty(service, action, (start, headers, body), writer)
        except Refused as refused:
            return self.refusal(refused, service)

    def chosen(self, action, body):
        for rule in self.rules:
            if rule.applies(action, body, self.dice):
                self.stats["faults"][rule.fault] += 1
                yield rule
                if rule.fault != "delay":
                    return

    async def faulty(self, service, action, request, writer):
        start, headers, body = request
        rule = None
        for rule in list(self.chosen(action, body)):
            if rule.fault == "delay":
                await asyncio.sleep(rule.spec.get("seconds", 1))
        fault = rule.fault if rule else None
        if fault == "drop-before":
            raise Closed
        if fault == "html":
            return self.answer(rule.spec.get("status", 502), HTML, "text/html", crc=False)
        try:
            self.verifier.check(service, start.split(" ")[1], headers, body)
        except Refused as refused:
            self.stats["refused"][refused.code] += 1
            refused.status = self.auth_status
            raise
        refused = refusal_of(rule, service, action, self.region, body) if rule else None
        if refused:
            refused.status = self.auth_status if fault == "deny" else refused.status
            raise refused
        held = {}
        if fault == "unprocessed":
            body, held = hold_back(rule, body, self.dice)
        status, content, more = await self.forward(service, start, headers, body)
        if held:
            self.stats["items"]["unprocessed"] += sum(map(len, held.values()))
            if status.split(" ")[1] == "200":
                content = json.dumps({**json.loads(content), "UnprocessedItems": held}).encode()
        return self.finished(fault, status, content, more, writer)

    async def forward(self, service, start, headers, body):
        if body is None:
            return "HTTP/1.1 200 OK", b"{}", []
        try:
            status, answered, content = await self.upstreams[service].call(start, headers, body)
        except (OSError, asyncio.IncompleteReadError) as error:
            print(f"front.py: {service}: {error}", file=sys.stderr, flush=True)
            raise Refused("InternalServerError", "the server behind is gone", 500) from None
        dropped = ("date", "x-amz-crc32", "server")
        return status, content, [(n, v) for n, v in answered if n.lower() not in dropped]

    def finished(self, fault, status, content, more, writer):
        if fault == "drop-after":
            raise Closed
        crc = zlib.crc32(content) ^ (1 if fault == "crc" else 0)
        out = message(status, [*more, ("Date", self.date()), ("x-amz-crc32", str(crc))], content)
        if fault == "cut":
            writer.write(out[:len(out) - (len(content) + 1) // 2])
            raise Closed
        return out


async def run(args):
    front = Front(dict(u.split("=", 1) for u in args.upstream), args.region, args.seed)
    front.control("POST", "/__front/rules", args.rules)
    server = await asyncio.start_server(front.serve, "127.0.0.1", args.port, limit=1 << 20)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    done = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, done.set)
    await done.wait()


def main():
    parser = argparse.ArgumentParser(description="a proxy that checks signatures and injects faults")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--upstream", action="append", required=True, metavar="SERVICE=URL")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rules", default="{}", help="as POST /__front/rules takes them")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
