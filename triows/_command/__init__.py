"""
THE WORDS OF A COMMAND -> WHAT THEY ASK FOR, for ``triows run`` and ``triows routes``.

What comes in: arguments. What goes out: the chosen value of each option, the text of a table, or a
sentence about what can't be understood. The table of options is in ``options.py``. Nothing here
serves or imports an application. May import ``_server`` and everything below that.
"""
