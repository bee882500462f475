"""An application whose import never ends."""

import ctypes
import os
import sys
import threading

print("importing", flush=True)
if os.environ["HANGS"] == "in C":
    lock = ctypes.create_string_buffer(64)
    for _ in range(2):
        ctypes.CDLL(None).pthread_mutex_lock(lock)  # it doesn't return when a signal comes
elif os.environ["HANGS"] == "in the kernel":
    threading.Event().wait()
while os.environ["HANGS"] == "in Python":
    try:
        while True:
            pass
    except BaseException as exc:  # noqa: BLE001
        sys.stderr.write(f"caught {exc!r}\n")
