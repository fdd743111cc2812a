"""Memory that a pass on a CPU frees serves the next one, and is given back when it is asked for."""

import platform
import subprocess
import sys

from mixplan.model.device import keep_freed_memory

CYCLES = """
import os, resource
import torch
from mixplan.model.device import give_back_memory, keep_freed_memory

def pages():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def taken(count, megabytes):
    before = pages()
    for _ in range(5):
        held = [torch.zeros(megabytes << 20, dtype=torch.uint8) for _ in range(count)]
        del held
    return pages() - before

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

assert keep_freed_memory()
first = taken(32, 4)
anew, kept = taken(32, 4), resident()
give_back_memory()
print(first, anew, kept - resident())
"""


def test_memory_that_was_freed_is_taken_again_and_given_back_when_asked():
    """Without it each of five rounds takes its 33,000 pages anew, as was seen."""
    glibc = platform.libc_ver()[0] == "glibc"
    assert keep_freed_memory() == glibc
    if not glibc:
        return  # no other C library has the function
    done = subprocess.run([sys.executable, "-c", CYCLES], capture_output=True, text=True, check=True)
    first, pages, given = map(int, done.stdout.split())
    assert 20 * pages < first
    assert given > 100e6
