"""Run the categories one after another, and print what they find. Exit with 1 if it is anything."""

from __future__ import annotations

import argparse
import ssl
import sys
import tempfile
from pathlib import Path

import trustme

from trials.signals import exit_on_sigterm

from .campaign import CATEGORIES, Campaign, Certificate
from .comparison import Comparison

#: The category that needs no server.
PARSERS = "parsers"
ALL = (*CATEGORIES, PARSERS)


def certify(folder: Path) -> Certificate:
    """Make a certificate, and a client that trusts it."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    options = ("--certfile", str(folder / "cert.pem"), "--keyfile", str(folder / "key.pem"))
    return Certificate(options, context)


def report(campaign: Campaign) -> None:
    """Print the result of one category."""
    print(
        f"{campaign.category}: {campaign.done} attempts, {campaign.done / campaign.seconds:.0f}/s, "
        f"{campaign.deaths} deaths, slowest echo of a bystander {campaign.slowest_echo:.2f} s",
        flush=True,
    )
    if campaign.levels is not None:
        before, after = campaign.levels
        print(f"    before: {before}\n    after:  {after}")
    for error, times in campaign.errors.most_common():
        print(f"    {times} x {error[:200]}")
    report_findings(campaign)


def report_findings(found: Campaign | Comparison) -> None:
    for name in found.kept:
        print(f"    kept: trials/fuzz/seeds/{name}")
    for problem in found.problems:
        print(f"    FAILED: {problem}", flush=True)


def compare(seed: int, seconds: float) -> Comparison:
    """Run the category that needs no server, and print its result."""
    comparison = Comparison(seed)
    comparison.run(seconds)
    print(f"{PARSERS}: {comparison.done} streams, {comparison.done / comparison.seconds:.0f}/s")
    report_findings(comparison)
    return comparison


def attack(category: str, seed: int, certificate: Certificate, seconds: float) -> Campaign:
    """Run a category against a server, and print its result."""
    campaign = Campaign(category, seed, certificate)
    campaign.run(seconds)
    report(campaign)
    return campaign


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument(
        "categories", nargs="*", metavar="CATEGORY", help=f"of {', '.join(ALL)} (all)"
    )
    parser.add_argument("--seconds", type=float, default=60, help="for each category (60)")
    parser.add_argument("--seed", type=int, default=1, help="what is sent follows from it (1)")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="send what a file has kept")
    options = parser.parse_args()
    exit_on_sigterm()
    if unknown := set(options.categories) - set(ALL):
        parser.error(f"no such category: {', '.join(unknown)}")
    with tempfile.TemporaryDirectory() as folder:
        certificate = certify(Path(folder))
        if options.replay is not None:
            category = options.replay.name.partition("-")[0]
            fine = (
                Comparison(options.seed)
                if category == PARSERS
                else Campaign(category, options.seed, certificate)
            ).replay(options.replay)
            print(f"{options.replay}: {'nothing' if fine else 'finds something'}")
            return 0 if fine else 1
        problems: list[str] = []
        for category in options.categories or ALL:
            if category == PARSERS:
                problems += compare(options.seed, options.seconds).problems
            else:
                problems += attack(category, options.seed, certificate, options.seconds).problems
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
