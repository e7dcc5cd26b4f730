#!/usr/bin/env python3
"""make bench-s3: objects under customer keys at Ceph's gateway over TLS, beside curl and aws-cli.

    with.sh rgw -- s3.py --build DIR [--only PART,…] [--rounds N] [--mib N] [--stream-mib N] [--connections N]
                         [--folder FOLDER] [--s5cmd COMMAND]

Run it with a Python that has boto3 and awscli (s3-requirements.txt). Parts:
  big     one object, put and got: beside curl with requests that were signed before the clock starts, in the same
          parts on as many connections, and beside aws-cli. What an upload needs besides its parts (begin, complete,
          and the two HEADs that prove an object is encrypted) is in our times and not in curl's
  small   200 objects of 10 KiB, put and got, 16 connections: the same. "curl and HEADs" makes the requests that we
          make: PUT, HEAD with the key, HEAD without. s5cmd knows no customer keys: it stores in the clear
  client  client-side encryption (V3) beside SSE-C and the bare cipher: user CPU
  memory  of all processes: what each had at most (VmHWM), added up; a file and pipes
All that is compared runs in one round, one behind the other; the median of the rounds counts. Objects are deleted
between rounds, since the server has them in memory. Absolute times drift with the machine; nothing here fails on them.
"""
import argparse
import base64
import filecmp
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import boto3
import botocore.config

from bench import Bench, show
from envelope import MIB, Peak, generate
from tables import timed

PARTS = ("big", "small", "client", "memory")
PART = 8 * MIB
COUNT, SMALL, SMALL_CONNECTIONS = 200, 10 * 1024, 16
BUCKET = "bench"
KEY = bytes(range(32))
SSE_C = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": KEY}
NAME = "x-amz-server-side-encryption-customer-"
HEADERS = {NAME + "algorithm": "AES256", NAME + "key": base64.b64encode(KEY).decode(),
           NAME + "key-MD5": base64.b64encode(hashlib.md5(KEY).digest()).decode()}
SETTLE = 3  # seconds in which the server frees what was deleted
LIMIT = 64  # MiB of memory


class Transfers:
    """Requests for curl that are signed before the clock starts, the key's headers among them."""

    def __init__(self, bench):
        self.bench, self.lines = bench, []

    def add(self, operation, *options, with_key=True, **where):
        if self.lines:
            self.lines.append("next")
        url = self.bench.s3.generate_presigned_url(operation, Params={"Bucket": BUCKET, **where, **(SSE_C if with_key else {})})
        self.lines += [f'url = "{url}"', f'cacert = "{self.bench.ca}"', "http1.1", "silent", *options]
        if with_key:
            self.lines += ["fail", *(f'header = "{name}: {value}"' for name, value in HEADERS.items())]

    def run(self, connections):
        """(wall seconds, user CPU)"""
        path = self.bench.path("curl.conf")
        with open(path, "w", encoding="utf-8") as f:
            f.write("\n".join(self.lines) + "\n")
        return timed(["curl", "--no-progress-meter", "-Z", "--parallel-immediate", "--parallel-max", str(connections), "-K", path])[:2]


