"""The command against a DynamoDB that fails: through the front, with every fault a network has.

    with.sh dynalite?,moto,front -- live_tables.py --keybridge COMMAND [--rows N] [--kills N]

Whatever happens on the way, what is in the table is whole and encrypted, and nothing twice.
"""
import argparse
import csv
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import live
import live_keys  # noqa: F401  (finds peers)
import peers
from bridge import Checks

TABLE = "live-faults"
URL = os.environ.get("KB_FRONT_URL", "")
HEADER = ("Order ID", "Ship Date", "Country", "Item Type", "Units Sold")
KEYS = ("--wrap-key", "wrap256", "--sign-key", "sign256")
RETRIED = [{"fault": "throttle", "action": "BatchWriteItem", "every": 5}, {"fault": "throttle", "code": "ThrottlingException", "every": 11},
           {"fault": "unprocessed", "items": 0.3, "every": 3}, {"fault": "status", "status": 500, "every": 13},
           {"fault": "status", "status": 503, "every": 17}, {"fault": "drop-before", "every": 19}, {"fault": "drop-after", "every": 23},
           {"fault": "cut", "every": 29}, {"fault": "crc", "every": 31}, {"fault": "html", "status": 503, "every": 37}]


class Loader:
    """The command, its home, and a CSV file of some rows."""

    def __init__(self, bridge, count):
        self.bridge, self.count = bridge, count
        self.dynamodb = peers.client("dynamodb", peers.servers()[0][1], tries=3)  # beside the front
        self.rows = {(f"order-{i:06d}", f"2021-{i % 12 + 1:02d}-01"): (f"Country {i}", f"type {i % 7}", str(i)) for i in range(count)}
        self.path = os.path.join(bridge.files, f"rows-{count}.csv")
        with open(self.path, "w", newline="", encoding="utf-8") as f:
            csv.writer(f).writerows([HEADER, *((*key, *rest) for key, rest in self.rows.items())])

    def fresh(self, **rules):
        peers.create_table(self.dynamodb, TABLE, *HEADER[:2], "SS")
        peers.front(**rules)

    def command(self, *verb, url=URL):
        return ["table", *verb, "--table", f"dynamodb:{TABLE}", "--endpoint-url", url, *KEYS]

    def load(self, *more, env=None, url=URL):
        return self.bridge.run(*self.command("load", self.path, url=url), *more, env={**self.bridge.env, **(env or {})})

    def settle(self):
        """Waits until nothing that was on its way arrives any more."""
        before = None
        while (now := len(peers.scan_all(self.dynamodb, TABLE))) != before:
            before = now
            time.sleep(0.3)

    def stored(self):
        """Every item of the table, decrypted by the command; each must be a row, whole and encrypted."""
        raw = peers.scan_all(self.dynamodb, TABLE)
        for item in raw:
            assert set(item) == {*HEADER, live.peer.DESC, live.peer.SIG}, f"not whole: {sorted(item)}"
            assert all("B" in item[name] for name in HEADER[2:]), "an attribute is in the clear"
        peers.front()
        code, out, err = self.bridge.run(*self.command("scan"))
        assert code == 0, f"scan: exit {code}: {err.strip()[:500]}"
        found = [tuple(json.loads(line)[name]["S"] for name in HEADER) for line in out]
        assert len(found) == len(raw) and all(self.rows.get(f[:2]) == f[2:] for f in found), "not what was in the file"
        return found


def all_there(loader, rules, env=None):
    loader.fresh(rules=rules)
    code, _, err = loader.load(env=env)
    stats = peers.front_stats()
    assert code == 0, f"exit {code}: {err.strip()[:500]}"
    assert sum(stats["faults"].values()), "no fault happened"
    found = loader.stored()
    assert len(found) == loader.count, f"{len(found)} of {loader.count} rows"
    return f"faults: {', '.join(f'{k} {v}' for k, v in stats['faults'].items())}"


def scan_survives(loader):
    """Reading, with the same faults."""
    loader.fresh()
    assert loader.load()[0] == 0
    peers.front(rules=[{**r, "every": 1, "next": 1} for r in RETRIED if r["fault"] != "unprocessed" and r.get("action") is None])
    code, out, err = loader.bridge.run(*loader.command("scan"))
    assert code == 0 and len(out) == loader.count and len(set(out)) == loader.count, f"exit {code}, {len(out)} items: {err.strip()[:500]}"
    return f"faults: {peers.front_stats()['faults']}"


