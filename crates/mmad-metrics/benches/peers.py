#!/usr/bin/env python3
"""Times other tools on the maps of the benchmark `mvtec_size`, in one sitting with it.

    python3 crates/mmad-metrics/benches/peers.py [--full] [--anomalib] [--runs N] [--environment DIR]

Run it at the root of the repository. It makes a Python environment of its own, in a temporary
folder or in the one you name, and installs adeval 1.1.0, scikit-learn and NumPy below 2.4 (adeval
calls a function that NumPy 2.4 took away) and OpenCV; with `--anomalib` anomalib as well, which brings PyTorch
and fills 6 GB. Without `--full`, scikit-learn and anomalib measure three classes of the fifteen, and
their seconds are scaled by the number of pixels; this is said in the output.

The last line is one JSON object. CPU seconds are those of all threads; memory is the peak above
the loaded maps of the largest class.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

BENCH = ["cargo", "bench", "-q", "-p", "mmad-metrics", "--bench", "mvtec_size", "--"]
PACKAGES = ["numpy<2.4", "scikit-learn", "opencv-python-headless"]
PEERS = ["adeval", "sklearn_pixels", "numpy_pro", "sklearn_and_pro", "anomalib"]
FEW = ["bottle", "toothbrush", "wood"]


def measure_here(folder, runs, full, with_anomalib):
    """Runs inside the environment: times the peers and prints one JSON line."""
    import resource

    import adeval
    import cv2
    import numpy
    import sklearn
    import sklearn.metrics as skm

    def peak_mb():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    def best_of(n, work):
        best_cpu, best_wall, value = float("inf"), float("inf"), None
        for _ in range(n):
            cpu, wall = time.process_time(), time.perf_counter()
            value = work()
            best_wall = min(best_wall, time.perf_counter() - wall)
            best_cpu = min(best_cpu, time.process_time() - cpu)
        return best_cpu, best_wall, value

    def sklearn_seven(maps, masks):
        scores, labels = maps.ravel(), masks.ravel()
        auroc = skm.roc_auc_score(labels, scores)
        ap = skm.average_precision_score(labels, scores)
        precision, recall, _ = skm.precision_recall_curve(labels, scores)
        f1 = 2 * precision * recall / numpy.maximum(precision + recall, 1e-300)
        return auroc, ap, float(f1.max())

    def exact_pro(maps, masks, limit=0.3):
        """AU-PRO by its definition, in NumPy and OpenCV: every score is a threshold."""
        share = numpy.zeros(maps.shape)
        n_regions = 0
        for mask, shares in zip(masks, share):
            n, labels = cv2.connectedComponents(mask, connectivity=8)
            areas = numpy.bincount(labels.ravel(), minlength=n).astype("f8")
            areas[0] = numpy.inf
            shares[:] = 1 / areas[labels]
            n_regions += n - 1
        order = numpy.argsort(-maps, axis=None)
        pro = numpy.cumsum(share.ravel()[order]) / n_regions
        fpr = numpy.cumsum(masks.ravel()[order] == 0) / (masks == 0).sum()
        last_of_score = numpy.append(numpy.diff(maps.ravel()[order]) != 0, True)
        fpr = numpy.append(0, fpr[last_of_score])
        pro = numpy.append(0, pro[last_of_score])
        inside = numpy.searchsorted(fpr, limit, side="right")
        at_limit = numpy.interp(limit, fpr, pro)
        fpr = numpy.append(fpr[:inside], limit)
        pro = numpy.append(pro[:inside], at_limit)
        return float(numpy.trapezoid(pro, fpr) / limit)

    def anomalib_four(maps, masks):
        import torch
        from anomalib.metrics.aupr import _AUPR
        from anomalib.metrics.aupro import _AUPRO
        from anomalib.metrics.auroc import _AUROC
        from anomalib.metrics.f1_score import _F1Max

        # It takes scores from 0 to 1 as they are, and puts others through a sigmoid.
        maps = torch.from_numpy(maps / maps.max())
        masks = torch.from_numpy(masks).to(torch.int64)
        values = []
        for metric, flat in ((_AUROC(), True), (_AUPR(), True), (_F1Max(), True), (_AUPRO(), False)):
            metric.update(maps.flatten() if flat else maps, masks.flatten() if flat else masks)
            values.append(float(metric.compute()))
        return values

    names = sorted(path.stem for path in (folder / "maps").glob("*.npy"))
    adeval_cpu = adeval_wall = sk_cpu = sk_wall = anomalib_cpu = anomalib_wall = 0.0
    pro_cpu = pro_wall = 0.0
    pixels = sk_pixels = 0
    adeval_values, sk_values, pro_values, anomalib_values = [], [], [], []
    extra = {"adeval": 0.0, "sklearn": 0.0, "anomalib": 0.0}
    for name in names:
        maps = numpy.load(folder / "maps" / f"{name}.npy")
        masks = numpy.load(folder / "masks" / f"{name}.npy")
        pixels += maps.size
        before = peak_mb()
        cpu, wall, value = best_of(runs, lambda: adeval.auroc_aupr_aupro(maps, masks))
        extra["adeval"] = max(extra["adeval"], peak_mb() - before)
        adeval_cpu, adeval_wall = adeval_cpu + cpu, adeval_wall + wall
        adeval_values.append(value)
        if full or name in FEW:
            before = peak_mb()
            cpu, wall, value = best_of(1, lambda: sklearn_seven(maps, masks))
            extra["sklearn"] = max(extra["sklearn"], peak_mb() - before)
            sk_cpu, sk_wall, sk_pixels = sk_cpu + cpu, sk_wall + wall, sk_pixels + maps.size
            sk_values.append((name, *value))
            cpu, wall, value = best_of(1, lambda: exact_pro(maps, masks))
            pro_cpu, pro_wall = pro_cpu + cpu, pro_wall + wall
            pro_values.append((name, value, value - adeval_values[-1][2]))
    # Last, so that the threads of PyTorch are in nobody's way.
    if with_anomalib:
        anomalib_four(numpy.eye(64, dtype="f4")[None], numpy.eye(64, dtype="u1")[None])  # imports
        for name in names if full else FEW:
            maps = numpy.load(folder / "maps" / f"{name}.npy")
            masks = numpy.load(folder / "masks" / f"{name}.npy")
            before = peak_mb()
            cpu, wall, value = best_of(1, lambda: anomalib_four(maps, masks))
            extra["anomalib"] = max(extra["anomalib"], peak_mb() - before)
            anomalib_cpu, anomalib_wall = anomalib_cpu + cpu, anomalib_wall + wall
            anomalib_values.append((name, *value))
    scale = pixels / sk_pixels
    peers = {
        "numpy": numpy.__version__,
        "sklearn": sklearn.__version__,
        "pixels": pixels,
        "adeval": {
            "what": "pixel AU-ROC, AP and AU-PRO from 1000 bins, approximate",
            "cpu_s": adeval_cpu,
            "wall_s": adeval_wall,
            "peak_extra_mb": extra["adeval"],
            "means": [sum(column) / len(names) for column in zip(*adeval_values)],
        },
        "sklearn_pixels": {
            "what": "pixel AU-ROC, AP and F1-max, exact, without AU-PRO",
            "cpu_s": sk_cpu * scale,
            "wall_s": sk_wall * scale,
            "peak_extra_mb": extra["sklearn"],
            "scaled_from_share_of_pixels": sk_pixels / pixels,
            "values": sk_values,
        },
        "numpy_pro": {
            "what": "AU-PRO, exact, by its definition in NumPy and OpenCV",
            "cpu_s": pro_cpu * scale,
            "wall_s": pro_wall * scale,
            "peak_extra_mb": None,
            "scaled_from_share_of_pixels": sk_pixels / pixels,
            "values": pro_values,
        },
        "sklearn_and_pro": {
            "what": "the two before together",
            "cpu_s": (sk_cpu + pro_cpu) * scale,
            "wall_s": (sk_wall + pro_wall) * scale,
            "peak_extra_mb": None,
        },
    }
    if with_anomalib:
        import anomalib
        import torch

        peers["anomalib"] = {
            "what": "pixel AU-ROC, AUPR (trapezoids), F1-max and AU-PRO",
            "version": anomalib.__version__,
            "torch": torch.__version__,
            "cpu_s": anomalib_cpu * scale,
            "wall_s": anomalib_wall * scale,
            "peak_extra_mb": extra["anomalib"],
            "scaled_from_share_of_pixels": sk_pixels / pixels,
            "values": anomalib_values,
        }
    print(json.dumps(peers))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="scikit-learn on all classes (minutes)")
    parser.add_argument("--anomalib", action="store_true", help="anomalib as well (6 GB to install)")
    parser.add_argument("--environment", type=pathlib.Path, help="keep the Python environment here")
    parser.add_argument("--runs", type=int, default=3, help="runs of adeval, the best is told")
    parser.add_argument("--measure", type=pathlib.Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        measure_here(args.measure, args.runs, args.full, args.anomalib)
        return

    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        environment = args.environment or scratch / "venv"
        python = environment / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        anomalib = ["anomalib==2.7.0"] if args.anomalib else []
        subprocess.run([*pip, *PACKAGES, *anomalib], check=True)
        # Its other dependency, a GPU framework of gigabytes, is not used here.
        subprocess.run([*pip, "--no-deps", "adeval==1.1.0"], check=True)

        def ours(*options):
            run = subprocess.run([*BENCH, "--json", *options], check=True, capture_output=True, text=True)
            return json.loads(run.stdout.splitlines()[-1])

        maps = scratch / "maps"
        one = ours("--threads", "1", "--export", str(maps))
        two = ours("--threads", "2")
        again = [python, __file__, "--measure", maps, "--runs", str(args.runs)]
        peers = subprocess.run(
            [
                *again,
                *(["--full"] if args.full else []),
                *(["--anomalib"] if args.anomalib else []),
            ],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        peers = json.loads(peers.stdout.splitlines()[-1])
        # Once more behind the peers, since others may use the machine too; the better one counts.
        later = ours("--threads", "2")
        two = min(two, later, key=lambda run: run["wall_s"])

    means = [one["means"][key] for key in ("pixel_au_roc", "pixel_ap", "au_pro")]
    ratios = {
        name: {
            "cpu": peers[name]["cpu_s"] / one["cpu_s"],
            "wall": peers[name]["wall_s"] / two["wall_s"],
        }
        for name in PEERS
        if name in peers
    }
    print(f"{'':24}{'CPU s':>9}{'wall s':>9}{'extra MB':>10}")
    rows = [("mmad, 1 thread", one), ("mmad, 2 threads", two)]
    rows += [(name, peers[name]) for name in ratios]
    for name, row in rows:
        memory = row["peak_extra_mb"]
        memory = "" if memory is None else f"{memory:10.0f}"
        print(f"{name:24}{row['cpu_s']:9.2f}{row['wall_s']:9.2f}{memory}")
    share = peers["sklearn_pixels"]["scaled_from_share_of_pixels"]
    if share < 1:
        print(f"all but adeval and mmad: scaled from {share:.0%} of the pixels")
    for name, ratio in ratios.items():
        print(f"{name}: {ratio['cpu']:.1f}x the CPU of 1 thread, {ratio['wall']:.1f}x the wall time of 2")
    errors = [abs(a - b) for a, b in zip(peers["adeval"]["means"], means)]
    apart = max(abs(value[-1]) for value in peers["numpy_pro"]["values"])
    print(f"AU-PRO of NumPy and of adeval differ by {apart:.1e} in a class at most")
    print("adeval differs by " + ", ".join(f"{error:.1e}" for error in errors) + " (AU-ROC, AP, AU-PRO)")
    print(json.dumps({"mmad_1": one, "mmad_2": two, "peers": peers, "ratios": ratios}))


if __name__ == "__main__":
    main()
