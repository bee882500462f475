"""
Look into a running application.

:func:`tree` shows what every connection does: its route and peer, its age and state, what waits
in its queues, the resources that it holds, and its tasks, each with the line at which it waits.
:func:`look_at_task` does the same for any task of Trio. :func:`print_on_signal` prints the tree
when a signal comes. ``Triows(debug=True)`` shows it on a page.

The result is frozen data, which prints itself: ``str(tree)`` is plain text, and
``rich.print(tree)`` adds colours. ``attrs.asdict(tree)`` and ``msgspec.json.encode(tree)`` are for
programs.
"""

from __future__ import annotations

from typing import get_type_hints as _get_type_hints

from ._inspection.connections import ConnectionNode as ConnectionNode
from ._inspection.inside import Inspected as Inspected
from ._inspection.requests import RequestNode as RequestNode
from ._inspection.resources import ResourceNode as ResourceNode
from ._inspection.signals import print_on_signal as print_on_signal
from ._inspection.tasks import (
    NurseryNode as NurseryNode,
    TaskNode as TaskNode,
    look_at_task as look_at_task,
)
from ._inspection.tree import Tree as Tree, tree as tree
from ._stacks import Frame as Frame

__all__ = [
    # Looking
    "tree",
    "look_at_task",
    "print_on_signal",
    # What was seen
    "Inspected",
    "Tree",
    "ConnectionNode",
    "RequestNode",
    "ResourceNode",
    "TaskNode",
    "NurseryNode",
    "Frame",
]

# As in triows itself, the classes say that they are from here. msgspec, which can read the data as
# well, looks up the names of types in the module that a class says it is from. So the names are
# resolved first, where they are known.
for _name in __all__:
    _value = globals()[_name]
    if isinstance(_value, type):
        _value.__annotations__ = _get_type_hints(_value)
for _name in __all__:
    globals()[_name].__module__ = "triows.inspect"
del _name, _value
