"""The Python client's speed: items per second of user CPU time, as one JSON line.

A sales record of 14 attributes, 12 of them encrypted and 2 signed, AES-256 key wrap and HMAC-SHA256;
several short rounds in one process, without conversion to or from JSON.
"""
import json
import resource
import statistics

import ddbec_peer as peer

ROUNDS, SECONDS = 12, 0.5


def user_cpu():
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime


def rate(work):
    """Items per user CPU second of one round of about SECONDS."""
    done, start = 0, user_cpu()
    while True:
        for _ in range(20):
            work()
        done += 20
        spent = user_cpu() - start
        if spent >= SECONDS:
            return done / spent


def main():
    record = {"table": "Orders", "partition_key": "pk", "sort_key": "sk",
              "provider": peer.wrapped_provider("wrap256", "HmacSHA256"), "actions": peer.actions("encrypt")}
    config = peer.client_config(record, {"amzn-ddb-env-alg": "AES/256"})
    item = peer.to_wire(peer.sales_record())
    encrypted = peer.encrypt_dynamodb_item(item, config)
    assert len(item) == 14 and peer.decrypt_dynamodb_item(dict(encrypted), config) == item
    work = {"encrypt_per_cpu_s": lambda: peer.encrypt_dynamodb_item(item, config),
            "decrypt_per_cpu_s": lambda: peer.decrypt_dynamodb_item(dict(encrypted), config)}
    rates = {name: [] for name in work}
    for _ in range(ROUNDS):
        for name, function in work.items():
            rates[name].append(rate(function))
    print(json.dumps({name: {"best": round(max(r), 1), "median": round(statistics.median(r), 1)} for name, r in rates.items()}))


if __name__ == "__main__":
    main()
