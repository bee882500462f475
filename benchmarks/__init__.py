"""
Benchmarks: WebSocket servers side by side, in one run, on this machine.

    make bench                                   everything; renews docs/benchmarks.md
    make bench ARGS="echo --servers triows,lihil --size 32"      one question, in seconds
    make bench ARGS="cost --before ../main"                      what a change does to speed

``servers/`` has one small file per server, ``peers.py`` the table of how they are started.
``process.py`` runs one as a process on a core of its own and reads what it costs
(``usage.py``); ``client.py`` is the load, in the process that measures, on the other core.
``echo.py``, ``fan_out.py``, ``handshakes.py``, ``memory.py`` and ``latency.py`` are what is
measured, ``rounds.py`` the order in which it is. A run is kept as ``results.py`` says;
``table.py`` and ``plot.py`` show it. ``routing.py`` stands alone.
"""
