"""How a process of the pipeline allocates, and how soon its bundles end."""

import ctypes
import inspect
import subprocess
import sys

import pytest
from apache_beam.runners.worker.statesampler import StateSampler

from pipeline.engine.runner import Engine
from pipeline.engine.worker import SAMPLE_INTERVAL_MS

ARENAS = """
import ctypes, sys, threading
from pipeline.worker import choose_allocators
if sys.argv[1] == "chosen":
    choose_allocators()
together = threading.Barrier(9)
def hold():
    held = [bytes(2000) for _ in range(1000)]
    together.wait()
threads = [threading.Thread(target=hold) for _ in range(8)]
for thread in threads:
    thread.start()
together.wait()
for thread in threads:
    thread.join()
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
file = ctypes.c_void_p(libc.fopen(b"/dev/stdout", b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
"""

BATCHES = """
import ctypes, resource, sys
from pipeline.worker import keep_freed_memory
if sys.argv[1] == "chosen":
    keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
def batch():
    held = [libc.malloc(3 << 20) for _ in range(4)]
    for block in held:
        ctypes.memset(block, 1, 3 << 20)
    for block in held:
        libc.free(block)
batch()
batch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    batch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
GIVEN_BACK = """
import ctypes, re
from pathlib import Path
from pipeline.worker import give_back_freed_memory, keep_freed_memory
keep_freed_memory()
give_back_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
held = [libc.malloc(1 << 16) for _ in range(1000)]
for block in held:
    ctypes.memset(block, 1, 1 << 16)
for block in held[:-1]:
    libc.free(block)
def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) >> 10
before = resident()
give_back_freed_memory()
print(before - resident())
"""
glibc = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="what glibc's malloc does, and no other")


@glibc
def test_threads_share_one_arena() -> None:
    def arenas(how: str) -> int:
        done = subprocess.run([sys.executable, "-c", ARENAS, how], capture_output=True, text=True, check=True)
        return done.stdout.count("<heap nr")

    assert arenas("chosen") == 1
    assert arenas("as it comes") > 1


@glibc
def test_what_a_batch_frees_the_next_one_finds() -> None:
    def new_pages(how: str) -> int:
        done = subprocess.run([sys.executable, "-c", BATCHES, how], capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert new_pages("chosen") < 100
    assert new_pages("as it comes") > 10_000


@glibc
def test_what_lies_freed_below_what_is_held_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", GIVEN_BACK], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 50  # MiB, of 62


def test_beam_waits_no_fifth_of_a_second_at_the_end_of_a_bundle() -> None:
    Engine().pipeline(1)
    assert inspect.signature(StateSampler).parameters["sampling_period_ms"].default == SAMPLE_INTERVAL_MS
