"""A throw-away certificate authority, and TLS before a server that has none.

    tls.py FOLDER                               makes ca.pem, server.pem and server.key in FOLDER
    tls.py FOLDER --port P --upstream PORT      the same, then passes TLS on 127.0.0.1:P to PORT

The certificate is for localhost, *.localhost and 127.0.0.1, and good for a week. The authority's own key
is not kept.
"""
import argparse
import asyncio
import os
import signal
import ssl
import subprocess
import tempfile

NAMES = "subjectAltName=DNS:localhost,DNS:*.localhost,IP:127.0.0.1"
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def make(folder):
    """The paths of the authority's certificate, the server's and the server's key, made unless they are there."""
    authority, server, key = (os.path.join(folder, name) for name in ("ca.pem", "server.pem", "server.key"))
    if all(map(os.path.exists, (authority, server, key))):
        return authority, server, key
    os.makedirs(folder, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        secret, request, more = (os.path.join(place, name) for name in ("ca.key", "request", "more"))
        openssl("req", "-x509", *KEY, "-days", "7", "-subj", "/CN=keybridge tests", "-keyout", secret, "-out", authority,
                "-addext", "keyUsage=critical,keyCertSign")
        openssl("req", "-new", *KEY, "-subj", "/CN=localhost", "-keyout", key, "-out", request)
        with open(more, "w", encoding="ascii") as f:
            f.write(NAMES + "\nextendedKeyUsage=serverAuth\n")
        openssl("x509", "-req", "-in", request, "-CA", authority, "-CAkey", secret, "-days", "7", "-extfile", more, "-out", server)
    return authority, server, key


def context(folder):
    """What a server here presents."""
    _, server, key = make(folder)
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.load_cert_chain(server, key)
    return made


async def until_stopped():
    done = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, done.set)
    await done.wait()


async def copy(reader, writer):
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def run(folder, port, upstream):
    async def serve(reader, writer):
        try:
            inner = await asyncio.open_connection("127.0.0.1", upstream)
        except OSError:
            writer.close()
            return
        await asyncio.gather(copy(reader, inner[1]), copy(inner[0], writer))
    server = await asyncio.start_server(serve, "127.0.0.1", port, ssl=context(folder))
    print(f"https://localhost:{server.sockets[0].getsockname()[1]}", flush=True)
    await until_stopped()


def main():
    parser = argparse.ArgumentParser(description="throw-away certificates, and TLS before a server")
    parser.add_argument("folder")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--upstream", type=int, metavar="PORT")
    options = parser.parse_args()
    make(options.folder)
    if options.upstream:
        asyncio.run(run(options.folder, options.port, options.upstream))


if __name__ == "__main__":
    main()