def skewed_clock(loader):
    """Their clock is off: corrected from the answer, as AWS's own clients do."""
    for seconds in (-7200, 7200):
        loader.fresh(clock=seconds)
        code, _, err = loader.load()
        refused = peers.front_stats()["refused"].get("InvalidSignatureException", 0)
        assert code == 0, f"{seconds} s: exit {code}: {err.strip()[:300]}"
        assert 1 <= refused <= 8, f"{seconds} s: {refused} refusals; once corrected there should be no more"
        assert len(loader.stored()) == loader.count


def refused(loader, wanted, words, **case):
    """Nothing is stored, the exit code is right, and the words say what to do."""
    env, url, rules = case.get("env"), case.get("url", URL), case.get("rules", {})
    loader.fresh(**rules)
    began = time.monotonic()
    code, out, err = loader.load(*case.get("more", ()), env={"AWS_MAX_ATTEMPTS": "3", **(env or {})}, url=url)
    took = time.monotonic() - began
    assert code == wanted and not out, f"exit {code} instead of {wanted}: {err.strip()[:500]}"
    assert all(w.lower() in err.lower() for w in words), f"no {words} in: {err.strip()[:500]}"
    assert "<html" not in err and "EXAMPLEKEY" not in err, f"page or secret shown: {err[:300]}"
    assert took < 30, f"{took:.0f} s"
    assert len(err.splitlines()) <= 6, f"{len(err.splitlines())} lines for one cause: {err[:500]}"
    peers.front()
    assert not peers.scan_all(loader.dynamodb, TABLE), "something was stored"
    return err.strip().splitlines()[0][:120]


def dead_port():
    """A port nobody listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{s.getsockname()[1]}"


def refusal_cases():
    """(name, exit code, words, case)"""
    for action in ("BatchWriteItem", "DescribeTable"):
        for status in (400, 403):
            deny = {"rules": [{"fault": "deny", "action": action}], "auth_status": status}
            yield f"{action} denied ({status})", 5, (f"dynamodb:{action}", f"table/{TABLE}", "Allow"), {"rules": deny}
    yield "wrong secret", 5, ("signature",), {"env": {"AWS_SECRET_ACCESS_KEY": "wrong"}}
    yield "unknown key", 5, ("credential",), {"env": {"AWS_ACCESS_KEY_ID": "AKIANOBODYEXAMPLE000"}}
    yield "expired credentials", 5, ("expired",), {"env": {"AWS_ACCESS_KEY_ID": "ASIAEXPIREDEXAMPLE00", "AWS_SECRET_ACCESS_KEY": "expired-secret-EXAMPLEKEY",
                                                           "AWS_SESSION_TOKEN": "expired/token+EXAMPLE=="}}
    yield "no credentials", 5, ("credential",), {"env": {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}}
    yield "wrong region", 5, ("region",), {"more": ("--region", "eu-west-1")}
    yield "a proxy's page", 7, (), {"rules": {"rules": [{"fault": "html", "status": 502}]}}
    yield "a proxy's page, status 200", 7, (), {"rules": {"rules": [{"fault": "html", "status": 200}]}}
    yield "always 500", 7, (), {"rules": {"rules": [{"fault": "status", "status": 500}]}}
    yield "always throttled", 7, (), {"rules": {"rules": [{"fault": "throttle", "action": "BatchWriteItem"}]}}
    yield "always dropped", 7, (), {"rules": {"rules": [{"fault": "drop-before"}]}}
    yield "nobody listens", 7, (), {"url": dead_port()}
    yield "no such host", 7, (), {"url": "http://no-such-host.invalid:8000"}
    yield "no TLS there", 7, (), {"url": URL.replace("http:", "https:")}
    yield "no such table", 3, (TABLE,), {"rules": {"rules": [{"fault": "error", "code": "ResourceNotFoundException", "message": "Requested resource not found"}]}}


def temporary_credentials(loader):
    loader.fresh()
    code, _, err = loader.load("--limit", "50", env={"AWS_ACCESS_KEY_ID": "ASIATEMPORARYEXAMPLE", "AWS_SECRET_ACCESS_KEY": "temporary-secret-EXAMPLEKEY",
                                                     "AWS_SESSION_TOKEN": "temporary/token+EXAMPLE=="})
    assert code == 0 and len(loader.stored()) == 50, f"exit {code}: {err.strip()[:300]}"


def denied_halfway(loader):
    """Permission is lost in the middle: it ends soon, says so, and what was written stays good."""
    loader.fresh(rules=[{"fault": "deny", "action": "BatchWriteItem", "after": 10}])
    code, _, err = loader.load()
    denied = peers.front_stats()["faults"].get("deny", 0)
    assert code == 5 and "dynamodb:BatchWriteItem" in err, f"exit {code}: {err.strip()[:300]}"
    assert denied <= 20, f"{denied} more requests after the first refusal"
    found = loader.stored()
    assert 0 < len(found) < loader.count, f"{len(found)} rows"
    return f"{len(found)} rows stayed"


def network_lost(loader):
    """Everything is dropped after some batches; and comes back in time."""
    loader.fresh(rules=[{"fault": "drop-before", "after": 10, "next": 12}])
    code, _, err = loader.load()
    assert code == 0 and len(loader.stored()) == loader.count, f"exit {code}: {err.strip()[:300]}"
    loader.fresh(rules=[{"fault": "drop-before", "after": 10}])
    code, _, err = loader.load(env={"AWS_MAX_ATTEMPTS": "3"})
    assert code == 7, f"exit {code}: {err.strip()[:300]}"
    return f"{len(loader.stored())} rows stayed"


def table_deleted(loader):
    """Under the load's hands."""
    loader.fresh(rules=[{"fault": "delay", "seconds": 0.02, "action": "BatchWriteItem"}])
    timer = threading.Timer(0.5, lambda: loader.dynamodb.delete_table(TableName=TABLE))
    timer.start()
    code, _, err = loader.load()
    timer.join()
    assert code == 3 and TABLE in err, f"exit {code}: {err.strip()[:300]}"


