"""
A LIVE APPLICATION -> A TREE, for people who want to know what the application is doing.

What comes in: an application that runs, or one of its tasks. What goes out: frozen data of
builtins, the same as text, and an HTML page. The code here only looks. It runs only when somebody
asks for the tree, and its results don't refer to the objects that it has seen. May import base,
``_injection``, ``_exchange``, ``_websocket``, ``_request`` and ``_running``.
"""
