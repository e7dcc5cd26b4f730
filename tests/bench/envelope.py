#!/usr/bin/env python3
"""make bench-envelope: messages beside OpenSSL, a bare loop over files, the token, and the SDKs.

    envelope.py --build DIR [--only PART,…] [--rounds N] [--mib N] [--file-mib N] [--files N]
                [--stream-gib N] [--folder FOLDER] [--python PYTHON] [--js FOLDER]

Parts:
  library  memory to memory, beside the bare OpenSSL loop and SHA-384 alone (bench_envelope)
  files    the command on a file, beside a loop with the same reads, AES-GCM calls and writes (bench_gcm_file)
  sdks     the command beside the SDKs for Python and JavaScript: user CPU, suite 0x0478, frames of 4,096.
           Ours is that of the whole command, its start and its helper; theirs of the streaming call alone
  stream   memory of all processes, from a pipe to a pipe: what each had at most (VmHWM), added up
  tree     files of 4 KiB with -r on a tmpfs, beside the bare PKCS#11 calls (bench_floor)
All that is compared runs in one round, one behind the other; the median of the rounds counts. Absolute
times drift with the machine; nothing here fails on them.
"""
import argparse
import filecmp
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time

from bench import Bench, TOP, show
from tables import timed

sys.path.insert(0, os.path.join(TOP, "tests", "interop"))
import esdk  # noqa: E402

MIB = 1 << 20
WANTED = {"python": 15, "js": 10}
OURS = 8  # runs of ours for one of an SDK: the kernel counts user time in ticks, and one run has few
PARTS = ("library", "files", "sdks", "stream", "tree")


