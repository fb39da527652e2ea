"""Ten minutes of hostile model files: a fuzzer that follows the code's branches (atheris).

    pip install -e '.[fuzz]'
    python tests/fuzz/fuzz_checkpoint.py --minutes 10
    python tests/fuzz/fuzz_checkpoint.py CASE             run one case

Options with one dash are libFuzzer's: https://llvm.org/docs/LibFuzzer.html#options

It starts from ``tests/fuzz/cases/`` and ends at the first case that breaks a law of ``target.py``,
which it writes to ``--found``, or when the time is up, with the number of executions. Add such a
case to ``cases/``, where the tests will run it.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
from pathlib import Path

# Before NumPy is imported: its threads only cost time here.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import atheris

HERE = Path(__file__).resolve().parent
CASES = HERE / "cases"


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Fuzz charlm's readers of model files.", allow_abbrev=False
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument(
        "--found", type=Path, help="directory for new cases [default: a temporary one]"
    )
    options, rest = parser.parse_known_args()
    found = options.found or Path(tempfile.mkdtemp(prefix="charlm-fuzz-"))
    found.mkdir(parents=True, exist_ok=True)

    sys.path.insert(0, str(HERE.parent))
    with atheris.instrument_imports(include=["charlm"]):
        from fuzz.target import run_one

    print(f"new cases go to {found}", file=sys.stderr)
    chosen = [argument for argument in rest if not argument.startswith("-")]
    arguments = [
        f"-max_total_time={max(1, round(options.minutes * 60))}",
        "-max_len=8192",
        "-timeout=20",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
        f"-artifact_prefix={found}/",
    ]
    # Files or directories on the command line replace the corpus.
    corpus = [] if chosen else [str(found), str(CASES)]
    # libFuzzer restarts itself by the first argument, which -merge=1 and others need.
    atheris.Setup([shlex.join([sys.executable, __file__]), *arguments, *rest, *corpus], run_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
