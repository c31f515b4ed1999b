#!/usr/bin/env python3
"""Checks and times `mmad` on a GPU, and prints one JSON object last.

    cargo build --release -p mmad --features wgpu --example gpu_check
    python3 scripts/gpu_check.py

Needs nothing but Linux, Python 3, that program and a Vulkan driver with its loader, so both files can be
carried to a machine that has no compiler: `python3 gpu_check.py --program ./gpu_check`.

First values and gradients against the CPU, then what the GPU can do (a copy and a matrix product),
then training, scoring and the scan, each with its share of that, and training and scoring on two
cores of the same machine. Every part is a process of its own with a time limit, so one that hangs or
crashes leaves the others their numbers, and what is not ready after `--total` seconds is not begun.
The exit code is 0 where every part ran and the check passed.
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
    parser.add_argument("--cpu-batch", type=int, default=8, help="the same on the CPU [%(default)s]")
    parser.add_argument("--runs", type=int, default=5, help="runs that count [%(default)s]")
    parser.add_argument("--limit", type=int, default=90, help="seconds for a part [%(default)s]")
    parser.add_argument("--total", type=int, default=270, help="seconds for all [%(default)s]")
    return parser.parse_args()


class Parts:
    """Runs the parts, as long as there is time."""

    def __init__(self, args):
        self.args = args
        self.end = time.monotonic() + args.total
        self.failed = []

    def run(self, *words, cores=None):
        """What one part says, or why it says nothing."""
        start = time.monotonic()
        limit = min(self.args.limit, self.end - start)
        words = [str(word) for word in words]
        print("gpu_check", *words, file=sys.stderr, flush=True)
        found = self.run_within(limit, words, cores) if limit >= 1 else {"error": "no time was left"}
        found["wall_s"] = round(time.monotonic() - start, 1)
        print("  " + json.dumps(found), file=sys.stderr, flush=True)
        if "error" in found:
            self.failed.append(" ".join(words))
        return found

    def run_within(self, limit, words, cores):
        command = [str(self.args.program), *words]
        options = {}
        if cores is not None:
            # Both, because a library may count the cores of the machine and not those allowed.
            options["preexec_fn"] = lambda: os.sched_setaffinity(0, cores)
            options["env"] = dict(os.environ, RAYON_NUM_THREADS=str(len(cores)))
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=limit, **options)
        except subprocess.TimeoutExpired:
            return {"error": f"not ready after {limit:.0f} s"}
        lines = done.stdout.splitlines()
        if done.returncode == 0 and lines:
            return json.loads(lines[-1])
        return {"error": done.stderr.strip()[-2000:] or f"exit code {done.returncode}"}


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


def add_speed_ups(found):
    """States how many times as many pictures a second the GPU trains and scores as the CPU."""
    for what in ["train", "score"]:
        cpu = found["cpu"][what]
        for gpu in found[what].values():
            if "error" not in cpu and "error" not in gpu:
                times = gpu["pictures_per_s"] / cpu["pictures_per_s"]
                gpu["times_the_cpu"] = round(times, 2)


def two_cores():
    """Cores that are not likely to be two threads of one."""
    allowed = sorted(os.sched_getaffinity(0))
    return {allowed[0], allowed[len(allowed) // 4]} if len(allowed) >= 8 else set(allowed[:2])


def vulkan():
    """What Vulkan finds on this machine: its loader, and the files that name drivers."""
    folders = ["/etc/vulkan/icd.d", "/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d"]
    return {
        "loader": ctypes.util.find_library("vulkan"),
        "drivers": [str(file) for folder in folders for file in sorted(Path(folder).glob("*.json"))],
        "named_drivers": os.environ.get("VK_DRIVER_FILES") or os.environ.get("VK_ICD_FILENAMES"),
    }


def main():
    args = arguments()
    if not args.program.is_file():
        sys.exit(
            f"error: there is no `{args.program}`\n\nhint: build it with `cargo build --release -p "
            "mmad --features wgpu --example gpu_check`, or give `--program`"
        )
    args.program = args.program.resolve()
    batches = args.batches.split(",")
    start = time.monotonic()
    parts = Parts(args)
    cores = two_cores()
    found = {"machine_cores": os.cpu_count(), "vulkan": vulkan()}
    if found["vulkan"]["loader"] is None and args.device.startswith("vulkan"):
        print("note: the Vulkan loader (libvulkan.so.1) was not found", file=sys.stderr)

    def on_gpu(what, batch):
        return parts.run(args.device, what, args.size, batch, args.runs)

    def on_cpu(what, batch, runs):
        return parts.run("cpu", what, args.size, batch, runs, cores=cores)

    # What matters most comes first, in case that time runs out.
    found["check"] = parts.run(args.device, "check")
    found["rates"] = on_gpu("rates", 1)
    found["train"] = {batch: on_gpu("train", batch) for batch in batches}
    found["score"] = {batch: on_gpu("score", batch) for batch in batches}
    found["cpu"] = {
        "cores": len(cores),
        "train": on_cpu("train", args.cpu_batch, 1),
        "score": on_cpu("score", 1, args.runs),
    }
    found["scan"] = {batch: on_gpu("scan", batch) for batch in batches}
    add_shares(found)
    add_speed_ups(found)
    found["failed"] = parts.failed
    found["wall_s"] = round(time.monotonic() - start, 1)
    found["passed"] = found["check"].get("passed", False) and not parts.failed
    print(json.dumps(found))
    sys.exit(0 if found["passed"] else 1)


if __name__ == "__main__":
    main()
