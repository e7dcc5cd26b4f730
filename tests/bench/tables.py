#!/usr/bin/env python3
"""make bench-tables: loads and scans of an encrypted table in a server, beside what bounds them.

    tables.py --build DIR --server 'COMMAND with {port}' [--items N] [--rounds N] [--python PYTHON]

Every round starts the server anew and runs, one behind the other:
  bare      the same encrypted items by a client that only sends prepared requests (bench_push)
  load      `table load` of the CSV with encryption; scan and decryption of what it wrote
Bounds, within the round: the bare client's rate; the token floor (bench_floor's items per CPU second
and core, on as many workers as ours had); the rate two cores allow when the server needs its CPU per
item and the client the floor's. Ratios are to the least of the three; medians count, nothing fails.
"""
import argparse
import csv
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from bench import Bench, TOP, show

WORKERS, CONNECTIONS, CORES = 2, 4, 2


def cpu_of(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def timed(command, **options):
    """(wall seconds, user CPU, system CPU, standard output) of a command and its children."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, **options).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (time.monotonic() - start, after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime, out)


class Server:
    def __init__(self, command):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process = subprocess.Popen(command.format(port=self.port).split(), stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    break
            time.sleep(0.05)
        self.url = f"http://127.0.0.1:{self.port}"

    def cpu(self):
        return cpu_of(self.process.pid)

    def stop(self):
        self.process.terminate()
        self.process.wait()


def make_csv(path, count):
    with open(os.path.join(TOP, "share", "sales-records.csv"), newline="") as source:
        rows = list(csv.DictReader(source))
    with open(path, "w", newline="") as out:
        writer = csv.DictWriter(out, rows[0].keys())
        writer.writeheader()
        for i in range(count):
            writer.writerow(dict(rows[i % len(rows)], **{"Order ID": str(100_000_000 + i)}))


def create(bench, server, table):
    subprocess.run([bench.keybridge, "table", "create", "-q", "--table", f"dynamodb:{table}", "--endpoint-url", server.url,
                    "--partition-key", "Order ID:S", "--sort-key", "Ship Date:S"], check=True)


def one_round(bench, options, source, encrypted, floor, add):
    server = Server(options.server)
    push = os.path.join(options.build, "bench_push")
    remote = ["--endpoint-url", server.url, "--connections", str(CONNECTIONS), "--workers", str(WORKERS)]
    try:
        create(bench, server, "Bare")
        create(bench, server, "Table3")
        before = server.cpu()
        out = timed([push, "put", "127.0.0.1", str(server.port), "Bare", encrypted, str(CONNECTIONS)])[3]
        bare = float(out.split()[0])
        put_cpu = (server.cpu() - before) / options.items
        wall, user, system, _ = timed([bench.keybridge, "table", "load", source, "-q", "--table", "dynamodb:Table3"] + remote)
        before = server.cpu()
        out = timed([push, "scan", "127.0.0.1", str(server.port), "Table3"])[3]
        bare_scan = float(out.split()[0])
        scan_cpu = (server.cpu() - before) / options.items
        scan_wall, scan_user, scan_system, out = timed([bench.keybridge, "table", "scan", "--table", "dynamodb:Table3"] + remote)
        assert out.count(b"\n") == options.items, out.count(b"\n")
    finally:
        server.stop()
    for verb, bare_time, server_cpu, seconds, spent in (
            ("load", bare, put_cpu, wall, (user, system)), ("scan", bare_scan, scan_cpu, scan_wall, (scan_user, scan_system))):
        of_token = floor["encrypt" if verb == "load" else "decrypt"]
        bounds = {"bare client": options.items / bare_time, "token floor": of_token * WORKERS,
                  "CPU of two cores": CORES / (server_cpu + 1 / of_token)}
        least = min(bounds, key=bounds.get)
        rate = options.items / seconds
        for name, bound in bounds.items():
            add(f"{verb}: bound by {name}, items/s", bound)
        add(f"{verb}: items/s", rate)
        add(f"{verb}: share of the least bound ({least})", rate / bounds[least])
        add(f"{verb}: share of the least bound", rate / bounds[least])
        add(f"{verb}: user CPU us per item", spent[0] / options.items * 1e6)
        add(f"{verb}: system CPU us per item", spent[1] / options.items * 1e6)
        add(f"{verb}: server CPU us per item", server_cpu * 1e6)


def beside_python(bench, options, source, figures):
    server = Server(options.server)
    try:
        create(bench, server, "Table3")
        out = subprocess.run([options.python, os.path.join(TOP, "tests", "bench", "python_writer.py"), server.url, "Table3", source],
                             check=True, stdout=subprocess.PIPE).stdout
    finally:
        server.stop()
    theirs = json.loads(out)
    for verb, figure in (("load", theirs["write_us"]), ("scan", theirs["scan_us"])):
        ours = statistics.median(figures[f"{verb}: user CPU us per item"])
        print(f"{verb}: user CPU per item: keybridge {ours:.0f} us, the Python client {figure:.0f} us: {figure / ours:.1f} times ours")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=".")
    parser.add_argument("--server", required=True)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--python", help="python with the original client installed")
    options = parser.parse_args()
    options.build = os.path.abspath(options.build)
    os.environ.update(AWS_ACCESS_KEY_ID="bench", AWS_SECRET_ACCESS_KEY="bench", AWS_REGION="us-east-1",
                      AWS_DEFAULT_REGION="us-east-1", AWS_EC2_METADATA_DISABLED="true",
                      AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull)
    figures = {}

    def add(name, value):
        figures.setdefault(name, []).append(value)
    with tempfile.TemporaryDirectory(prefix="keybridge-bench.") as folder:
        bench = Bench(options.build, folder, options.items)
        source, encrypted = os.path.join(folder, "rows.csv"), os.path.join(folder, "encrypted")
        make_csv(source, options.items)
        plain = os.path.join(folder, "plain")
        with open(source, newline="") as rows, open(plain, "w") as out:
            for row in csv.DictReader(rows):
                out.write(json.dumps({k: {"S": v} for k, v in row.items()}, separators=(",", ":")) + "\n")
        bench.item("encrypt", WORKERS, plain, encrypted)
        for _ in range(options.rounds):
            one_round(bench, options, source, encrypted, bench.run_floor(), add)
        for name in sorted(figures):
            show(name, figures[name])
        if options.python:
            beside_python(bench, options, source, figures)


if __name__ == "__main__":
    sys.exit(main())
