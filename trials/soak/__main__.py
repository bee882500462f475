"""Run the stages one after another. Exit with 1 if something is wrong."""

from __future__ import annotations

import argparse
import resource
import sys

from trials.signals import exit_on_sigterm

from .stages import STAGES, Findings


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=f"of {', '.join(STAGES)} (all)")
    parser.add_argument("--scale", type=float, default=1, help="do only a part, as 0.1 (1)")
    options = parser.parse_args()
    if unknown := set(options.stages) - STAGES.keys():
        parser.error(f"no such stage: {', '.join(unknown)}")
    exit_on_sigterm()
    # This is for this process, and for the server, which inherits it.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    problems = 0
    for stage in options.stages or STAGES:
        print(stage, flush=True)
        findings = Findings()
        STAGES[stage](findings, options.scale)
        problems += findings.problems
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
