"""Start servers, run a command, stop them; with.sh has the words.

    run.py BUILD SERVER… -- COMMAND…

The servers' output is kept in BUILD/servers-*.log, one file each. They are stopped by their process
ids, whatever ends the command. Those for S3 speak TLS: KB_NAME_CA is the authority of their certificate.
"""
import ctypes
import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from ports import free_port

HERE = os.path.dirname(os.path.abspath(__file__))
START_SECONDS = 300
BEHIND_TLS = ("ministack", "moto-s3")
S3 = ("rgw", *BEHIND_TLS)
LIBC = ctypes.CDLL(None)
# AWS's own examples: no secret, and known as such to what looks for secrets.
ACCESS_KEY, SECRET_KEY, REGION = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1"
DROPPED = ("AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ROLE_ARN",
           "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
           "AWS_CA_BUNDLE", "AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE")


def environment(files):
    """The caller's environment without the user's AWS settings and proxies."""
    env = {k: v for k, v in os.environ.items()
           if k not in DROPPED and not k.startswith("AWS_ENDPOINT_URL") and not k.lower().endswith("_proxy")}
    for name in ("config", "credentials"):
        with open(os.path.join(files, name), "w", encoding="ascii"):
            pass
    env.update({"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
                "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true",
                "AWS_CONFIG_FILE": os.path.join(files, "config"),
                "AWS_SHARED_CREDENTIALS_FILE": os.path.join(files, "credentials")})
    return env


def up(url):
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=2):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def die_with_parent():
    """Should this program be killed with no chance to stop them."""
    LIBC.prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


class Servers:
    def __init__(self, build, env):
        self.build, self.env, self.running = build, env, []

    def start(self, name, port, command, ready=None):
        """Start one and wait until it answers, or until ready() says so; returns its URL."""
        url = f"http://127.0.0.1:{port}"
        ready = ready or (lambda: up(url))
        path = os.path.join(self.build, f"servers-{name}.log")
        with open(path, "wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env,
                                       start_new_session=True, preexec_fn=die_with_parent)
        self.running.append(process)
        end = time.monotonic() + START_SECONDS
        while not ready():
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"run.py: {name} does not start (see {path})")
            time.sleep(0.05)
        return url

    def stop(self):
        for process in reversed(self.running):
            process.terminate()
        for process in self.running:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def commands(build):
    def dynalite(port):
        return ["node", os.path.join(build, "dynalite/node_modules/dynalite/cli.js"), "--host", "127.0.0.1", "--port", str(port),
                "--createTableMs", "0", "--deleteTableMs", "0", "--updateTableMs", "0"]

    def moto(port):
        return [os.path.join(build, "venv/bin/moto_server"), "-H", "127.0.0.1", "-p", str(port)]

    def ministack(port):
        return ["env", "BIND_HOST=127.0.0.1", f"GATEWAY_PORT={port}", "SERVICES=s3,sts", os.path.join(build, "venv-s3/bin/ministack")]

    def dynamodb_local(port):
        place = os.environ["KEYBRIDGE_DYNAMODB_LOCAL"]
        return ["java", f"-Djava.library.path={place}/DynamoDBLocal_lib", "-jar", f"{place}/DynamoDBLocal.jar",
                "-inMemory", "-sharedDb", "-disableTelemetry", "-port", str(port)]
    return {"dynalite": dynalite, "moto": moto, "moto-s3": moto, "ministack": ministack, "dynamodb-local": dynamodb_local}


def loopback_up():
    """In a network namespace of our own even loopback is down at first."""
    request = struct.pack("16sh14x", b"lo", 0x41)  # IFF_UP | IFF_RUNNING
    with socket.socket() as s:
        try:
            fcntl.ioctl(s, 0x8914, request)  # SIOCSIFFLAGS
        except PermissionError:  # not ours: it is up
            pass


def start_rgw(servers, files):
    """Ceph's gateway says itself where it is, and when."""
    place = os.path.join(files, "rgw")
    said = os.path.join(place, "env")
    servers.start("rgw", 0, [sys.executable, os.path.join(HERE, "rgw.py"), "--dir", place, "--memory", os.environ.get("KB_RGW_MEMORY", "4")],
                  lambda: os.path.exists(said))
    with open(said, encoding="ascii") as f:
        return dict(word.split("=", 1) for line in f for word in line.split()[1:] if word.startswith("KB_"))


def start_behind_tls(servers, build, name, files):
    """A server that speaks http only, and tls.py before it."""
    port, front = free_port(), free_port()
    servers.start(name, port, commands(build)[name](port))
    place = os.path.join(files, "tls")
    servers.start(name + "-tls", front, [sys.executable, os.path.join(HERE, "tls.py"), place, "--port", str(front), "--upstream", str(port)],
                  lambda: listens(front))
    return {variable(name, "URL"): f"https://localhost:{front}", variable(name, "CA"): os.path.join(place, "ca.pem")}


def start_front(servers, build, urls):
    port = free_port()
    command = [os.path.join(build, "venv/bin/python"), os.path.join(HERE, "front.py"), "--port", str(port),
               "--upstream", f"dynamodb={list(urls.values())[0]}"]
    if "moto" in urls:
        command += ["--upstream", f"kms={urls['moto']}"]
    return servers.start("front", port, command)


def start_s3_front(servers, build, name, env, files):
    """s3_front.py before a server of S3."""
    port, place = free_port(), os.path.join(files, "front")
    servers.start(name + "-front", port, [os.path.join(build, "venv-s3/bin/python"), os.path.join(HERE, "s3_front.py"), place,
                                          "--port", str(port), "--upstream", env[variable(name, "URL")], "--ca", env[variable(name, "CA")]],
                  lambda: listens(port))
    env.update({variable(name, "FRONT_URL"): f"https://localhost:{port}", variable(name, "FRONT_CA"): os.path.join(place, "ca.pem")})


def variable(name, what):
    return f"KB_{name.upper().replace('-', '_')}_{what}"


def start_all(servers, build, names, env, files):
    urls = {}
    for name in [n for n in names if n not in ("front", "s3-front")]:
        if name == "rgw":
            env.update(start_rgw(servers, files))
        elif name in BEHIND_TLS:
            env.update(start_behind_tls(servers, build, name, files))
        else:
            port = free_port()
            urls[name] = env[variable(name, "URL")] = servers.start(name, port, commands(build)[name](port))
    for name in [n for n in names if n in S3 and "s3-front" in names]:
        start_s3_front(servers, build, name, env, files)
    if "front" in names:
        if not urls:
            raise SystemExit("run.py: the front needs a server behind it")
        env["KB_FRONT_URL"] = start_front(servers, build, urls)


SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def stopped(number, frame):
    for other in SIGNALS:  # one is enough, and the servers are stopped in peace
        signal.signal(other, signal.SIG_IGN)
    raise SystemExit(128 + number)


def main():
    split = sys.argv.index("--")
    build, names, command = sys.argv[1], sys.argv[2:split], sys.argv[split + 1:]
    for number in SIGNALS:
        signal.signal(number, stopped)
    if "dynamodb-local" in names:
        loopback_up()
    with tempfile.TemporaryDirectory(prefix="kb-servers-") as files:
        env = environment(files)
        servers, child = Servers(build, dict(env)), None
        try:
            start_all(servers, build, names, env, files)
            child = subprocess.Popen(command, env=env)
            code = child.wait()
        finally:
            if child and child.poll() is None:
                child.terminate()
                child.wait()
            servers.stop()
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    sys.exit(main())
