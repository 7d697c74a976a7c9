"""The server of fetch.py, in a process of its own: HOSTS ports with TLS and as many without, all on 127.0.0.1, one page for every URL.

python benchmarks/fetch_server.py FOLDER    # FOLDER holds server.pem; the ports are written to FOLDER/ports.json
"""

import asyncio
import gzip
import json
import os
import random
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOSTS = 64


def page() -> bytes:
    """Return about 30 KB of HTML."""
    chance = random.Random(1)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(2, 9))) for _ in range(2000)]
    paragraphs = "".join(f"<p>{' '.join(chance.choices(words, k=60))}</p>" for _ in range(70))
    return f"<!doctype html><title>A page</title><body>{paragraphs}</body>".encode()


async def serve(folder: Path) -> None:
    """Open the ports, write them to ports.json, and answer until killed or until the parent process has ended."""
    body = gzip.compress(page(), mtime=0)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                while (await reader.readline()).strip():
                    pass
                keep = b"/keep" in line
                if b"robots.txt" in line:
                    writer.write(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\nContent-Type: text/plain\r\n\r\n")
                    continue
                head = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Encoding: gzip\r\n"
                head += f"Content-Length: {len(body)}\r\nConnection: {'keep-alive' if keep else 'close'}\r\n\r\n"
                writer.write(head.encode() + body)
                await writer.drain()
                if not keep:
                    break
        except (ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    ports: dict[str, list[int]] = {"http": [], "https": []}
    listeners = []
    for scheme in ports:
        for _ in range(HOSTS):
            tls = context if scheme == "https" else None
            listener = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls, backlog=512)
            ports[scheme].append(listener.sockets[0].getsockname()[1])
            listeners.append(listener)
    (folder / "ports.part").write_text(json.dumps(ports))
    (folder / "ports.part").rename(folder / "ports.json")
    starter = os.getppid()
    while os.getppid() == starter:  # the server ends with the benchmark, however that ends
        await asyncio.sleep(1)


@contextmanager
def server() -> Iterator[tuple[Path, dict[str, list[int]]]]:
    """Run the server while the block runs; gives its folder, which holds authority.pem, and its ports by scheme."""
    import trustme

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
        authority.issue_cert("127.0.0.1", key_type=trustme.KeyType.ECDSA).private_key_and_cert_chain_pem.write_to_path(
            str(folder / "server.pem")
        )
        import certifi

        # as large as the bundle that clients usually read for every host
        (folder / "authority.pem").write_bytes(Path(certifi.where()).read_bytes() + authority.cert_pem.bytes())
        process = subprocess.Popen([sys.executable, __file__, name])
        try:
            while not (folder / "ports.json").exists():
                time.sleep(0.05)
            yield folder, json.loads((folder / "ports.json").read_text())
        finally:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
