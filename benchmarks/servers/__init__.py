"""
The servers that are compared: one file each, as the users of each would write it.

Every one answers ``/echo`` with what it is sent and hands what it is sent on ``/fanout`` to
everyone who is connected there, sender included; text messages. Compression is off wherever
it can be, and the load client offers none anyway.
"""
