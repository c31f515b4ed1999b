#!/usr/bin/env python3
"""Checks and times `mmad` on a GPU, and prints one JSON object last.

    cargo build --release -p mmad --features wgpu --example gpu_check
    python3 scripts/gpu_check.py

Needs nothing but Python 3, that program and a Vulkan driver, so both files can be carried to a
machine that has no compiler: `python3 gpu_check.py --program ./gpu_check`.

First values and gradients against the CPU, then what the GPU can do (a copy and a matrix product),
then the scan, scoring and training, each with its share of that. Every part is a process of its own
with a time limit, so one that hangs or crashes leaves the others their numbers. The exit code is 0
where every part ran and the check passed.
"""

import argparse
import ctypes.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "target" / "release" / "examples" / "gpu_check"


def arguments():
    parser = argparse.ArgumentParser(description="Check and time mmad on a GPU.")
    parser.add_argument("--program", type=Path, default=PROGRAM, help="the example `gpu_check`, built")
    parser.add_argument("--device", default="vulkan", help="as in `mmad --device` [%(default)s]")
    parser.add_argument("--size", type=int, default=256, help="side of the pictures, px [%(default)s]")
    parser.add_argument("--batches", default="8,32", help="pictures at once [%(default)s]")
    parser.add_argument("--runs", type=int, default=5, help="runs that count [%(default)s]")
    parser.add_argument("--limit", type=int, default=150, help="seconds for a part [%(default)s]")
    return parser.parse_args()


def part(args, *words):
    """What one part says, or why it says nothing."""
    command = [str(word) for word in (args.program, args.device, *words)]
    print("gpu_check", *command[1:], file=sys.stderr, flush=True)
    start = time.monotonic()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=args.limit)
    except subprocess.TimeoutExpired:
        found = {"error": f"not ready after {args.limit} s"}
    else:
        lines = done.stdout.splitlines()
        if done.returncode == 0 and lines:
            found = json.loads(lines[-1])
        else:
            found = {"error": done.stderr.strip()[-2000:] or f"exit code {done.returncode}"}
    found["wall_s"] = round(time.monotonic() - start, 1)
    print("  " + json.dumps(found), file=sys.stderr, flush=True)
    return found


def percent(share):
    return round(100 * share, 2)


def add_shares(found):
    """States each time as a share of what the GPU can do."""
    rates = found["rates"]
    if "error" in rates:
        return
    bytes_per_s = 1e9 * rates["copy_gb_per_s"]
    gflop_per_s = rates["matmul_gflop_per_s"]
    for scan in found["scan"].values():
        if "error" not in scan:
            for what in ["forward", "forward_and_backward"]:
                least_s = scan[f"least_bytes_{what}"] / bytes_per_s
                scan[f"{what}_percent_of_copy"] = percent(least_s / scan[f"{what}_s"])
    for batch, score in found["score"].items():
        if "error" in score:
            continue
        score["percent_of_matmul"] = percent(score["gflop"] / score["min_s"] / gflop_per_s)
        train = found["train"][batch]
        if "error" not in train:
            # Forward, and backward for inputs and for weights: three times the work. An upper
            # bound, because the encoder has no backward pass.
            rate = 3 * score["gflop"] / train["min_s"]
            train["percent_of_matmul_at_most"] = percent(rate / gflop_per_s)


def main():
    args = arguments()
    if not args.program.is_file():
        sys.exit(
            f"error: there is no `{args.program}`\n\nhint: build it with `cargo build --release -p "
            "mmad --features wgpu --example gpu_check`, or give `--program`"
        )
    if ctypes.util.find_library("vulkan") is None and args.device.startswith("vulkan"):
        print("note: the Vulkan loader (libvulkan.so.1) was not found", file=sys.stderr)
    args.program = args.program.resolve()
    batches = args.batches.split(",")
    found = {
        "cpu_cores": os.cpu_count(),
        "check": part(args, "check"),
        "rates": part(args, "rates", args.size, 1, args.runs),
        "scan": {b: part(args, "scan", args.size, b, args.runs) for b in batches},
        "score": {b: part(args, "score", args.size, b, args.runs) for b in batches},
        "train": {b: part(args, "train", args.size, b, args.runs) for b in batches},
    }
    add_shares(found)
    parts = [found["check"], found["rates"]]
    parts += [one for what in ["scan", "score", "train"] for one in found[what].values()]
    found["passed"] = found["check"].get("passed", False) and not any("error" in p for p in parts)
    print(json.dumps(found))
    sys.exit(0 if found["passed"] else 1)


if __name__ == "__main__":
    main()
