#!/usr/bin/env python3
"""Ceph's RADOS gateway over TLS, for tests: a whole cluster in one folder and in memory.

    rgw.py [--dir D] [--port P] [--memory GIB] [--check]

Runs until it is stopped (SIGTERM, SIGINT) and takes its daemons with it, whatever ends it. When it serves it prints
its URL, and D/env has what a client needs, for `. D/env`: KB_RGW_URL, KB_RGW_CA (the certificate authority),
KB_RGW_AUTO_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION. Without --dir it uses a temporary folder and
removes it; with it, D must be new or empty, and the daemons' logs stay in it. All is lost when it stops.

    tests/servers/rgw.py --dir /tmp/rgw & sleep 6; . /tmp/rgw/env
    curl --cacert $KB_RGW_CA $KB_RGW_URL

Debian: apt-get install --no-install-recommends ceph-mon ceph-osd radosgw. Needs no root, no disk, no systemd.

What is there: buckets in path style and as BUCKET.localhost, two users (USERS), SSE-C, SSE-KMS with the keys KMS_KEYS,
versioning, object lock, policies. At KB_RGW_URL an object sent with no encryption is stored as it came; SSE-S3's header
is accepted there and means nothing. KB_RGW_AUTO_URL is a second gateway to the same buckets which has a default key
(rgw_crypt_default_encryption_key): what is sent there with no other encryption is encrypted under it.
"""
import argparse
import ctypes
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid

import tls
from ports import free_port

# AWS's own examples: no secrets, and known as such to what looks for secrets.
USERS = {"tester": ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
         "other": ("AKIAI44QH8DHBEXAMPLE", "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY")}
KMS_KEYS = {"testkey-1": "Zmlyc3Qga2V5IG9mIHRoZSB0ZXN0aW5nIGJhY2tlbmQ=", "testkey-2": "c2Vjb25kIGtleSBvZiB0ZXN0aW5nIGJhY2tlbmQgMDE="}
DEFAULT_KEY = "ZGVmYXVsdCBrZXkgb2YgdGhlIG90aGVyIGdhdGV3YXk="
START_SECONDS = 300
PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "monmaptool", "ceph", "openssl")
LIBC = ctypes.CDLL(None)

# With authentication off, radosgw hangs unless it is told crc; the intervals are what starting waits for. Deleted
# objects are freed at once and not after two hours, since all is in memory.
CONF = """
[global]
fsid = {fsid}
mon_host = v2:127.0.0.1:{mon_port}
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
ms_mon_client_mode = crc
ms_mon_cluster_mode = crc
ms_mon_service_mode = crc
ms_bind_msgr1 = false
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
run_dir = {folder}
crash_dir = {folder}
admin_socket =
log_file =
log_to_stderr = true
err_to_stderr = true
debug_rocksdb = 0
keyring = /dev/null
mon_allow_pool_size_one = true
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
objecter_tick_interval = 0.3
paxos_propose_interval = 0.02
paxos_min_wait = 0.01
[mon]
mon_data = {folder}/mon
[osd]
osd_data = {folder}/osd
osd_objectstore = memstore
memstore_device_bytes = {memory}
[client]
rgw_data = {folder}
rgw_dns_name = localhost
rgw_thread_pool_size = 64
rgw_gc_obj_min_wait = 1
rgw_gc_processor_period = 2
rgw_crypt_s3_kms_backend = testing
rgw_crypt_s3_kms_encryption_keys = {kms_keys}
[client.rgw]
rgw_frontends = beast ssl_endpoint=127.0.0.1:{port} {certificate} tcp_nodelay=1
[client.auto]
rgw_frontends = beast ssl_endpoint=127.0.0.1:{auto_port} {certificate} tcp_nodelay=1
rgw_crypt_default_encryption_key = {default_key}
"""
ENV = """\
export KB_RGW_URL=https://localhost:{port} KB_RGW_AUTO_URL=https://localhost:{auto_port} KB_RGW_CA={ca}
export AWS_ACCESS_KEY_ID={id} AWS_SECRET_ACCESS_KEY={secret} AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1
"""


def missing():
    """The programs that are not installed; Debian has some of them outside a user's path."""
    os.environ["PATH"] += os.pathsep + "/usr/sbin" + os.pathsep + "/sbin"
    found = {name for name in PROGRAMS for place in os.environ["PATH"].split(os.pathsep) if os.access(os.path.join(place, name), os.X_OK)}
    return [name for name in PROGRAMS if name not in found]


def claim_port(wanted=0):
    """A port that nobody has: with authentication off, a daemon that finds its port taken would talk to another's."""
    if not wanted:
        return free_port()
    with socket.socket() as s:
        try:
            s.bind(("127.0.0.1", wanted))
        except OSError:
            raise SystemExit(f"rgw.py: port {wanted} is taken") from None
        return wanted


def die_with_parent():
    LIBC.prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


