#!/usr/bin/env python3
"""What ptxas makes of the shipped kernels' PTX: gates on its report and its machine code, and a table of sizes.

Fails of spills, stack, local memory, notices about wgmma or setmaxnreg (C75xx; ptxas returns 0 with them), more barriers or
shared memory than there are, another number of HGMMA than of wgmma, waits between the wgmmas of a group, and of figures
that differ from the recorded ones. Exit code 77: there is no nvdisasm, and all else is as it should be.
"""

import argparse
import collections
import os
import re
import subprocess
import sys
import tempfile

MOST_BARRIERS = 16
MOST_SHARED = 232448
# Kinds of machine code that the table counts; what it does not name is in `instructions` only.
COLUMNS = ["HGMMA", "UTMALDG", "LDGSTS", "SYNCS", "BAR", "WARPGROUP", "LDSM", "STSM", "LDS", "STS", "LDG", "STG", "SHFL",
           "MUFU", "FFMA", "FMUL", "FADD", "BRA"]


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}")
    return done.stdout


def counts_of_ptx(path):
    """By kernel: how many of each wgmma instruction."""
    kernels, kernel = {}, None
    with open(path, encoding="utf-8") as file:
        for line in file:
            if entry := re.match(r"\.visible \.entry (\w+)", line):
                kernel = kernels.setdefault(entry[1], collections.Counter())
            elif kernel is not None and (found := re.match(r"\s*(wgmma\.\w+)", line)):
                kernel[found[1]] += 1
    return kernels


def figures_of_report(report):
    """By kernel: registers, barriers and bytes as ptxas -v says them."""
    kernels = {}
    for part in re.split(r"Compiling entry function ", report)[1:]:
        name = re.match(r"'(\w+)'", part)[1]
        used = re.search(r"Used (\d+) registers", part)
        barriers = re.search(r"used (\d+) barriers", part)
        shared = re.search(r"(\d+) bytes smem", part)
        stack = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", part)
        kernels[name] = {
            "registers": int(used[1]),
            "barriers": int(barriers[1]) if barriers else 0,
            "shared": int(shared[1]) if shared else 0,
            "stack": sum(int(each) for each in stack.groups()),
        }
    return kernels


def counts_of_machine_code(text):
    """By kernel: instructions by their names, their number and their bytes."""
    kernels, kernel = {}, None
    instruction = re.compile(r"\s+/\*([0-9a-f]+)\*/\s+(?:@!?U?P\w+\s+)?(([A-Z][A-Z0-9]*)[\w.]*)")
    for line in text.splitlines():
        if section := re.match(r"\.text\.(\w+):", line):
            kernel = kernels.setdefault(section[1], collections.Counter())
        elif kernel is not None and (found := instruction.match(line)):
            kernel["instructions"] += 1
            kernel["bytes"] = int(found[1], 16) + 16
            kernel[found[3]] += 1
            if found[3] == "WARPGROUP":
                kernel[".".join(found[2].split(".")[:2])] += 1
    return kernels


def gate_report(report, figures, ptx):
    wrong = []
    if set(figures) != set(ptx):
        wrong.append(f"kernels of the PTX that ptxas does not report, or the other way: {sorted(set(figures) ^ set(ptx))}")
    wrong += [line.strip() for line in report.splitlines() if "(C75" in line]
    for name, figure in figures.items():
        if figure["stack"] != 0:
            wrong.append(f"{name}: uses the stack or spills ({figure['stack']} bytes)")
        if figure["barriers"] > MOST_BARRIERS:
            wrong.append(f"{name}: {figure['barriers']} barriers; there are {MOST_BARRIERS}")
        if figure["shared"] > MOST_SHARED:
            wrong.append(f"{name}: {figure['shared']} bytes of shared memory; a CTA has {MOST_SHARED}")
    return wrong