class Objects(Bench):
    def __init__(self, build, folder, options):
        super().__init__(build, folder, 0)
        self.options, self.figures = options, {}
        inner = os.path.join(build, ".libs", "keybridge")
        if os.path.exists(inner):  # what libtool made in its place is a script, with time and memory of its own
            self.keybridge = inner
            os.environ["LD_LIBRARY_PATH"] = os.path.join(build, ".libs")
        self.url, self.ca = os.environ["KB_RGW_URL"], os.environ["KB_RGW_CA"]
        config = botocore.config.Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"max_attempts": 0},
                                        request_checksum_calculation="when_required", response_checksum_validation="when_required")
        self.s3 = boto3.client("s3", endpoint_url=self.url, verify=self.ca, config=config)
        self.s3.create_bucket(Bucket=BUCKET)
        self.key_file = self.path("customer-key")
        with open(os.open(self.key_file, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as f:
            f.write(KEY)
        subprocess.run([self.keybridge, "key", "create", "-q", "client", "--use", "envelope", "--type", "aes-256"], check=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def plain(self, mib):
        path = self.path(f"plain-{mib}")
        if not os.path.exists(path):
            with open(path, "wb") as f:
                for _ in range(mib):
                    f.write(os.urandom(MIB))
        return path

    def command(self, verb, *args, connections=None):
        return [self.keybridge, "s3", verb, "-q", "--endpoint-url", self.url, "--ca-file", self.ca,
                "--connections", str(connections or self.options.connections), *args]

    def ours(self, verb, *args, connections=None):
        """(wall seconds, user CPU), the token's helper included."""
        return timed(self.command(verb, *args, connections=connections))[:2]

    def aws(self, *args):
        command = [sys.executable, os.path.join(os.path.dirname(sys.executable), "aws"), "--endpoint-url", self.url, "--ca-bundle", self.ca]
        return timed([*command, "s3", "cp", "--only-show-errors", "--sse-c", "AES256", "--sse-c-key", "fileb://" + self.key_file, *args],
                     env={**os.environ, "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required", "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required"})[:2]

    def remove_all(self):
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
            for item in page.get("Contents", ()):
                self.s3.delete_object(Bucket=BUCKET, Key=item["Key"])
        time.sleep(SETTLE)

    def add(self, name, value):
        self.figures.setdefault(name, []).append(value)

    def compare(self, what, ours, theirs, wall=None, user=None):
        """ours and theirs: (wall, user CPU); wall, user: the limits that are wanted."""
        name, other = theirs[0], theirs[1]
        self.add(f"{what}: {name}, wall s", other[0])
        self.add(f"{what}: {name}, user CPU s", other[1])
        self.add(f"{what}: wall over {name}" + (f" (wanted {wall})" if wall else ""), ours[0] / other[0])
        self.add(f"{what}: user CPU over {name}" + (f" (wanted {user})" if user else ""), ours[1] / other[1])

    def add_ours(self, what, ours):
        self.add(f"{what}: keybridge, wall s", ours[0])
        self.add(f"{what}: keybridge, user CPU s", ours[1])

    def show(self):
        for name, values in self.figures.items():
            show(name, values)
        self.figures = {}


# ---------------------------------------------------------------------------------------------

def cut(bench, plain):
    """The file's parts, for curl, which can only send whole ones."""
    folder = bench.path("parts")
    if not os.path.exists(folder):
        os.mkdir(folder)
        with open(plain, "rb") as f:
            for number, part in enumerate(iter(lambda: f.read(PART), b""), 1):
                with open(os.path.join(folder, f"{number:05}"), "wb") as out:
                    out.write(part)
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder))]


def curl_put(bench, parts):
    where = {"Key": "by-curl", "UploadId": bench.s3.create_multipart_upload(Bucket=BUCKET, Key="by-curl", **SSE_C)["UploadId"]}
    transfers = Transfers(bench)
    for number, path in enumerate(parts, 1):
        transfers.add("upload_part", f'upload-file = "{path}"', 'output = "/dev/null"', PartNumber=number, **where)
    spent = transfers.run(bench.options.connections)
    sent = bench.s3.list_parts(Bucket=BUCKET, **where, MaxParts=10_000)["Parts"]
    bench.s3.complete_multipart_upload(Bucket=BUCKET, **where, MultipartUpload={"Parts": [{k: p[k] for k in ("ETag", "PartNumber")} for p in sent]})
    return spent


def curl_get(bench, parts):
    transfers, out = Transfers(bench), bench.path("got")
    shutil.rmtree(out, ignore_errors=True)
    os.mkdir(out)
    for i in range(len(parts)):
        transfers.add("get_object", f'range = "{i * PART}-{(i + 1) * PART - 1}"', f'output = "{out}/{i:05}"', Key="by-curl")
    spent = transfers.run(bench.options.connections)
    assert all(filecmp.cmp(path, f"{out}/{i:05}", False) for i, path in enumerate(parts)), "curl got other bytes"
    shutil.rmtree(out)
    return spent


def big_round(bench, plain, parts):
    back = bench.path("back")
    for verb in ("put", "get"):
        what = f"{verb} of {bench.options.mib} MiB"
        if verb == "put":
            ours = bench.ours("put", plain, f"s3://{BUCKET}/by-us")
            others = {"curl": curl_put(bench, parts), "aws-cli": bench.aws(plain, f"s3://{BUCKET}/by-cli")}
        else:
            ours = bench.ours("get", f"s3://{BUCKET}/by-us", back)
            assert filecmp.cmp(plain, back, False), "we got other bytes"
            os.unlink(back)
            others = {"curl": curl_get(bench, parts), "aws-cli": bench.aws(f"s3://{BUCKET}/by-cli", back)}
            os.unlink(back)
        bench.add_ours(what, ours)
        bench.compare(what, ours, ("curl", others["curl"]), wall=1.15)
        bench.compare(what, ours, ("aws-cli", others["aws-cli"]), user={"put": 0.5, "get": 0.75}[verb])
    bench.remove_all()


