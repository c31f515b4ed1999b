#!/usr/bin/env python3
"""Times `mmad`, PyTorch and ONNX Runtime on the same work, in turns, and prints the ratios.

    cargo build --release -p mmad-cli && cargo build --release -p mmad --example blocks
    python3 scripts/compare_speed.py

Makes its own Python environment in `target/peers` the first time (PyTorch, some gigabytes). Every
number is the shortest of all rounds; the programs take turns, so that a busy machine is busy for
all. With --json the last line is one object. Runs on the CPU alone.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RELEASE = ROOT / "target" / "release"
ENVIRONMENT = ROOT / "target" / "peers"
PACKAGES = ["torch>=2.9", "numpy", "onnx", "onnxscript", "onnxruntime"]


def enter_environment():
    """Continues in the environment of this script, made where it is missing."""
    python = ENVIRONMENT / "bin" / "python"
    if Path(sys.prefix).resolve() == ENVIRONMENT.resolve():
        return
    complete = ENVIRONMENT / "complete"
    if not complete.is_file() or complete.read_text().split() != PACKAGES:
        print(f"making {ENVIRONMENT} with {', '.join(PACKAGES)}", file=sys.stderr)
        venv.create(ENVIRONMENT, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        complete.write_text("\n".join(PACKAGES))
    os.execv(python, [str(python), *sys.argv])


def run_program(*command):
    """The object on the last line of what a program prints."""
    command = [str(part) for part in command]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def mmad(threads, *options):
    """One object of `mmad bench --latency`."""
    command = [RELEASE / "mmad", "bench", "--latency", "--json", "--quiet", "--threads", threads]
    return run_program(*command, *options)


def shortest(run, runs, warm_up=2):
    """Milliseconds of the shortest of `runs`."""
    best = float("inf")
    for index in range(runs + warm_up):
        start = time.perf_counter()
        run()
        if index >= warm_up:
            best = min(best, 1000 * (time.perf_counter() - start))
    return best


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


def encoder_in_pytorch(threads, batch, runs):
    """Shortest milliseconds of the encoder, over both memory layouts."""
    import torch

    torch.set_num_threads(threads)
    best = float("inf")
    for layout in (torch.contiguous_format, torch.channels_last):
        encoder = resnet34().to(memory_format=layout)
        images = torch.randn(batch, 3, 256, 256).to(memory_format=layout)
        with torch.inference_mode():
            best = min(best, shortest(lambda: encoder(images), runs))
    return best


def encoder_in_onnx_runtime(threads, batch, runs):
    """Shortest milliseconds of the encoder, exported from PyTorch."""
    import onnxruntime
    import torch

    images = torch.randn(batch, 3, 256, 256)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "encoder.onnx")
        torch.onnx.export(resnet34(), (images,), path, input_names=["images"], dynamo=True,
                          verbose=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
    inputs = {session.get_inputs()[0].name: images.numpy()}
    return shortest(lambda: session.run(None, inputs), runs)


def block_in_pytorch(name, threads, runs):
    """Shortest milliseconds of a block of `examples/blocks.rs`, forward and backward, over both
    memory layouts."""
    import torch
    from torch import nn

    torch.set_num_threads(threads)

    def conv(n_out, dilation=1, stride=1):
        return nn.Conv2d(256, n_out, 3, stride, dilation, dilation, bias=False)

    if name == "local":
        size = (8, 64, 64, 64)
        layers = [nn.Conv2d(64, 64, 1, bias=False)]
        for kernel in (3, 5, 7):
            layers += [nn.Conv2d(64, 64, kernel, padding=kernel // 2, groups=64, bias=False),
                       nn.InstanceNorm2d(64), nn.SiLU()]
    else:
        size = (8, 256, 16, 16)
        layers = []
        for dilation in (1, 3, 5):
            layers += [conv(256, dilation), nn.BatchNorm2d(256), nn.SiLU()]
        layers.append(conv(512, stride=2))
    best = float("inf")
    for layout in (torch.contiguous_format, torch.channels_last):
        block = nn.Sequential(*layers).train().to(memory_format=layout)
        x = torch.randn(size).to(memory_format=layout).requires_grad_()
        weight = torch.randn_like(block(x))

        def step():
            block.zero_grad(set_to_none=True)
            x.grad = None
            (block(x) * weight).sum().backward()

        best = min(best, shortest(step, runs))
    return best


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--threads", type=int, default=os.cpu_count())
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--json", action="store_true")
    arguments = options.parse_args()
    threads, rounds = arguments.threads, arguments.rounds

    paper = ["--preset", "paper"]
    bf16 = ["--encoder-precision", "bf16"]
    blocks = {}

    def block(name):
        if not blocks:
            blocks.update(run_program(RELEASE / "examples" / "blocks", threads, 8))
        return blocks.pop(f"{name}_ms")

    work = {
        "encoder, batch 1": lambda: mmad(threads, *paper, "--runs", 8)["parts_ms"]["encoder"],
        "encoder, batch 8":
            lambda: mmad(threads, *paper, "--batch", 8, "--runs", 3)["parts_ms"]["encoder"],
        "encoder in bf16, batch 1":
            lambda: mmad(threads, *paper, *bf16, "--runs", 8)["parts_ms"]["encoder"],
        "PyTorch encoder, batch 1": lambda: encoder_in_pytorch(threads, 1, 12),
        "PyTorch encoder, batch 8": lambda: encoder_in_pytorch(threads, 8, 4),
        "ONNX Runtime encoder, batch 1": lambda: encoder_in_onnx_runtime(threads, 1, 12),
        "ONNX Runtime encoder, batch 8": lambda: encoder_in_onnx_runtime(threads, 8, 4),
        "MMAD score, batch 1": lambda: mmad(threads, *paper, "--runs", 8)["min_ms"],
        "MMAD score, encoder in bf16, batch 1":
            lambda: mmad(threads, *paper, *bf16, "--runs", 8)["min_ms"],
        "light MMAD score, batch 1":
            lambda: mmad(threads, "--preset", "quick", "--runs", 12)["min_ms"],
        "local block, training": lambda: block("local"),
        "PyTorch local block, training": lambda: block_in_pytorch("local", threads, 8),
        "dilated block, training": lambda: block("dilated"),
        "PyTorch dilated block, training": lambda: block_in_pytorch("dilated", threads, 8),
        "MMAD training step, batch 8":
            lambda: mmad(threads, *paper, "--train", "--runs", 3)["min_ms"],
    }
    best = {name: float("inf") for name in work}
    for _ in range(rounds):
        for name, measure in work.items():
            best[name] = min(best[name], measure())
        blocks.clear()

    pairs = [("encoder, batch 1", "PyTorch encoder, batch 1"),
             ("encoder, batch 8", "PyTorch encoder, batch 8"),
             ("encoder, batch 1", "ONNX Runtime encoder, batch 1"),
             ("encoder, batch 8", "ONNX Runtime encoder, batch 8"),
             ("MMAD score, batch 1", "PyTorch encoder, batch 1"),
             ("encoder in bf16, batch 1", "PyTorch encoder, batch 1"),
             ("MMAD score, encoder in bf16, batch 1", "PyTorch encoder, batch 1"),
             ("light MMAD score, batch 1", "PyTorch encoder, batch 1"),
             ("local block, training", "PyTorch local block, training"),
             ("dilated block, training", "PyTorch dilated block, training")]
    ratios = {f"{ours} / {peer}": best[ours] / best[peer] for ours, peer in pairs}
    for name, milliseconds in best.items():
        print(f"{name:38} {milliseconds:9.1f} ms")
    for name, ratio in ratios.items():
        print(f"{name:64} {ratio:6.2f}")
    if arguments.json:
        print(json.dumps({"threads": threads, "rounds": rounds, "ms": best, "ratios": ratios}))


if __name__ == "__main__":
    enter_environment()
    main()
