"""Memory allocation of the pipeline's processes."""

import ctypes
import subprocess
import sys

import pytest

ARENAS = """
import ctypes, sys, threading
from pipeline.engine.allocator import choose_allocators
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
from pipeline.engine.allocator import keep_freed_memory
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
from pipeline.engine.allocator import give_back_freed_memory, keep_freed_memory
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
glibc = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="the C library is not glibc")


@glibc
def test_threads_share_one_arena() -> None:
    def arenas(how: str) -> int:
        done = subprocess.run([sys.executable, "-c", ARENAS, how], capture_output=True, text=True, check=True)
        return done.stdout.count("<heap nr")

    assert arenas("chosen") == 1
    assert arenas("default") > 1


@glibc
def test_memory_that_a_batch_frees_is_reused_by_the_next() -> None:
    def new_pages(how: str) -> int:
        done = subprocess.run([sys.executable, "-c", BATCHES, how], capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert new_pages("chosen") < 100
    assert new_pages("default") > 10_000


@glibc
def test_freed_memory_below_a_live_block_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", GIVEN_BACK], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 50  # MiB, of 62