def killed(loader, rng, times):
    """kill -9 at random moments of a load: what is there is whole, and loading again completes it."""
    partial = 0
    loader.fresh(rules=[{"fault": "delay", "seconds": 0.005, "action": "BatchWriteItem"}])
    began = time.monotonic()
    assert loader.load()[0] == 0
    whole = time.monotonic() - began
    for _ in range(times):
        loader.fresh(rules=[{"fault": "unprocessed", "items": 0.2, "every": 2}, {"fault": "delay", "seconds": 0.005, "action": "BatchWriteItem"}])
        process = subprocess.Popen([loader.bridge.command, *loader.command("load", loader.path)], env=loader.bridge.env,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0.1, 1) * whole)
        process.send_signal(signal.SIGKILL)
        process.wait()
        loader.settle()
        partial += 0 < len(loader.stored()) < loader.count
    peers.front()
    code, _, err = loader.load()
    assert code == 0 and len(loader.stored()) == loader.count, f"loaded again: exit {code}: {err.strip()[:300]}"
    assert partial, "no kill hit in the middle"
    return f"{partial} of {times} in the middle"


def main():
    parser = argparse.ArgumentParser(description="the command against a DynamoDB that fails")
    parser.add_argument("--keybridge", required=True, metavar="COMMAND")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if not URL:
        sys.exit("live_tables.py: run it under with.sh, with front")
    check, rng = Checks(), random.Random(args.seed)
    with tempfile.TemporaryDirectory(prefix="kb-faults-") as home:
        bridge = live.Bridge(os.path.abspath(args.keybridge), home)
        bridge.set_up()
        loader, small = Loader(bridge, args.rows), Loader(bridge, 300)
        # Of so many faults ten may hit one request, one after the other.
        check("every fault at once", all_there, loader, RETRIED, {"AWS_MAX_ATTEMPTS": "40"})
        for rule in RETRIED:
            check(f"every third is {rule['fault']} {rule.get('code', rule.get('status', ''))}", all_there, small, [{**rule, "every": 3}])
        check("scan with faults", scan_survives, small)
        check("skewed clock", skewed_clock, small)
        for name, code, words, case in refusal_cases():
            check(name, lambda: refused(small, code, words, **case))
        check("temporary credentials", temporary_credentials, small)
        check("denied halfway", denied_halfway, loader)
        check("network lost halfway", network_lost, loader)
        check("table deleted halfway", table_deleted, loader)
        check("killed", killed, loader, rng, args.kills)
    check.finish()


if __name__ == "__main__":
    main()