class Cluster:
    def __init__(self, folder, port, memory):
        self.folder, self.running = folder, []
        self.fsid = str(uuid.uuid4())
        self.ca, certificate, key = tls.make(folder)
        self.ports = {"mon_port": claim_port(), "port": claim_port(port), "auto_port": claim_port()}
        with open(self.path("ceph.conf"), "w", encoding="ascii") as f:
            f.write(CONF.format(fsid=self.fsid, folder=folder, memory=memory << 30, default_key=DEFAULT_KEY,
                                kms_keys=" ".join(f"{name}={value}" for name, value in KMS_KEYS.items()),
                                certificate=f"ssl_certificate={certificate} ssl_private_key={key}", **self.ports))
        self.env = {**os.environ, "CEPH_CONF": self.path("ceph.conf")}

    def path(self, name):
        return os.path.join(self.folder, name)

    def run(self, *command):
        """A program that ends, its words in a log."""
        with open(self.path("setup.log"), "ab") as log:
            if subprocess.run(command, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=START_SECONDS).returncode:
                self.fail(f"{command[0]} failed")

    def daemon(self, name, *command):
        with open(self.path(name + ".log"), "wb") as log:
            self.running.append(subprocess.Popen(command, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                 start_new_session=True, preexec_fn=die_with_parent))

    def start(self):
        os.mkdir(self.path("mon"))
        os.mkdir(self.path("osd"))
        self.run("monmaptool", "--create", "--fsid", self.fsid, "--addv", "a", f"[v2:127.0.0.1:{self.ports['mon_port']}]", self.path("monmap"))
        self.run("ceph-mon", "--mkfs", "-i", "a", "--monmap", self.path("monmap"))
        self.daemon("mon", "ceph-mon", "-f", "-i", "a")
        self.run("ceph-osd", "--mkfs", "-i", "0", "--osd-uuid", self.fsid)
        self.run("ceph", "osd", "new", self.fsid, "0")
        self.daemon("osd", "ceph-osd", "-f", "-i", "0")
        self.daemon("rgw", "radosgw", "-f", "-n", "client.rgw")
        self.wait("port")
        self.daemon("auto", "radosgw", "-f", "-n", "client.auto")
        for user, (access, secret) in USERS.items():
            self.run("radosgw-admin", "-n", "client.rgw", "user", "create", f"--uid={user}", f"--display-name={user}",
                     f"--access-key={access}", f"--secret-key={secret}")
        self.wait("auto_port")

    def wait(self, port):
        """Until a gateway answers; should one of the daemons end, nothing will."""
        trusted, end = ssl.create_default_context(cafile=self.ca), time.monotonic() + START_SECONDS
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trusted))
        while True:
            try:
                opener.open(f"https://127.0.0.1:{self.ports[port]}/", timeout=5).close()
                return
            except urllib.error.HTTPError:
                return
            except OSError:
                if self.ended() or time.monotonic() > end:
                    self.fail("it does not start")
            time.sleep(0.05)

    def ended(self):
        return any(process.poll() is not None for process in self.running)

    def publish(self):
        """D/env appears whole."""
        access, secret = USERS["tester"]
        with open(self.path("env.new"), "w", encoding="ascii") as f:
            f.write(ENV.format(ca=self.ca, id=access, secret=secret, **self.ports))
        os.rename(self.path("env.new"), self.path("env"))
        print(f"https://localhost:{self.ports['port']}", flush=True)

    def stop(self):
        """The gateways first: without the cluster they would wait for it."""
        for process in reversed(self.running):
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


    def fail(self, what):
        """What the daemons said last, since the folder may go with the program."""
        for name in ("setup", "mon", "osd", "rgw", "auto"):
            if os.path.exists(self.path(name + ".log")):
                with open(self.path(name + ".log"), encoding="utf-8", errors="replace") as log:
                    print(f"== {name}", *log.read().split("\n")[-15:], sep="\n", file=sys.stderr)
        raise SystemExit(f"rgw.py: {what} (see above, and the logs in {self.folder})")


def serve(folder, options):
    cluster = Cluster(folder, options.port, options.memory)
    try:
        cluster.start()
        cluster.publish()
        while not cluster.ended():
            time.sleep(0.2)
        cluster.fail("one of its daemons has ended")
    finally:
        cluster.stop()


def stopped(number, frame):
    for other in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # one is enough, and the daemons are stopped in peace
        signal.signal(other, signal.SIG_IGN)
    sys.exit(0)


def main():
    parser = argparse.ArgumentParser(description="Ceph's RADOS gateway over TLS, in one folder")
    parser.add_argument("--dir")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--memory", type=int, default=4, metavar="GIB", help="what it can hold (default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="only say whether it could start here")
    options = parser.parse_args()
    lacking = missing()
    if lacking:
        raise SystemExit("rgw.py: not installed: " + " ".join(lacking))
    if options.check:
        return
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stopped)
    if options.dir:
        os.makedirs(options.dir, exist_ok=True)
        if os.listdir(options.dir):
            raise SystemExit(f"rgw.py: {options.dir} is not empty")
        serve(os.path.abspath(options.dir), options)
    else:
        with tempfile.TemporaryDirectory(prefix="kb-rgw-") as folder:
            serve(folder, options)


if __name__ == "__main__":
    main()