class Envelopes(Bench):
    def __init__(self, build, folder, options):
        super().__init__(build, folder, 20_000)
        self.build, self.options, self.figures = build, options, {}
        inner = os.path.join(build, ".libs", "keybridge")
        if os.path.exists(inner):  # what libtool made in its place is a script, with time and memory of its own
            self.keybridge = inner
            os.environ["LD_LIBRARY_PATH"] = os.path.dirname(inner)
        material = os.path.join(folder, "material")
        self.key = esdk.aes_key("bench", bytes(range(32)))
        with open(os.open(material, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as f:
            f.write(bytes(range(32)))
        subprocess.run([self.keybridge, "key", "import", "bench", "--use", "envelope", "--type", "aes-256",
                        "--in", material, "--format", "raw", "-q"], check=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def command(self, verb, *more):
        suite = ("--suite", "0x0478") if verb == "encrypt" else ()
        return [self.keybridge, "envelope", verb, "--keyring", "key=bench,namespace=keybridge-tests,name=bench", *suite, *more]

    def on_file(self, verb, source, target, frame, workers):
        """(wall, user CPU, system CPU) of the command, helper included."""
        length = ("--frame-length", str(frame)) if verb == "encrypt" else ()
        return timed(self.command(verb, *length, "--workers", str(workers), "-i", source, "-o", target))[:3]

    def plain(self, mib):
        path = self.path(f"plain-{mib}")
        if not os.path.exists(path):
            with open(path, "wb") as f:
                for _ in range(mib):
                    f.write(os.urandom(MIB))
        return path

    def add(self, name, value):
        self.figures.setdefault(name, []).append(value)

    def show(self):
        for name, values in self.figures.items():
            show(name, values)
        self.figures = {}


def library(bench):
    names = {"user": "user CPU of bare OpenSSL over ours (wanted 0.92)", "two": "wall of one worker over two (wanted 1.6)",
             "hash": "0x0578: wall of SHA-384 alone over ours (wanted 0.95)", "mib_s_one": "MiB/s, one worker"}
    for _ in range(bench.options.rounds):
        out = subprocess.run([os.path.join(bench.build, "bench_envelope"), "256", "3"], stdout=subprocess.PIPE, check=True).stdout
        for row in map(json.loads, out.splitlines()):
            for name, text in names.items():
                bench.add(f"{row['row']}, frames of {row['frame']}: {text}", row[name])
    bench.show()


# ---------------------------------------------------------------------------------------------

def one_file(bench, frame):
    mib = bench.options.file_mib
    plain, there, back, bare = bench.plain(mib), bench.path("there"), bench.path("back"), bench.path("bare")
    floor = os.path.join(bench.build, "bench_gcm_file")
    for verb, source, target, bare_source, bare_target in (
            ("encrypt", plain, there, plain, bare), ("decrypt", there, back, bare, bench.path("bare.back"))):
        least = timed([floor, verb, bare_source, bare_target, str(frame)])
        for workers in (1, 2):
            ours = bench.on_file(verb, source, target, frame, workers)
            name = f"{verb}, frames of {frame}, {workers} worker(s)"
            bench.add(f"{name}: user CPU of the bare loop over ours", least[1] / ours[1])
            bench.add(f"{name}: all CPU of the bare loop over ours", (least[1] + least[2]) / (ours[1] + ours[2]))
            bench.add(f"{name}: wall of the bare loop over ours", least[0] / ours[0])
            bench.add(f"{name}: MiB/s", mib / ours[0])
    assert filecmp.cmp(plain, back, False) and filecmp.cmp(plain, bench.path("bare.back"), False), "another plaintext"


def files(bench):
    for _ in range(bench.options.rounds):
        for frame in (65536, 4096):
            one_file(bench, frame)
    bench.show()


# ---------------------------------------------------------------------------------------------

def sdk_round(bench, peers):
    plain, there, back = bench.plain(bench.options.mib), bench.path("there"), bench.path("back")
    ours = dict.fromkeys(("encrypt", "decrypt"), 0)
    for _ in range(OURS):
        ours["encrypt"] += bench.on_file("encrypt", plain, there, 4096, 1)[1] / OURS
        ours["decrypt"] += bench.on_file("decrypt", there, back, 4096, 1)[1] / OURS
    assert filecmp.cmp(plain, back, False), "another plaintext"
    for verb, user in ours.items():
        bench.add(f"{verb}: keybridge, user CPU ms per MiB", user / bench.options.mib * 1000)
    for peer in peers:
        job = {"keys": [bench.key], "suite": "0478", "frame_length": 4096, "context": {}}
        theirs = bench.path("theirs")
        answers = peer.do([{**job, "verb": "encrypt", "in": plain, "out": theirs},
                           {"keys": job["keys"], "verb": "decrypt", "in": there, "out": back}])
        assert filecmp.cmp(plain, back, False), "another plaintext"
        assert os.path.getsize(theirs) == os.path.getsize(there), "messages of another size"
        for verb, answer in zip(("encrypt", "decrypt"), answers):
            bench.add(f"{verb}: {peer.name}, user CPU ms per MiB", answer["user"] / bench.options.mib * 1000)
            bench.add(f"{verb}: {peer.name} over keybridge (wanted {WANTED[peer.name]})", answer["user"] / ours[verb])


def sdks(bench):
    peers = esdk.peers(bench.options)
    if not peers:
        print("SKIP sdks: neither --python nor --js is given")
        return
    for _ in range(bench.options.rounds):
        sdk_round(bench, peers)
    bench.show()


# ---------------------------------------------------------------------------------------------

def children(root):
    found = [root]
    for pid in found:
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/children") as f:
                    found += map(int, f.read().split())
        except OSError:
            pass
    return found


class Peak(threading.Thread):
    """What a process and each below it had in memory at most; VmHWM only grows, so the last look counts."""

    def __init__(self, process):
        super().__init__()
        self.process, self.peaks, self.name_of = process, {}, {}
        self.start()

    def run(self):
        while self.process.poll() is None:
            for pid in children(self.process.pid):
                try:
                    with open(f"/proc/{pid}/status") as f:
                        fields = dict(line.split(":", 1) for line in f)
                    self.peaks[pid] = int(fields["VmHWM"].split()[0])
                    self.name_of[pid] = fields["Name"].strip()
                except (OSError, KeyError):  # it has ended
                    pass
            time.sleep(0.02)

    def mib(self):
        """(sum, what it is made of)"""
        self.join()
        return sum(self.peaks.values()) / 1024, ", ".join(f"{self.name_of[p]} {kib / 1024:.1f}" for p, kib in self.peaks.items())


def generate(out, count, digest):
    """So many MiB, no two alike, and their digest."""
    base = os.urandom(MIB)
    with out:
        for i in range(count):
            block = i.to_bytes(8, "big") + base[8:]
            digest.update(block)
            out.write(block)


def one_stream(bench, *options):
    sent, got, count = hashlib.sha256(), hashlib.sha256(), bench.options.stream_gib * 1024
    start = time.monotonic()
    first = subprocess.Popen(bench.command("encrypt", *options), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    second = subprocess.Popen(bench.command("decrypt"), stdin=first.stdout, stdout=subprocess.PIPE)
    first.stdout.close()
    peaks = {"encrypt": Peak(first), "decrypt": Peak(second)}
    writer = threading.Thread(target=generate, args=(first.stdin, count, sent))
    writer.start()
    size = 0
    while block := second.stdout.read(MIB):
        got.update(block)
        size += len(block)
    writer.join()
    assert first.wait() == 0 and second.wait() == 0, "failed"
    assert size == count * MIB and sent.digest() == got.digest(), "another plaintext"
    for verb, peak in peaks.items():
        total, parts = peak.mib()
        print(f"{verb}, {bench.options.stream_gib} GiB through pipes{', ' if options else ''}{' '.join(options)}: "
              f"at most {total:.1f} MiB in memory (limit 24): {parts}", flush=True)
    print(f"both at once in {time.monotonic() - start:.0f} s", flush=True)


def stream(bench):
    one_stream(bench)
    one_stream(bench, "--frame-length", "65536")


# ---------------------------------------------------------------------------------------------

def make_tree(folder, count):
    for i in range(count):
        place = os.path.join(folder, f"{i // 100:03}")
        os.makedirs(place, exist_ok=True)
        with open(os.path.join(place, f"{i % 100:02}"), "wb") as f:
            f.write(os.urandom(4096))


def same_tree(one, other, count):
    names = [os.path.relpath(os.path.join(at, name), one) for at, _, found in os.walk(one) for name in found]
    match, mismatch, missing = filecmp.cmpfiles(one, other, names, shallow=False)
    assert len(match) == count and not mismatch and not missing, (len(match), mismatch[:3], missing[:3])


def tree(bench):
    count = bench.options.files
    if subprocess.run(["stat", "-f", "-c", "%T", "/dev/shm"], stdout=subprocess.PIPE, check=True).stdout != b"tmpfs\n":
        print("SKIP tree: /dev/shm is no tmpfs")
        return
    with tempfile.TemporaryDirectory(prefix="keybridge-bench.", dir="/dev/shm") as folder:
        plain = os.path.join(folder, "plain")
        make_tree(plain, count)
        for i in range(bench.options.rounds):
            floor = bench.run_floor()
            there, back = (os.path.join(folder, f"{name}-{i}") for name in ("there", "back"))
            for verb, source, target in (("encrypt", plain, there), ("decrypt", there, back)):
                wall, user, system, _ = timed(bench.command(verb, "-q", "-r", source, "-o", target))
                of_token = floor[f"gcm_{verb}"]
                bench.add(f"tree, {verb}: files/s", count / wall)
                bench.add(f"tree, {verb}: files per CPU second", count / (user + system))
                bench.add(f"tree, {verb}: the token alone, per CPU second", of_token)
                bench.add(f"tree, {verb}: files/s over the token's rate", count / wall / of_token)
            same_tree(plain, back, count)
            subprocess.run(["rm", "-r", there, back], check=True)
    bench.show()


def main():
    parser = argparse.ArgumentParser(description="messages beside what bounds them")
    parser.add_argument("--build", default=".")
    parser.add_argument("--only", default=",".join(PARTS), metavar="PART,…")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mib", type=int, default=256, help="size of the file beside the SDKs")
    parser.add_argument("--file-mib", type=int, default=1024, help="and beside the bare loop")
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--stream-gib", type=int, default=10)
    parser.add_argument("--folder", help="where the files are (default: the usual temporary one)")
    esdk.add_options(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="keybridge-bench.", dir=options.folder) as folder:
        bench = Envelopes(os.path.abspath(options.build), folder, options)
        for part in options.only.split(","):
            {"library": library, "files": files, "sdks": sdks, "stream": stream, "tree": tree}[part](bench)


if __name__ == "__main__":
    main()
