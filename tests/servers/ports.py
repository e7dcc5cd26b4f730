"""Ports of loopback for servers to be started."""
import random
import socket

RANGE = "/proc/sys/net/ipv4/ip_local_port_range"
LOWEST = 10000


def free_port():
    """One that nobody has. It lies below those that the kernel gives to clients, and to servers that ask for any:
    none of them takes it before its server does."""
    with open(RANGE, encoding="ascii") as f:
        end = int(f.read().split()[0])
    if end <= LOWEST:
        raise SystemExit(f"ports.py: clients get all ports from {end}")
    while True:
        port = random.randrange(LOWEST, end)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
