"""Ports of loopback for servers to be started."""
import random
import socket

RANGE = "/proc/sys/net/ipv4/ip_local_port_range"
LOWEST = 10000
claimed = []


def free_port():
    """One that nobody has. It lies below those that the kernel gives to clients, and to servers that ask for any. No
    other caller of this gets it while this program runs: the same number of UDP, which nobody uses here, is the claim."""
    with open(RANGE, encoding="ascii") as f:
        end = int(f.read().split()[0])
    if end <= LOWEST:
        raise SystemExit(f"ports.py: clients get all ports from {end}")
    while True:
        port = random.randrange(LOWEST, end)
        claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with socket.socket() as s:
            try:
                claim.bind(("127.0.0.1", port))
                s.bind(("127.0.0.1", port))
            except OSError:
                claim.close()
                continue
        claimed.append(claim)
        return port