def gate_machine_code(code, ptx):
    wrong = []
    for name, wanted in ptx.items():
        found = code.get(name)
        if found is None:
            wrong.append(f"{name}: has no machine code")
            continue
        if found["HGMMA"] != wanted["wgmma.mma_async"]:
            wrong.append(f"{name}: {found['HGMMA']} HGMMA for {wanted['wgmma.mma_async']} wgmma")
        # ptxas serialises by waits and arrivals of its own between the products of a group.
        for name_here, name_there in (("WARPGROUP.DEPBAR", "wgmma.wait_group"), ("WARPGROUP.ARRIVE", "wgmma.fence")):
            if found[name_here] > wanted[name_there]:
                wrong.append(f"{name}: {found[name_here]} {name_here} for {wanted[name_there]} {name_there}")
        for local in ("LDL", "STL"):
            if found[local] != 0:
                wrong.append(f"{name}: {found[local]} {local}: local memory")
    return wrong


def table_of(version, figures, code):
    head = ["kernel", "registers", "barriers", "shared", "bytes", "instructions", *COLUMNS]
    rows = [head]
    for name in sorted(figures):
        figure = figures[name]
        rows.append([name, *(figure[each] for each in head[1:4]), *(code[name][each] for each in head[4:])])
    widths = [max(len(str(row[i])) for row in rows) for i in range(len(head))]
    lines = [f"# ptxas {version}. Made anew by `tests/sm90/machine_code.py --update`."]
    for row in rows:
        cells = [str(row[0]).ljust(widths[0]), *(str(cell).rjust(width) for cell, width in zip(row[1:], widths[1:]))]
        lines.append("  ".join(cells))
    return "\n".join(lines) + "\n"


def compare(table, path):
    if not os.path.exists(path):
        return [f"{path}: is not there; --update makes it"]
    with open(path, encoding="utf-8") as file:
        recorded = file.read()
    if recorded == table:
        return []
    if recorded.splitlines()[0] != table.splitlines()[0]:
        print(f"sizes are not compared: recorded with another ptxas ({recorded.splitlines()[0]})")
        return []
    here, there = table.splitlines(), recorded.splitlines()
    return [f"differs from {path} (--update records it):"] + [f"  was {line}" for line in there if line not in here] + [
        f"  is  {line}" for line in here if line not in there]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ptxas", required=True)
    parser.add_argument("--nvdisasm", default="", help="without it the machine code is not looked at")
    parser.add_argument("--ptx", required=True, help="the kernels")
    parser.add_argument("--table", default="", help="the recorded figures; without it none are compared")
    parser.add_argument("--update", action="store_true", help="record the figures instead")
    arguments = parser.parse_args()
    if not os.access(arguments.ptxas, os.X_OK):
        print(f"skipped: there is no ptxas at {arguments.ptxas}")
        return 77
    version = re.search(r"V([\d.]+)", run([arguments.ptxas, "--version"]))[1]
    ptx = counts_of_ptx(arguments.ptx)
    with tempfile.TemporaryDirectory() as folder:
        cubin = os.path.join(folder, "kernels.cubin")
        report = run([arguments.ptxas, "-arch=sm_90a", "-O3", "-v", "-o", cubin, arguments.ptx])
        code = None
        if arguments.nvdisasm and os.access(arguments.nvdisasm, os.X_OK):
            code = counts_of_machine_code(run([arguments.nvdisasm, "-c", cubin]))
    figures = figures_of_report(report)
    wrong = gate_report(report, figures, ptx)
    if code is not None:
        wrong += gate_machine_code(code, ptx)
    if code is not None and not wrong and arguments.table:
        table = table_of(version, figures, code)
        print(table, end="")
        if arguments.update:
            with open(arguments.table, "w", encoding="utf-8") as file:
                file.write(table)
        else:
            wrong += compare(table, arguments.table)
    print("\n".join(wrong))
    if wrong:
        return 1
    if code is None:
        print("there is no nvdisasm: the machine code was not looked at")
        return 77
    return 0


if __name__ == "__main__":
    sys.exit(main())
