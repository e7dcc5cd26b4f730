#!/usr/bin/env python3
"""make bench: keybridge's speed and memory beside its floor and beside the Python client.

    bench.py --build DIR [--items N] [--rounds N] [--million] [--python PYTHON]

Every round runs, one behind the other: the bare PKCS#11 calls (bench_floor), `item encrypt` and
`item decrypt` of the sales record with one worker and with two. Ratios are taken within a round; the
median of the rounds is what counts. CPU time is user + system of all processes, helpers included.
Absolute times drift with the machine; nothing here fails on them.
"""
import argparse
import csv
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))


def children_cpu():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def tree_rss(root):
    """Resident bytes of a process and all below it."""
    parents, sizes = {}, {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as stat:
                fields = stat.read().rsplit(")", 1)[1].split()
            parents[int(pid)] = int(fields[1])
            sizes[int(pid)] = int(fields[21]) * 4096
        except OSError:
            continue
    total, level = sizes.get(root, 0), [root]
    while level:
        level = [p for p, parent in parents.items() if parent in level]
        total += sum(sizes[p] for p in level)
    return total


def run(command, watch=False):
    """(wall seconds, CPU seconds, peak resident bytes of the process tree or 0)"""
    before, start, peak = children_cpu(), time.monotonic(), 0
    process = subprocess.Popen(command)
    while watch and process.poll() is None:
        peak = max(peak, tree_rss(process.pid))
        time.sleep(0.1)
    if process.wait() != 0:
        sys.exit(f"failed: {' '.join(command)}")
    return time.monotonic() - start, children_cpu() - before, peak


class Bench:
    def __init__(self, build, folder, items):
        self.keybridge = os.path.join(build, "keybridge")
        self.floor = os.path.join(build, "bench_floor")
        self.folder = folder
        self.items = items
        os.environ["KEYBRIDGE_HOME"] = os.path.join(folder, "home")
        os.environ["KEYBRIDGE_TOKEN_HELPER"] = os.path.join(build, "keybridge-token")
        subprocess.run([self.keybridge, "init", "--yes", "-q"], check=True)

    def make_items(self, count, name):
        path = os.path.join(self.folder, name)
        with open(os.path.join(TOP, "share", "sales-records.csv"), newline="") as source:
            lines = [json.dumps({k: {"S": v} for k, v in row.items()}, separators=(",", ":")) + "\n"
                     for row in csv.DictReader(source)]
        with open(path, "w") as out:
            for i in range(count):
                out.write(lines[i % len(lines)])
        return path

    def item(self, verb, workers, source, target, watch=False):
        return run([self.keybridge, "item", verb, "--format", "ddbec", "--table", "Table3",
                    "--partition-key", "Order ID", "--sort-key", "Ship Date",
                    "--workers", str(workers), "-i", source, "-o", target], watch)

    def run_floor(self):
        home = os.environ["KEYBRIDGE_HOME"]
        with open(os.path.join(home, "keybridge.json")) as settings:
            module = json.load(settings)["token"]["module"]
        env = dict(os.environ, SOFTHSM2_CONF=os.path.join(home, "softhsm2.conf"))
        out = subprocess.run([self.floor, module, "keybridge", os.path.join(home, "user.pin"), str(self.items)],
                             check=True, env=env, stdout=subprocess.PIPE).stdout
        figures = json.loads(out)
        return {**figures, "encrypt": max(figures["encrypt_generate"], figures["encrypt_create"])}


def show(name, values, unit=""):
    print(f"{name:58} median {statistics.median(values):10.2f}{unit}   "
          f"({min(values):.2f} to {max(values):.2f})", flush=True)


def rounds(bench, count):
    plain = bench.make_items(bench.items, "plain")
    ratios = {}

    def add(name, value):
        ratios.setdefault(name, []).append(value)
    for _ in range(count):
        floor = bench.run_floor()
        wall = {}
        for workers in (1, 2):
            there, back = os.path.join(bench.folder, "there"), os.path.join(bench.folder, "back")
            for verb, source, target in (("encrypt", plain, there), ("decrypt", there, back)):
                wall[verb, workers], cpu, _ = bench.item(verb, workers, source, target)
                rate = bench.items / cpu
                add(f"{verb}, {workers} worker(s): items per CPU second", rate)
                add(f"{verb}, {workers} worker(s): share of the floor", rate / floor[verb])
        for verb in ("encrypt", "decrypt"):
            add(f"{verb}: floor, items per CPU second", floor[verb])
            add(f"{verb}: wall rate of 2 workers over 1", wall[verb, 1] / wall[verb, 2])
    for name in sorted(ratios):
        show(name, ratios[name])
    return {verb: statistics.median(ratios[f"{verb}, 1 worker(s): items per CPU second"])
            for verb in ("encrypt", "decrypt")}


def beside_python(python, ours):
    out = subprocess.run([python, os.path.join(TOP, "tests", "interop", "bench_python.py")],
                         stdout=subprocess.PIPE, check=True).stdout
    theirs = json.loads(out)
    for verb in ("encrypt", "decrypt"):
        figure = theirs[f"{verb}_per_cpu_s"]
        print(f"{verb}: the Python client {figure['median']:.0f} (best {figure['best']:.0f}) items per CPU second; "
              f"keybridge has {ours[verb] / figure['median']:.1f} times its median, "
              f"{ours[verb] / figure['best']:.1f} times its best")


def million(bench):
    seconds = {}
    for count in (100_000, 1_000_000):
        source = bench.make_items(count, "many")
        target = os.path.join(bench.folder, "many.out")
        seconds[count], _, peak = bench.item("encrypt", 2, source, target, watch=True)
        print(f"{count} items, 2 workers: {seconds[count]:.1f} s, all processes together at most "
              f"{peak / 2**20:.0f} MiB (limit 128)", flush=True)
    print(f"time of 10 times the items: {seconds[1_000_000] / seconds[100_000]:.2f} times (10 is linear)")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=".")
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--million", action="store_true")
    parser.add_argument("--python", help="python with the original client installed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="keybridge-bench.") as folder:
        bench = Bench(os.path.abspath(options.build), folder, options.items)
        ours = rounds(bench, options.rounds)
        if options.python:
            beside_python(options.python, ours)
        if options.million:
            million(bench)


if __name__ == "__main__":
    main()
