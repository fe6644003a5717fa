#!/usr/bin/env bash
# clock_file.sh <program> <driver>: a program that uses the driver API leaves a line of figures for each of its launches that
# went well, and a timeline for each that stood alone.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
FLASH_MLA_EMULATOR_CLOCK=$folder/figures FLASH_MLA_EMULATOR_CLOCK_TIMELINE=$folder/timeline \
  FLASH_MLA_EMULATOR_CLOCK_SEEDS=2 FLASH_MLA_EMULATOR_LOG=$folder/log "$1" "$2"
python3 - "$folder/figures" "$folder/timeline" <<'END'
import json
import sys

figures, timelines = ([json.loads(line) for line in open(path)] for path in sys.argv[1:])
assert len(figures) >= 2, figures
assert [row["launch"] for row in figures] == list(range(len(figures)))
for row in figures:
    assert 1e-6 < row["least"] <= row["model_seconds"] <= row["most"] < 1e-4, row
    assert all(len(times) == 2 for times in row["variants"].values()), row
    assert {"centre", "fast", "slow"} <= row["variants"].keys(), row
assert len(timelines) == len(figures), "none of them is programmatic"
END
