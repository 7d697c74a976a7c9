"""Addresses that hold credentials, beside the links that publish them without: kept until the pages are fetched, then removed.

A table of links `links-00000-of-00004.parquet` has such a file of the same name in the folder `private`, mode 0700, which no manifest
and no list of checksums names.
"""

import re
import shutil
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.redaction import REDACTED, redact
from pipeline.storage import files

FOLDER = "private"
ADDRESSES = pa.schema([pa.field("url", pa.string(), nullable=False), pa.field("address", pa.string(), nullable=False)])
"""`url` is the link's, as published; `address` is the one to fetch."""
_REMOVED = re.compile(rf"(?<![\w-]){REDACTED}(?:-[A-Z2-7]{{4}})?(?![\w.-])")


def is_private(name: str) -> bool:
    """Whether a file of a stage, named relative to its folder, is left out of the stage's manifest."""
    return name.startswith(f"{FOLDER}/")


def private_name(table_name: str) -> str:
    """The name of the file beside a table of links."""
    return f"{FOLDER}/{table_name}"


def split(links: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Links without credentials, and the ADDRESSES that have them."""
    addresses = links.column("url").to_pylist()
    urls = [redact(address) for address in addresses]
    pairs = [(url, address) for url, address in zip(urls, addresses, strict=True) if url != address]
    held = pa.table([[url for url, _ in pairs], [address for _, address in pairs]], schema=ADDRESSES)
    return links.set_column(links.schema.get_field_index("url"), links.schema.field("url"), pa.array(urls, pa.string())), held


def write(file: IO[bytes], addresses: pa.Table) -> None:
    """Write ADDRESSES as Parquet."""
    pq.write_table(addresses, file, compression="zstd")


def close_to_others(folder: str) -> None:
    """Create the private folder of a local stage folder, readable by its owner alone, which git leaves out of commits."""
    if files.is_local(folder):
        private = Path(folder, FOLDER)
        private.mkdir(mode=0o700, parents=True, exist_ok=True)
        private.chmod(0o700)
        (private / ".gitignore").write_text("*\n")


def close_again(folder: str) -> None:
    """Close the private folder to others, if there is one: after its files were moved there."""
    if files.is_local(folder) and Path(folder, FOLDER).exists():
        close_to_others(folder)


def names(folder: str) -> list[str]:
    """Names, relative to a stage folder, of its private files."""
    return [f"{FOLDER}/{name}" for name in files.names_below(files.join(folder, FOLDER))]


def addresses_of(table_path: str) -> dict[str, str]:
    """The address to fetch of each URL in a table of links that has another than the one published. Empty once they are removed."""
    folder, _, name = table_path.rpartition("/")
    path = files.join(folder or ".", FOLDER, name)
    if not files.exists(path):
        return {}
    rows = files.read_table(path).to_pylist()
    return {row["url"]: row["address"] for row in rows if redact(row["address"]) == row["url"]}


def lacks_address(url: str) -> bool:
    """Whether a published URL names no page: a credential was removed from it."""
    return _REMOVED.search(url) is not None


def forget(folder: str) -> bool:
    """Remove the private folder of a stage folder. Returns whether nothing of it is left."""
    private = files.join(folder, FOLDER)
    if files.is_local(folder):
        shutil.rmtree(private, ignore_errors=True)
        return not Path(private).exists()
    files.remove_folder(private)
    return True
