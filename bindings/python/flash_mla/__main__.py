"""``python -m flash_mla info [--json FILE]``, also installed as the command ``flash_mla``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

import flash_mla


def _print_info() -> None:
    described = flash_mla.info()
    machine = described["machine"]
    print(f"version    flash_mla {described['version']}")
    print(f"machine    {machine['architecture']}, {machine['os']}, {machine['usable_threads']} threads usable here")
    print(f"python     {machine['python']}\n")
    print(f"{'backend':<12} {'built':<6} {'usable':<7} note")
    for backend in described["backends"]:
        chosen = backend["name"] == described["default_backend"]
        note = "taken unless told otherwise" if chosen else backend["reason"]
        built, usable = ("yes" if backend[key] else "no" for key in ("built", "usable"))
        print(f"{backend['name']:<12} {built:<6} {usable:<7} {note}".rstrip())


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="flash_mla", description="MLA decoding over a paged KV cache")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("info", help="describe this build and this machine")
    verb.add_argument("--json", metavar="FILE", help="write the description to FILE")
    options = parser.parse_args(arguments)

    _print_info()
    if options.json is not None:
        try:
            with open(options.json, "w", encoding="utf-8") as file:
                json.dump(flash_mla.info(), file, indent=2)
        except OSError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
