"""
What the servers of the tests serve.

Commands that run in this folder serve these modules, as ``ordinary:app``. So they import each other
without the name of the folder.

======================  ===========================================================
``ordinary``            the usual handlers
``attacked``            handlers for hostile peers, which report what they saw
``attacked_asgi``       the same routes in plain ASGI
``plain``               plain requests, for clients and proxies that aren't ours
``blocking``            what blocks the event loop
``blocking_short_end``  the same with short timeouts for the shutdown
``hanging``             what hangs, and doesn't block the loop
``hanging_import``      an import that never ends
``slow``                a start-up that never ends, and a handler that always sends
``ending_on_signal``    a shutdown that waits for a signal
``failing_start``       a start-up that fails
``failing_later``       a lifespan that fails while the application is served
======================  ===========================================================
"""
