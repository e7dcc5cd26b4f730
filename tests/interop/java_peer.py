"""The real Java DynamoDB Encryption Client, as java/install.sh builds it: one process, asked by lines."""
import glob
import json
import os
import subprocess

import ddbec_peer as peer


class Refused(Exception):
    """What the client raised."""


class JavaPeer:
    def __init__(self, folder):
        classes = [os.path.join(folder, "peer.jar"), *glob.glob(os.path.join(folder, "lib", "*.jar"))]
        command = ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", os.pathsep.join(classes), "Peer"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def close(self):
        self.process.stdin.close()
        self.process.wait(20)

    def ask(self, op, record, item, description=None):
        provider = {name: peer.KEYS[value] if name.endswith("_key") and value else value for name, value in record["provider"].items()}
        request = {"op": op, "provider": provider, "item": item, "description": description or {},
                   **{k: record[k] for k in ("table", "partition_key", "sort_key", "actions")}}
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["item"]

    def encrypt(self, record, item, description=None):
        """description: also chooses algorithms, amzn-ddb-wrap-alg and amzn-ddb-map-signingAlg among them."""
        algorithm = record["provider"]["signature_algorithm"]
        chosen = {} if algorithm.startswith("Hmac") else {"amzn-ddb-map-signingAlg": algorithm}
        return self.ask("encrypt", record, item, {**chosen, **(description or {})})

    def decrypt(self, record, encrypted=None):
        return self.ask("decrypt", record, encrypted or record["encrypted"])
