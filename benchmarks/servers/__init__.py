"""
The servers that are compared. Each has one file, written as its users would write it.

Each echoes text messages on ``/echo``. On ``/fanout``, it sends each message to everyone who is
connected there, including the sender. Compression is off if possible, and the client of the
benchmarks doesn't offer it. Plain requests are answered as ``bare_http`` answers them.

Frameworks read the parameters of typed requests into the types of a function, and make JSON of what
that returns. They also read a body into a class, for a function that uses a resource with a
``yield``. Bare applications do only the first, by hand: this is the least that it can take.
"""
