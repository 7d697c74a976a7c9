"""Beam's file systems, imported at first use, and what they say of a failure."""

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, cast

from tokenizer.errors import InputError
from tokenizer.faults import install_command

if TYPE_CHECKING:
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.options.pipeline_options import PipelineOptions

CLIENTS = {
    "gs": install_command("gcp"),
    "s3": install_command("aws"),
    "hdfs": "pip install 'apache-beam[hadoop]'",
}
"""Schemes of remote folders, and the command that installs their client."""


def stores(path: str) -> "type[FileSystems]":
    """Beam's file systems. Raises InputError where none of them, as installed here, has the path's scheme."""
    scheme = path.partition("://")[0].lower()
    if not _has_client(scheme):
        command = CLIENTS.get(scheme)
        way_out = f"run {command}" if command else f"give a local path, or one on {'://, '.join(CLIENTS)}://"
        raise InputError(f"{path}: no file system for {scheme}:// is installed; {way_out}")
    return _file_systems()


@cache
def _has_client(scheme: str) -> bool:
    from apache_beam.io.filesystem import BeamIOError

    try:
        _file_systems().get_filesystem(f"{scheme}://")
        if scheme == "s3":
            import_module("boto3")
    except (ValueError, ImportError, BeamIOError):
        return False
    return True


def remote_fault(error: OSError) -> str:
    """What a remote file system says of its failure, in one line; empty for an error of another kind."""
    details: dict[str, object] | None = getattr(error, "exception_details", None)
    if details is None and type(error).__name__ != "BeamIOError":
        return ""
    for path, cause in (details or {}).items():
        return f"{path}: {' '.join(str(cause).split()) or type(cause).__name__}"
    return " ".join(str(error).split())


@cache
def _file_systems() -> "type[FileSystems]":
    """Beam's file systems. Beam is imported at first use: that takes a second, and local files do not need it."""
    from apache_beam.io.filesystems import FileSystems

    if FileSystems._pipeline_options is None:  # in a worker process, Beam has set the pipeline's
        _set_options(FileSystems, ())
    return FileSystems


def beam_options() -> "PipelineOptions":
    """The options that Beam's file systems have: the driver's flags, in a worker those of the pipeline."""
    return cast("PipelineOptions", _file_systems()._pipeline_options)


def set_beam_flags(flags: Sequence[str]) -> None:
    """Give Beam's file systems its flags, such as those of an S3 endpoint: files are read and written before the first pipeline."""
    _set_options(_file_systems(), flags)


def _set_options(stores: "type[FileSystems]", flags: Sequence[str]) -> None:
    from apache_beam.options.pipeline_options import PipelineOptions

    stores.set_options(PipelineOptions(list(flags)))