def big(bench):
    plain = bench.plain(bench.options.mib)
    parts = cut(bench, plain)
    for _ in range(bench.options.rounds):
        big_round(bench, plain, parts)
    bench.show()


# ---------------------------------------------------------------------------------------------

def make_small(bench):
    folder = bench.path("small")
    os.mkdir(folder)
    for i in range(COUNT):
        with open(os.path.join(folder, f"{i:03}"), "wb") as f:
            f.write(os.urandom(SMALL))
    return folder


def curl_small_put(bench, folder, heads):
    """With `heads` also what we ask to see that an object is encrypted."""
    transfers = Transfers(bench)
    for name in sorted(os.listdir(folder)):
        transfers.add("put_object", f'upload-file = "{folder}/{name}"', 'output = "/dev/null"', Key=f"curl/{name}")
    spent = [transfers.run(SMALL_CONNECTIONS)]
    if heads:
        transfers = Transfers(bench)
        for name in sorted(os.listdir(folder)):
            for with_key in (True, False):
                transfers.add("head_object", "head", 'output = "/dev/null"', with_key=with_key, Key=f"curl/{name}")
        spent.append(transfers.run(SMALL_CONNECTIONS))
    return sum(wall for wall, _ in spent), sum(user for _, user in spent)


def curl_small_get(bench, folder, out):
    transfers = Transfers(bench)
    os.mkdir(out)
    for name in sorted(os.listdir(folder)):
        transfers.add("get_object", f'output = "{out}/{name}"', Key=f"curl/{name}")
    return transfers.run(SMALL_CONNECTIONS)


def same_files(one, other):
    names = os.listdir(one)
    assert len(filecmp.cmpfiles(one, other, names, shallow=False)[0]) == COUNT, f"other bytes in {other}"
    shutil.rmtree(other)


def s5cmd(bench, *args):
    config = {"AWS_CA_BUNDLE": bench.ca}
    return timed([bench.options.s5cmd, "--endpoint-url", bench.url, "--no-verify-ssl", "--numworkers", str(SMALL_CONNECTIONS), "cp", *args],
                 env={**os.environ, **config})[:2]


def small_round(bench, folder):
    there, back = f"s3://{BUCKET}/", bench.path("small-back")
    ours = bench.ours("put", "-r", folder, there + "ours/", connections=SMALL_CONNECTIONS)
    others = {"curl": curl_small_put(bench, folder, False), "curl and HEADs": curl_small_put(bench, folder, True),
              "aws-cli": bench.aws("--recursive", folder, there + "cli/")}
    if bench.options.s5cmd:
        others["s5cmd"] = s5cmd(bench, folder + "/*", there + "s5/")
    what = f"put of {COUNT} x {SMALL // 1024} KiB"
    bench.add_ours(what, ours)
    for name, spent in others.items():
        bench.compare(what, ours, (name, spent), wall={"curl": 1.3, "aws-cli": 0.33}.get(name))
    ours = bench.ours("get", "-r", there + "ours/", back, connections=SMALL_CONNECTIONS)
    same_files(folder, back)
    others = {"curl": curl_small_get(bench, folder, back)}
    same_files(folder, back)
    others["aws-cli"] = bench.aws("--recursive", there + "cli/", back)
    same_files(folder, back)
    if bench.options.s5cmd:
        others["s5cmd"] = s5cmd(bench, there + "s5/*", back + "/")
        same_files(folder, back)
    what = f"get of {COUNT} x {SMALL // 1024} KiB"
    bench.add_ours(what, ours)
    for name, spent in others.items():
        bench.compare(what, ours, (name, spent), wall={"curl": 1.3, "aws-cli": 0.33}.get(name))
    bench.remove_all()


def small(bench):
    folder = make_small(bench)
    for _ in range(bench.options.rounds):
        small_round(bench, folder)
    bench.show()


# ---------------------------------------------------------------------------------------------

