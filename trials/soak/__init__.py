"""
Checks what ``triows run`` gives back: memory, sockets and tasks, and that the process ends.

    make soak
    make soak ARGS="cycles echo --scale 0.1"

============  =================================================================
``cycles``    10 000 connections, one after another, ended in every way
``echo``      1 GB there and back
``abuse``     1000 peers: oversized, bombs, fragments without end, never reading
``bodies``    1 GB up and 1 GB down in each way, then slow ones; clients that leave
``shutdown``  SIGTERM with 2000 connections, half of them busy
``stalled``   SIGTERM with 2000 peers that don't read what is sent to them
============  =================================================================

While there are bodies, the server may need 8 MiB more than without one. After each of the first
three stages, the server has to hold what it held after a warm-up of the same kind:
no more tasks, connections or descriptors, and at most 10 % more memory. Memory means what the
system counts as resident (VmRSS), after a garbage collection. That includes what Python and the C
library keep for later. The output also shows the resident memory after the C library was told to
give back what it can (``malloc_trim``), but no check uses it.
"""

from __future__ import annotations
