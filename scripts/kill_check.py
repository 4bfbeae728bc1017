#!/usr/bin/env python3
"""Kills a small training run at thirty named points, resumes it with the bare command, and compares the results.

    scripts/kill_check.py target/release/lamas

Needs strace, which ends the command in the middle of a system call: when it creates its folders, before and within each
durable write (sync, rename), and at shares of its time (survey, passes, halting head, evaluation). Checkpoint, metrics,
episodes and settings must then equal those of an undisturbed run, except for measured seconds.
"""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CONFIG = """
[controller]
layers = 2
hidden = 4
[training]
save_every = 1
[training.survey]
passes = 3
[training.halting]
hidden = 2
draws = 2
passes = 2
"""
MEASURED = {"seconds", "started", "queued", "tool_seconds"}
KEPT = ["seed-3/checkpoint.safetensors", "seed-3/metrics.jsonl", "seed-4/checkpoint.safetensors", "seed-4/metrics.jsonl"]


def points():
    yield from (("mkdir", number) for number in (1, 2))
    yield from (("rename", number) for number in range(1, 12))
    yield from (("fsync", number) for number in range(1, 8))
    yield from (("share", share) for share in (0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.9))


def without_measures(value):
    if isinstance(value, dict):
        return {name: without_measures(item) for name, item in value.items() if name not in MEASURED}
    return [without_measures(item) for item in value] if isinstance(value, list) else value


def left(run):
    files = {name: (run / name).read_bytes() for name in KEPT}
    lines = (run / "test-episodes.jsonl").read_text().splitlines()
    files["episodes"] = json.dumps([without_measures(json.loads(line)) for line in lines])
    # Every run has its own id.
    files["settings"] = json.loads((run / "settings.json").read_text())
    del files["settings"]["run"]["id"]
    return files


def main():
    lamas = str(pathlib.Path(sys.argv[1]).resolve())
    place = pathlib.Path(tempfile.mkdtemp(prefix="kill-check-"))
    shutil.copytree(ROOT / "tests/benchmarks/tiny", place / "tiny")
    (place / "small.toml").write_text(CONFIG)
    train = ["train", "--benchmark", "tiny", "--config", "small.toml", "--device", "cpu", "--seed", "3", "--seeds", "2"]
    quiet = {"cwd": place, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    begun = time.monotonic()
    subprocess.run([lamas, *train, "--out", "run"], check=True, **quiet)
    lasted = time.monotonic() - begun
    expected = left(place / "run")
    shutil.rmtree(place / "run")
    print(f"undisturbed: {lasted:.1f} s")
    failed = 0
    for name, number in points():
        command = [lamas, *train, "--out", "run"]
        if name == "share":
            try:
                subprocess.run(command, timeout=lasted * number, **quiet)
                ended = 0
            except subprocess.TimeoutExpired:
                ended = -9
        else:
            calls = {"mkdir": "mkdir", "rename": "rename,renameat,renameat2", "fsync": "fsync,fdatasync"}[name]
            inject = [f"inject={calls}:signal=SIGKILL:when={number}"]
            watch = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", "-e", *inject]
            ended = subprocess.run([*watch, *command], **quiet).returncode
        resume = ["train", "--resume", "run"] if (place / "run/settings.json").exists() else [*train, "--out", "run"]
        resumed = subprocess.run([lamas, *resume], cwd=place, capture_output=True, text=True)
        verdict = "not killed" if ended == 0 else "same"
        if resumed.returncode != 0:
            verdict = f"NOT RESUMED: {resumed.stderr.strip().splitlines()[-1:]}"
        else:
            found = left(place / "run")
            other = [file for file in expected if found[file] != expected[file]]
            verdict = f"OTHER {', '.join(other)}" if other else verdict
        failed += verdict.startswith(("NOT", "OTHER"))
        print(f"{name:7} {number:<5} {verdict}", flush=True)
        shutil.rmtree(place / "run", ignore_errors=True)
    shutil.rmtree(place)
    print(f"{failed} failed")
    sys.exit(failed > 0)


main()