def cipher_seconds(mib):
    """What OpenSSL needs for AES-256-GCM of so many MiB, in its pieces of 64 KiB."""
    out = subprocess.run(["openssl", "speed", "-mr", "-evp", "aes-256-gcm", "-bytes", "65536", "-seconds", "1"],
                         check=True, capture_output=True).stdout.decode()
    rate = float(out.strip().split("\n")[-1].split(":")[-1])
    return mib * MIB / rate


def client(bench):
    plain, mib = bench.plain(bench.options.mib), bench.options.mib
    for _ in range(bench.options.rounds):
        sse_c = bench.ours("put", plain, f"s3://{BUCKET}/sse-c")
        cipher = cipher_seconds(mib)
        v3 = bench.ours("put", "--encryption", "client", "--key", "client", plain, f"s3://{BUCKET}/client")
        bench.add(f"client-side put of {mib} MiB: user CPU s", v3[1])
        bench.add(f"client-side put of {mib} MiB: SSE-C, user CPU s", sse_c[1])
        bench.add(f"client-side put of {mib} MiB: the bare cipher, s", cipher)
        bench.add(f"client-side put of {mib} MiB: user CPU over SSE-C plus cipher (wanted 1.25)", v3[1] / (sse_c[1] + cipher))
        bench.remove_all()
    bench.show()


# ---------------------------------------------------------------------------------------------

def watched(bench, what, command, source=None, sink=None):
    """Runs it, `source` writing to its standard input and `sink` reading its output, and says what it had in memory."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE if source else subprocess.DEVNULL, stdout=subprocess.PIPE if sink else None)
    peak = Peak(process)
    threads = [threading.Thread(target=source, args=(process.stdin,))] if source else []
    threads += [threading.Thread(target=sink, args=(process.stdout,))] if sink else []
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert process.wait() == 0, f"{what} failed"
    total, parts = peak.mib()
    print(f"{what}: at most {total:.1f} MiB in memory (limit {LIMIT}): {parts}", flush=True)


def memory(bench):
    plain, back = bench.plain(bench.options.mib), bench.path("back")
    modes = {"sse-c": (), "client": ("--encryption", "client", "--key", "client"),
             "client-envelope": ("--encryption", "client-envelope", "--key", "client")}
    for mode, options in modes.items():
        reading = ("--key", "client") if options else ()
        where = f"s3://{BUCKET}/{mode}"
        watched(bench, f"{mode}, put of a file of {bench.options.mib} MiB", bench.command("put", *options, plain, where))
        if mode == "sse-c":  # parts that are too long for memory are read from the file as they are sent
            watched(bench, f"{mode}, put of it in parts of 200 MiB", bench.command("put", "--part-size", "200M", plain, where))
        watched(bench, f"{mode}, get of it", bench.command("get", *reading, where, back))
        assert filecmp.cmp(plain, back, False), "other bytes"
        os.unlink(back)
        bench.remove_all()
        sent, got, size = hashlib.sha256(), hashlib.sha256(), bench.options.stream_mib

        def drain(pipe, got=got):
            while block := pipe.read(MIB):
                got.update(block)
        watched(bench, f"{mode}, put of a pipe of {size} MiB", bench.command("put", *options, "-", where),
                source=lambda pipe, sent=sent, size=size: generate(pipe, size, sent))
        watched(bench, f"{mode}, cat of it", bench.command("cat", *reading, where), sink=drain)
        assert sent.digest() == got.digest(), "other bytes"
        bench.remove_all()


def main():
    parser = argparse.ArgumentParser(description="objects in S3 beside what bounds them")
    parser.add_argument("--build", default=".")
    parser.add_argument("--only", default=",".join(PARTS), metavar="PART,…")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mib", type=int, default=1024, help="size of the one object")
    parser.add_argument("--stream-mib", type=int, default=4096, help="and of what goes through pipes")
    parser.add_argument("--connections", type=int, default=4, help="for it, ours and curl's")
    parser.add_argument("--folder", help="where the files are (default: the usual temporary one)")
    parser.add_argument("--s5cmd", default=shutil.which("s5cmd"))
    options = parser.parse_args()
    if "KB_RGW_URL" not in os.environ:
        sys.exit("s3.py: run it under with.sh, with rgw")
    with tempfile.TemporaryDirectory(prefix="keybridge-bench.", dir=options.folder) as folder:
        bench = Objects(os.path.abspath(options.build), folder, options)
        for part in options.only.split(","):
            {"big": big, "small": small, "client": client, "memory": memory}[part](bench)


if __name__ == "__main__":
    main()
