"""
A LIVE APPLICATION -> A TREE, for people who want to know what it is doing.

Enters: an application that runs, or one of its tasks. Leaves: frozen data of builtins, the same
as text, and a page of HTML. It only looks: nothing here is called unless somebody asks, and
nothing that it makes refers to what it has seen. May import base, ``_connection``,
``_injection`` and ``_running``.
"""
