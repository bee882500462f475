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
    for name in campaign.kept:
        print(f"    kept: trials/fuzz/seeds/{name}")
    for problem in campaign.problems:
        print(f"    FAILED: {problem}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument(
        "categories", nargs="*", metavar="CATEGORY", help=f"of {', '.join(CATEGORIES)} (all)"
    )
    parser.add_argument("--seconds", type=float, default=60, help="for each category (60)")
    parser.add_argument("--seed", type=int, default=1, help="what is sent follows from it (1)")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="send what a file has kept")
    options = parser.parse_args()
    exit_on_sigterm()
    if unknown := set(options.categories) - CATEGORIES.keys():
        parser.error(f"no such category: {', '.join(unknown)}")
    with tempfile.TemporaryDirectory() as folder:
        certificate = certify(Path(folder))
        if options.replay is not None:
            category = options.replay.name.partition("-")[0]
            campaign = Campaign(category, options.seed, certificate)
            fine = campaign.replay(options.replay)
            print(f"{options.replay}: {'nothing' if fine else 'finds something'}")
            return 0 if fine else 1
        failed = False
        for category in options.categories or CATEGORIES:
            campaign = Campaign(category, options.seed, certificate)
            campaign.run(options.seconds)
            report(campaign)
            failed |= bool(campaign.problems)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
