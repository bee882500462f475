"""
Benchmarks: compare servers side by side, in one run, on this machine.

    make bench                                   everything; updates docs/benchmarks.md
    make bench ARGS="echo --servers triows,lihil --size 32"      one question, in seconds
    make bench ARGS="cost --before ../main"                      what a change does to speed

``servers/`` has one small file per server, and ``peers.py`` says how each is started.
``process.py`` runs one as a process on a core of its own, and ``usage.py`` reads what it uses.
``client.py`` and ``http_client.py`` make the load, in the process that measures, on the other core.
``echo.py``, ``fan_out.py``, ``handshakes.py``, ``memory.py``, ``latency.py``, ``requests.py`` and
``request_latency.py`` each measure one thing, and ``rounds.py`` decides the order. ``results.py``
stores a run, ``table.py`` and ``plot.py`` show it.
``routing.py`` stands alone.
"""
