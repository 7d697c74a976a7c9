"""An S3-compatible object store on the loopback: moto's server, in memory."""

from collections.abc import Iterator
from contextlib import contextmanager

import boto3
import requests
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

ACCESS = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing", "AWS_DEFAULT_REGION": "us-east-1"}
"""What a client must have in its environment, besides AWS_ENDPOINT_URL."""


@contextmanager
def object_store(bucket: str) -> Iterator[str]:
    """The address of a server with one empty bucket."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        address = f"http://{host}:{port}"
        named = {"aws_access_key_id": ACCESS["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": ACCESS["AWS_SECRET_ACCESS_KEY"]}
        boto3.client("s3", endpoint_url=address, region_name=ACCESS["AWS_DEFAULT_REGION"], **named).create_bucket(Bucket=bucket)
        yield address
        requests.post(f"{address}/moto-api/reset", timeout=10).raise_for_status()  # its memory outlives it
    finally:
        server.stop()
