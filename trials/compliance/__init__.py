"""
Autobahn|Testsuite's fuzzing client against ``triows run``.

    make compliance
    make compliance ARGS="'1.*' '7.*'"

The cases are Autobahn's own; kosoku runs them, because
Autobahn's runner needs Python 2.
"""

from __future__ import annotations
