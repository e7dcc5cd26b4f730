"""What the live tests have in common: the command in a home of its own, and checks that are counted."""
import os
import subprocess
import sys
import tempfile
import traceback


class Command:
    """The command keybridge, with a home below `home`."""

    def __init__(self, command, home):
        self.command, self.home = os.path.abspath(command), home
        self.files = tempfile.mkdtemp(dir=home)
        self.env = {**os.environ, "KEYBRIDGE_HOME": os.path.join(home, "kb")}

    def run(self, *args, lines=(), env=None):
        """(exit code, output lines, stderr)"""
        done = subprocess.run([self.command, *args], input="".join(line + "\n" for line in lines).encode(),
                              capture_output=True, timeout=120, env=env or self.env)
        out = done.stdout.decode()
        return done.returncode, out.split("\n")[:-1] if out else [], done.stderr.decode()

    def must(self, *args):
        """The output lines, or the end of all."""
        code, out, err = self.run(*args)
        if code:
            raise SystemExit(f"keybridge {' '.join(args)}: exit {code}: {err.strip()}")
        return out

    def init(self):
        os.mkdir(self.env["KEYBRIDGE_HOME"], 0o700)
        self.must("init", "--yes")

    def file(self, name, data):
        path = os.path.join(self.files, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as f:
            f.write(data)
        return path


class Checks:
    def __init__(self):
        self.passed = self.failed = 0

    def __call__(self, name, check, *args):
        """Run check(*args), which raises when it finds a fault and may return a remark."""
        try:
            remark = check(*args)
        except Exception as error:  # whatever went wrong, the other checks go on
            self.failed += 1
            print(f"FAIL {name}: {error if isinstance(error, AssertionError) else traceback.format_exc()}", flush=True)
        else:
            self.passed += 1
            print(f"ok   {name}" + (f" ({remark})" if remark else ""), flush=True)

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed")
        sys.exit(1 if self.failed or not self.passed else 0)
