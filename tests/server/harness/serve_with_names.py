"""Serves an application with Hypercorn's ``server_names``. Our command has no option for it."""

import sys
from importlib import import_module

import hypercorn.trio
import trio
from hypercorn.config import Config

import triows


async def main(server: str, name: str, bind: str) -> None:
    module, _, attribute = name.partition(":")
    app = getattr(import_module(module), attribute)
    config = Config()
    config.bind = [bind]
    config.server_names = ["127.0.0.1"]
    async with trio.open_nursery() as nursery:
        if server == "triows":
            urls = await nursery.start(triows.serve, app, config)
        else:
            urls = await nursery.start(hypercorn.trio.serve, app, config)
        print(*urls, flush=True)


if __name__ == "__main__":
    sys.path.insert(0, "")  # find the application, as commands do
    server, name, _, bind = sys.argv[1:]
    trio.run(main, server, name, bind)
