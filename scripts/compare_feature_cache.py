#!/usr/bin/env python3
"""Times training steps with and without the kept maps of the frozen encoder.

    cargo build --release -p mmad-cli && python3 scripts/compare_feature_cache.py DATA [-- OPTIONS]

DATA is a class folder with `train/good`; OPTIONS go to `mmad train`, such as `--method uniad`. Of the
class some pictures are used, so that the first epoch, which looks at every picture, is short. Every
setting is trained for one epoch and for some more; what the longer run takes more, divided by its
further steps, is the time of a step whose pictures were all seen before. Settings take turns; the
smallest of all rounds counts. CPU time is that of all threads, and says more than wall time on a
machine that is busy with other work.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "target" / "release" / "mmad"
SETTINGS = {
    "encoder every time": ["train.feature_cache_mb=0"],
    "f16 in memory": ["train.feature_cache_type=f16"],
    "f32 in memory": ["train.feature_cache_type=f32"],
    "f16 on disk": ["train.feature_cache_mb=0", "train.feature_cache_disk_mb=100000"],
}


def cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def train(data, steps, setting, options):
    """Wall seconds of the steps, CPU seconds of the whole program, megabytes."""
    with tempfile.TemporaryDirectory() as out:
        command = [PROGRAM, "train", data, "--out", out, "--json", "--quiet", "--steps", steps]
        command += [part for value in setting for part in ("--set", value)] + options
        before = cpu_seconds()
        start = time.monotonic()
        done = subprocess.run(
            [str(part) for part in command], check=True, capture_output=True, text=True
        )
        wall = time.monotonic() - start
        result = json.loads(done.stdout.splitlines()[-1])
        return wall, cpu_seconds() - before, result["peak_memory_mb"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--pictures", type=int, default=18, help="a tenth of them is held out")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=10, help="after the first")
    parser.add_argument("--rounds", type=int, default=2)
    arguments = sys.argv[1:]
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    args, options = parser.parse_args(arguments[:cut]), arguments[cut + 1 :]
    options += ["--set", f"train.batch={args.batch}"]
    with tempfile.TemporaryDirectory() as folder:
        good = Path(folder) / args.data.name / "train" / "good"
        good.mkdir(parents=True)
        for path in sorted((args.data / "train" / "good").iterdir())[: args.pictures]:
            shutil.copy(path, good)
        an_epoch = (args.pictures - args.pictures // 10) // args.batch
        more = an_epoch * args.epochs
        found = {name: [] for name in SETTINGS}
        for _ in range(args.rounds):
            for name, setting in SETTINGS.items():
                short = train(Path(folder), an_epoch, setting, options)
                long = train(Path(folder), an_epoch + more, setting, options)
                per_step = [(b - a) / more for a, b in zip(short[:2], long[:2])]
                found[name].append((*per_step, long[2]))
    print(f"{'setting':20} {'wall ms':>8} {'CPU ms':>8} {'MB':>6}   per step of {args.batch}")
    for name, rows in found.items():
        wall, cpu, memory = (min(column) for column in zip(*rows))
        print(f"{name:20} {1000 * wall:8.0f} {1000 * cpu:8.0f} {memory:6.0f}")


if __name__ == "__main__":
    main()
