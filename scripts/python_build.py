"""Builds the Python package: the executable that confines programs, then the wheel, by maturin.

`pip wheel .` and `pip install .` call this. MATURIN_PEP517_ARGS holds further arguments for both, such as
`--profile dev` for a build in a minute.
"""

import argparse
import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import maturin
from maturin import (  # noqa: F401
    build_sdist,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

HELPER = Path("src/python/lamas/lamas-sandbox")


def build_helper():
    options = argparse.ArgumentParser()
    options.add_argument("--profile", default="release")
    options.add_argument("--target")
    said, _ = options.parse_known_args(shlex.split(os.environ.get("MATURIN_PEP517_ARGS", "")))
    command = ["cargo", "rustc", "--locked", "--bin", "lamas-sandbox", "--features", "sandbox-helper"]
    command += ["--profile", said.profile, "--message-format", "json-render-diagnostics"]
    # It starts and ends in a millisecond; to optimise the library for it would take as long as for all the rest.
    command += ["--config", f"profile.{said.profile}.package.lamas.opt-level=0"]
    command += ["--target", said.target] if said.target else []
    # Only this executable is stripped; a profile that strips would build all crates again.
    built = subprocess.run([*command, "--", "-C", "strip=symbols"], check=True, stdout=subprocess.PIPE, text=True)
    messages = [json.loads(line) for line in built.stdout.splitlines() if line.startswith("{")]
    executables = [message["executable"] for message in messages if message.get("executable")]
    if not executables:
        raise SystemExit("expected an executable `lamas-sandbox` from cargo, found none")
    shutil.copy2(executables[-1], HELPER)
    HELPER.chmod(0o755)


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    build_helper()
    return maturin.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    build_helper()
    return maturin.build_editable(wheel_directory, config_settings, metadata_directory)
