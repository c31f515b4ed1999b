#!/usr/bin/env python3
"""Times `mmad` and PyTorch on the same work, in turns, and prints the ratios.

    cargo build --release -p mmad-cli && python3 scripts/compare_speed.py

Makes its own Python environment in `target/peers` the first time (PyTorch, some gigabytes). Every
number is the shortest of all rounds; the two programs take turns, so that a busy machine is busy
for both. With --json the last line is one object. Runs on the CPU alone.
"""

import argparse
import json
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / "target" / "peers"
PACKAGES = ["torch>=2.9", "numpy"]


def enter_environment():
    """Continues in the environment of this script, made where it is missing."""
    python = ENVIRONMENT / "bin" / "python"
    if Path(sys.prefix).resolve() == ENVIRONMENT.resolve():
        return
    if not (ENVIRONMENT / "complete").is_file():
        print(f"making {ENVIRONMENT} with {', '.join(PACKAGES)}", file=sys.stderr)
        venv.create(ENVIRONMENT, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        (ENVIRONMENT / "complete").touch()
    os.execv(python, [str(python), *sys.argv])


def mmad(threads, *options):
    """One object of `mmad bench --latency`."""
    program = ROOT / "target" / "release" / "mmad"
    command = [program, "bench", "--latency", "--json", "--quiet", "--threads", threads, *options]
    done = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def resnet34():
    """Stem and stages 1 to 3 of ResNet-34, batch norms folded into the convolutions."""
    import torch
    from torch import nn
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    def conv(n_in, n_out, kernel, stride=1):
        layer = nn.Conv2d(n_in, n_out, kernel, stride, kernel // 2, bias=False)
        return fuse_conv_bn_eval(layer.eval(), nn.BatchNorm2d(n_out).eval())

    class Block(nn.Module):
        def __init__(self, n_in, n_out, stride):
            super().__init__()
            self.first, self.second = conv(n_in, n_out, 3, stride), conv(n_out, n_out, 3)
            self.shortcut = conv(n_in, n_out, 1, stride) if stride > 1 else nn.Identity()

        def forward(self, x):
            y = self.second(torch.relu_(self.first(x)))
            return torch.relu_(y.add_(self.shortcut(x)))

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Sequential(conv(3, 64, 7, 2), nn.ReLU(True), nn.MaxPool2d(3, 2, 1))
            sizes = [(64, 64, 3, 1), (64, 128, 4, 2), (128, 256, 6, 2)]
            self.stages = nn.ModuleList(
                nn.Sequential(*(Block(n_in if i == 0 else n_out, n_out, stride if i == 0 else 1)
                                for i in range(n)))
                for n_in, n_out, n, stride in sizes)

        def forward(self, x):
            x, maps = self.stem(x), []
            for stage in self.stages:
                x = stage(x)
                maps.append(x)
            return maps

    return Encoder().eval()


def time_pytorch(threads, batch, runs):
    """Shortest milliseconds of the encoder, over both memory layouts."""
    import time
    import torch

    torch.set_num_threads(threads)
    best = float("inf")
    for layout in (torch.contiguous_format, torch.channels_last):
        encoder = resnet34().to(memory_format=layout)
        images = torch.randn(batch, 3, 256, 256).to(memory_format=layout)
        with torch.inference_mode():
            for run in range(runs + 2):
                start = time.perf_counter()
                encoder(images)
                if run >= 2:
                    best = min(best, 1000 * (time.perf_counter() - start))
    return best


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--threads", type=int, default=os.cpu_count())
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--json", action="store_true")
    arguments = options.parse_args()
    threads, rounds = arguments.threads, arguments.rounds

    paper = ["--preset", "paper"]
    work = {
        "encoder, batch 1": lambda: mmad(threads, *paper, "--runs", 8)["parts_ms"]["encoder"],
        "encoder, batch 8":
            lambda: mmad(threads, *paper, "--batch", 8, "--runs", 3)["parts_ms"]["encoder"],
        "PyTorch encoder, batch 1": lambda: time_pytorch(threads, 1, 12),
        "PyTorch encoder, batch 8": lambda: time_pytorch(threads, 8, 4),
        "MMAD score, batch 1": lambda: mmad(threads, *paper, "--runs", 8)["min_ms"],
        "light MMAD score, batch 1":
            lambda: mmad(threads, "--preset", "quick", "--runs", 12)["min_ms"],
        "MMAD training step, batch 8":
            lambda: mmad(threads, *paper, "--train", "--runs", 3)["min_ms"],
    }
    shortest = {name: float("inf") for name in work}
    for _ in range(rounds):
        for name, measure in work.items():
            shortest[name] = min(shortest[name], measure())

    pairs = [("encoder, batch 1", "PyTorch encoder, batch 1"),
             ("encoder, batch 8", "PyTorch encoder, batch 8"),
             ("MMAD score, batch 1", "PyTorch encoder, batch 1"),
             ("light MMAD score, batch 1", "PyTorch encoder, batch 1")]
    ratios = {f"{ours} / {peer}": shortest[ours] / shortest[peer] for ours, peer in pairs}
    for name, milliseconds in shortest.items():
        print(f"{name:32} {milliseconds:9.1f} ms")
    for name, ratio in ratios.items():
        print(f"{name:60} {ratio:6.2f}")
    if arguments.json:
        print(json.dumps({"threads": threads, "rounds": rounds, "ms": shortest, "ratios": ratios}))


if __name__ == "__main__":
    enter_environment()
    main()
