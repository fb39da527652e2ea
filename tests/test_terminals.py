"""Output to a terminal, a pipe or a closed stream: nothing harmful from a model, a corpus or a file
name, no traceback, and JSON that always parses.

Most tests run the real command, under a pseudo-terminal where it matters: what the interpreter does
to its streams when it starts and when it ends is part of what is tested.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import shlex
import shutil
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from click.testing import Result
from conftest import covering

from charlm import checkpoint, runs
from charlm.checkpoint import Checkpoint
from charlm.config import ModelConfig
from charlm.text.tokenizer import ByteTokenizer, CharTokenizer, Tokenizer

Invoke = Callable[..., Result]

posix = pytest.mark.skipif(os.name != "posix", reason="needs pseudo-terminals and a shell")
COMMAND = [sys.executable, "-m", "charlm"]
TINY: list[object] = [
    "--hidden-size",
    4,
    "--precision",
    "float32",
    "--device",
    "cpu",
    "--optimizer",
    "adamw",
    "--batch-size",
    2,
    "--seq-len",
    8,
]

HOSTILE = "ev\x1b]0;owned\x07\x9b31m\x7f\u202eil\u2066"
"""As a file name: sets the window's title, rings, turns red, turns the rest of the line round."""

# Everything that a terminal may obey: control characters (C0 but for newline and tab, DEL, C1) and
# the marks that reorder a line.
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def harmless(shown: str) -> None:
    """A terminal ends its lines with CR LF; nothing else in it is obeyed."""
    found = sorted(set(UNSAFE.findall(shown.replace("\r\n", "\n"))))
    assert not found, f"{found} in {shown!r}"


def environment(**changes: str) -> dict[str, str]:
    """This one without what would decide a test elsewhere."""
    decided = {"NO_COLOR", "PYTHONIOENCODING", "PYTHONUTF8", "PYTHONCOERCECLOCALE", "LC_ALL"}
    rest = {key: value for key, value in os.environ.items() if key not in decided}
    return rest | {"TERM": "xterm", "LANG": "C.UTF-8"} | changes


def on_terminal(*arguments: object, **changes: str) -> tuple[int, str]:
    """(exit code, all that a terminal of 100 columns gets from stdout and stderr)."""
    import fcntl
    import termios

    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env=environment(**changes),
    )
    os.close(theirs)
    late = threading.Timer(120, process.kill)
    late.start()
    shown = b""
    with contextlib.suppress(OSError):  # how Linux says that the other side has been closed
        while piece := os.read(ours, 65536):
            shown += piece
    os.close(ours)
    code = process.wait()
    late.cancel()
    return code, shown.decode("utf-8", "surrogateescape")


def model_file(
    path: Path, tokenizer: Tokenizer, scale: float = 0.0, provenance: dict[str, Any] | None = None
) -> Path:
    config = ModelConfig.resolve(vocab_size=tokenizer.vocab_size, hidden_size=2)
    weights = {
        name: np.full(shape, scale, np.float32) for name, shape in config.parameter_shapes().items()
    }
    checkpoint.write(path, Checkpoint(config, tokenizer, weights, provenance or {}))
    return path


# -------------------------------------------------------------------------------- under a terminal


@dataclass(frozen=True)
class Evil:
    """A corpus full of escape sequences, under a name of them, in a directory of that name."""

    corpus: Path
    run: Path
    unseen: Path
    shared: Path
    empty: Path


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory, charlm: Invoke) -> Evil:
    home = tmp_path_factory.mktemp("evil") / HOSTILE
    home.mkdir()
    corpus = home / f"{HOSTILE}.txt"
    corpus.write_bytes("il \x1b[31mmare\x1b[0m\x07 \x9b2J\u202e\u2066 \x00\x7f\r\n".encode() * 20)
    (home / f"{HOSTILE}.bin").write_bytes(b"\0")
    (home / "more.txt").write_text("il mare\n" * 70, encoding="utf-8")
    (home / "unseen").write_text("il \x1b\x1c\u202d\x9b\u2067mare", encoding="utf-8")
    made = charlm("train", corpus, "--out", home / "runs", *TINY, "--steps", 2)
    assert made.exit_code == 0, made.output
    (run,) = (home / "runs").iterdir()
    shared = model_file(
        home / "shared.safetensors",
        CharTokenizer("\n\x1bab\x9b\u202e"),
        provenance={
            "commonest": "\u202e",
            "corpus": HOSTILE,
            "split": [HOSTILE],
            HOSTILE: HOSTILE,
            "val_bits_per_char": {"\x1b": "\x9b"},
        },
    )
    (home / "empty").mkdir()
    return Evil(corpus, run, home / "unseen", shared, home / "empty")


SHOWN: dict[str, tuple[int, Callable[[Evil], list[object]]]] = {
    "samples": (0, lambda e: ["sample", e.run, "--length", 300, "--num-samples", 2]),
    "sample-out": (0, lambda e: ["sample", e.run, "--length", 9, "--out", e.empty / HOSTILE]),
    "sample-json": (0, lambda e: ["sample", e.run, "--json", "--prompt", "\x1b\u202e"]),
    "prompt-unseen": (2, lambda e: ["sample", e.run, "--prompt", "\x1c\u202d\x9c"]),
    "prompt-skipped": (
        0,
        lambda e: ["sample", e.run, "--prompt", "a\x1c\u202d", "--on-unknown", "skip"],
    ),
    "no-such-run": (2, lambda e: ["sample", e.empty / f"no{HOSTILE}"]),
    "no-run": (2, lambda e: ["sample", e.empty.parent]),
    "no-prompt-file": (2, lambda e: ["sample", e.run, "--prompt-file", e.empty / f"no{HOSTILE}"]),
    "eval": (0, lambda e: ["eval", e.run]),
    "eval-unseen": (2, lambda e: ["eval", e.run, e.unseen]),
    "eval-skipped": (0, lambda e: ["eval", e.run, e.unseen, "--on-unknown", "skip"]),
    "eval-nothing": (2, lambda e: ["eval", e.shared]),
    "info": (0, lambda e: ["info", e.run]),
    "info-of-a-shared-file": (0, lambda e: ["info", e.shared]),
    "info-json": (0, lambda e: ["info", e.shared, "--json"]),
    "info-of-no-model": (1, lambda e: ["info", e.corpus]),
    "corpus-make": (
        0,
        lambda e: ["corpus", "make", "viaggi", "--chars", 300, "--out", e.empty / f"c{HOSTILE}"],
    ),
    "no-such-corpus": (2, lambda e: ["corpus", "make", HOSTILE]),
    "surplus-argument": (2, lambda e: ["sample", e.run, HOSTILE]),
    "surplus-arguments": (2, lambda e: ["info", e.run, HOSTILE, HOSTILE]),
    "no-such-command": (2, lambda e: [HOSTILE]),
    "no-such-option": (2, lambda e: ["sample", f"--{HOSTILE}"]),
    "no-number": (2, lambda e: ["sample", "--length", HOSTILE]),
}


@posix
@pytest.mark.parametrize(("code", "arguments"), SHOWN.values(), ids=SHOWN.keys())
def test_nothing_that_a_terminal_obeys_comes_out(
    evil: Evil, code: int, arguments: Callable[[Evil], list[object]]
) -> None:
    found, shown = on_terminal(*arguments(evil))
    assert found == code, shown
    assert shown
    assert "Traceback" not in shown
    harmless(shown)


@posix
def test_the_corpus_that_was_moved_away_is_named_harmlessly(
    charlm: Invoke, evil: Evil, tmp_path: Path
) -> None:
    corpus = tmp_path / evil.corpus.name
    shutil.copy(evil.corpus, corpus)
    assert charlm("train", corpus, "--out", tmp_path, *TINY, "--steps", 1).exit_code == 0
    corpus.unlink()
    (run,) = (path for path in tmp_path.iterdir() if path.is_dir())
    for arguments in (["eval", run], ["eval", run, evil.corpus], ["train", "--resume", run]):
        _, shown = on_terminal(*arguments)
        assert "no such file" in shown
        harmless(shown)


BAR = re.compile(r"\x1b\[(36|0)m|\r(?!\n)")
"""What the bar itself sends: its colour, and back to the beginning of its line."""


@posix
def test_training_on_a_terminal_shows_a_coloured_bar_and_nothing_else_that_is_obeyed(
    evil: Evil, tmp_path: Path
) -> None:
    """Corpus name, run, samples, files and next command; in two parts, so the resume's talk too."""
    out = tmp_path / HOSTILE
    code, shown = on_terminal(
        "train",
        evil.corpus,
        "--out",
        out,
        *TINY,
        "--steps",
        4,
        "--sample-every",
        2,
    )
    assert code == 0
    assert "\x1b[36m" in shown
    assert re.search(r"\r *\d+%\|", shown)
    assert "4/4, loss " in shown
    assert "--- sample" in shown
    assert "best validation" in shown
    harmless(BAR.sub("", shown))


@posix
def test_no_color_means_no_bar_and_no_escape(evil: Evil, tmp_path: Path) -> None:
    """Names of validation files and of binaries that were left out are shown, harmlessly."""
    code, shown = on_terminal(
        "train",
        evil.corpus.parent,
        "--val-file",
        evil.corpus,
        "--out",
        tmp_path / HOSTILE,
        "--name",
        "x",
        *TINY,
        "--steps",
        4,
        "--stop-at",
        2,
        "--eval-every",
        1,
        NO_COLOR="1",
    )
    assert code == 0, shown
    assert "%|" not in shown
    assert "left out " in shown
    assert "saved at step 2 of 4; continue: charlm train --resume" in shown
    harmless(shown)


def test_the_talk_of_train_and_resume_is_harmless_wherever_it_goes(
    charlm: Invoke, evil: Evil, tmp_path: Path
) -> None:
    """stderr is for people, also in a file that is looked at later."""
    out = tmp_path / HOSTILE
    begin = ["train", evil.corpus.parent, "--out", out, *TINY, "--steps", 4, "--val-file"]
    first = charlm(*begin, evil.corpus, "--stop-at", 2, "--sample-every", 1, "--save-every", 1)
    assert first.exit_code == 0, first.output
    (run,) = out.iterdir()
    (run / "last.safetensors").write_bytes(b"damaged")
    second = charlm("train", "--resume", run)
    assert second.exit_code == 0, second.output
    assert "continuing from" in second.stderr
    harmless(first.stderr)
    harmless(second.stderr)
    # What is not shown on a terminal is what it is: scripts take the names from there.
    assert f"files  {run / 'best.safetensors'}  " in second.stdout


def test_stdout_in_a_pipe_has_the_true_names(charlm: Invoke, evil: Evil, tmp_path: Path) -> None:
    target = tmp_path / HOSTILE
    made = charlm("corpus", "make", "viaggi", "--chars", 300, "--out", target)
    assert made.stdout == f"{target}\n"
    target.unlink()
    written = charlm("sample", evil.run, "--length", 3, "--out", target)
    assert written.stdout == f"{target}\n"
    facts = json.loads(charlm("info", evil.run, "--json").stdout)
    assert facts["file"] == str(evil.run / "best.safetensors")
    assert facts["provenance"]["corpus"] == HOSTILE


def test_a_shared_model_cannot_forge_a_line_of_info(charlm: Invoke, tmp_path: Path) -> None:
    """A value or a name with a newline in it would look like another fact."""
    lie = "x\nweights     sha256 0000"
    model = model_file(
        tmp_path / "m.safetensors", ByteTokenizer(), provenance={"corpus": lie, lie: 1}
    )
    lines = charlm("info", model).stdout.split("\n")
    assert [line.split()[0] for line in lines if line.startswith("weights")] == ["weights"]
    assert "sha256 0000" not in next(line for line in lines if line.startswith("weights"))


@posix
def test_in_a_pipe_there_is_neither_bar_nor_escape(evil: Evil, tmp_path: Path) -> None:
    """And an encoding that has hardly a character is no reason to fail."""
    done = subprocess.run(
        [
            *COMMAND,
            *map(
                str,
                ["train", evil.corpus, "--out", tmp_path, *TINY, "--steps", 3, "--sample-every", 1],
            ),
        ],
        capture_output=True,
        check=False,
        env=environment(PYTHONIOENCODING="cp1252"),
    )
    assert done.returncode == 0, done.stderr
    assert b"%|" not in done.stderr
    assert b"Traceback" not in done.stderr
    assert done.stderr.count(b"--- sample") == 3
    harmless(done.stderr.decode("cp1252"))


@posix
@pytest.mark.slow
@pytest.mark.parametrize(
    "changes", [{"TERM": "dumb"}, {"TERM": ""}, {"NO_COLOR": ""}, {"PYTHONIOENCODING": "ascii"}]
)
def test_a_strange_terminal_gives_no_traceback(
    evil: Evil, tmp_path: Path, changes: dict[str, str]
) -> None:
    arguments = ["train", evil.corpus, "--out", tmp_path, *TINY, "--steps", 3]
    code, shown = on_terminal(*arguments, "--sample-every", 1, **changes)
    assert code == 0, shown
    assert "Traceback" not in shown
    harmless(BAR.sub("", shown))


# -------------------------------------------------------------------- encodings and closed streams

ENCODINGS = {
    "LC_ALL=C": {"LC_ALL": "C"},
    # So that Python does not take UTF-8 all the same (PEP 538 and 540).
    "ASCII": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
    "ascii": {"PYTHONIOENCODING": "ascii"},
}


def run(*arguments: object, **changes: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        check=False,
        timeout=120,
        stdin=subprocess.DEVNULL,
        env=environment(**changes),
    )


SPOKEN: dict[str, list[object]] = {
    "sample": ["sample", "RUN", "--length", 500],
    "sample-json": ["sample", "RUN", "--length", 500, "--json"],
    "eval": ["eval", "RUN", "--no-ladder"],
    "eval-json": ["eval", "RUN", "--json"],
    "eval-unseen": ["eval", "RUN", "UNSEEN"],
    "info": ["info", "RUN"],
    "info-json": ["info", "RUN", "--json"],
    "list": ["corpus", "list"],
}
# Characters that are no ASCII are in samples, and in what eval says of unseen ones.
STRANGE = [("sample", "ASCII"), ("sample", "cp1252"), ("eval-unseen", "cp1252")]


@pytest.mark.parametrize(
    ("name", "encoding"),
    covering(SPOKEN, ENCODINGS, also=STRANGE),
)
def test_no_encoding_gives_a_traceback(
    trained: Path, tmp_path: Path, name: str, encoding: str
) -> None:
    arguments = SPOKEN[name]
    unseen = tmp_path / "unseen"
    unseen.write_text("il mare ☃\U0001f600\n", encoding="utf-8")
    places = {"RUN": trained, "UNSEEN": unseen}
    done = run(*[places.get(str(a), a) for a in arguments], **ENCODINGS[encoding])
    assert done.returncode == (2 if "UNSEEN" in arguments else 0), done.stderr
    assert b"Traceback" not in done.stderr
    assert b"a fault in charlm" not in done.stderr
    used = "cp1252" if encoding == "cp1252" else "utf-8"  # which holds ASCII, and click prefers it
    (done.stdout + done.stderr).decode(used)
    if "--json" in arguments:
        strictly(done.stdout.decode("ascii"))


@pytest.mark.parametrize(
    "encoding", ["ASCII", *(pytest.param(e, marks=pytest.mark.slow) for e in ("LC_ALL=C", "ascii"))]
)
def test_a_run_made_without_utf_8_can_be_used_with_it(
    charlm: Invoke, text: str, tmp_path: Path, encoding: str
) -> None:
    """The text's name is not ASCII either: where the system cannot say it, it is still found."""
    corpus = tmp_path / "città ☃.txt"
    corpus.write_text(text, encoding="utf-8")
    begin = ["train", corpus, "--out", tmp_path / "out", *TINY, "--steps", 2, "--stop-at", 1]
    done = run(*begin, "--name", "x", "--sample-every", 1, **ENCODINGS[encoding])
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    made = tmp_path / "out" / "x"
    resumed = charlm("train", "--resume", made)
    assert resumed.exit_code == 0, resumed.output
    assert charlm("eval", made, "--no-ladder").exit_code == 0
    assert charlm("info", made).exit_code == 0
    # And the other way round: the name that was stored cannot be spelt there, which is said.
    if encoding == "ASCII":
        other = charlm("train", corpus, "--out", tmp_path / "out", "--name", "y", *begin[4:])
        assert other.exit_code == 0, other.output
        for arguments in (["eval", tmp_path / "out" / "y"], ["info", tmp_path / "out" / "y"]):
            done = run(*arguments, **ENCODINGS[encoding])
            assert b"Traceback" not in done.stderr
            assert b"a fault in charlm" not in done.stderr


CLOSED = {"stdin": "<&-", "stdout": ">&-", "stderr": "2>&-", "all": "<&- >&- 2>&-"}
ALWAYS: dict[str, list[object]] = {
    "sample": ["sample", "RUN", "--length", 9, "--seed", 1],
    "samples": ["sample", "RUN", "--length", 9, "--seed", 1, "--num-samples", 2],
    "sample-json": ["sample", "RUN", "--length", 9, "--seed", 1, "--json"],
    "sample-out": ["sample", "RUN", "--length", 9, "--seed", 1, "--out", "OUT"],
    "eval": ["eval", "RUN", "--no-ladder"],
    "info": ["info", "RUN"],
    "list": ["corpus", "list"],
    "make": ["corpus", "make", "viaggi", "--chars", 300, "--out", "-"],
    "error": ["sample", "nothing-of-this-name"],
    "train": ["train", "CORPUS", "--out", "OUT", *TINY, "--steps", 2],
}


def with_closed(
    streams: str, arguments: list[object], places: dict[str, Path]
) -> subprocess.CompletedProcess[str]:
    line = f"{shlex.join(COMMAND)} {shlex.join(str(places.get(str(a), a)) for a in arguments)}"
    return subprocess.run(
        ["sh", "-c", f"{line} {CLOSED[streams]}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=environment(),
        stdin=subprocess.DEVNULL,
    )


# For every day each command without one of its two outputs, in turn, and some without more.
EVERYDAY = [(("stdout", "stderr")[n % 2], name) for n, name in enumerate(ALWAYS)]
EVERYDAY += [("all", "sample"), ("stdin", "sample"), ("all", "error"), ("stdin", "info")]
EVERYDAY += [("stdout", "error"), ("stderr", "sample")]


@posix
@pytest.mark.parametrize(
    ("streams", "name"),
    [
        pytest.param(*each, marks=[] if each in EVERYDAY else [pytest.mark.slow])
        for each in itertools.product(CLOSED, ALWAYS)
    ],
)
def test_a_closed_stream_is_no_fault(
    trained: Path, corpus: Path, tmp_path: Path, streams: str, name: str
) -> None:
    """What can still be written is written, and the exit code is that of the work."""
    places = {"RUN": trained, "CORPUS": corpus, "OUT": tmp_path / "out"}
    done = with_closed(streams, ALWAYS[name], places)
    assert done.returncode == (2 if name == "error" else 0), done.stderr
    assert "Traceback" not in done.stderr
    assert "a fault in charlm" not in done.stderr
    if streams in ("stderr", "stdin") and name != "error":
        assert done.stdout
    if name == "train":
        assert (tmp_path / "out" / "tiny" / "best.safetensors").exists()
    if name == "sample-out":
        assert len((tmp_path / "out").read_text(encoding="utf-8")) == 9


@posix
@pytest.mark.parametrize(
    "arguments",
    [["sample", "RUN", "--prompt", "-"], ["eval", "RUN", "-"], ["train", "-", "--out", "OUT"]],
    ids=["sample", "eval", "train"],
)
def test_a_closed_standard_input_cannot_be_read_and_that_is_said(
    trained: Path, tmp_path: Path, arguments: list[object]
) -> None:
    done = with_closed("stdin", arguments, {"RUN": trained, "OUT": tmp_path / "out"})
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert "standard input" in done.stderr
    assert not (tmp_path / "out").exists()


LEAVING: dict[str, list[object]] = {
    "sample": ["sample", "RUN", "--length", 200_000],
    "json": ["sample", "RUN", "--json", "--num-samples", 1000, "--length", 300],
    "many": ["sample", "RUN", "--num-samples", 1000, "--length", 300],
    "prompt": ["sample", "RUN", "--prompt", "il mare", "--length", 200_000],
    "make": ["corpus", "make", "viaggi", "--chars", 300_000, "--out", "-"],
    "info": ["info", "RUN"],
    "list": ["corpus", "list"],
}


@posix
@pytest.mark.parametrize(("name", "reader"), covering(LEAVING, ["head -c1", "true"]))
def test_a_reader_who_leaves_is_no_reason_to_complain(
    trained: Path, name: str, reader: str
) -> None:
    """``true`` has left before the first character is written, ``head`` right after it."""
    line = shlex.join([*COMMAND, *(str(trained if a == "RUN" else a) for a in LEAVING[name])])
    done = subprocess.run(
        ["sh", "-c", f"{line} | {reader}"],
        capture_output=True,
        check=False,
        timeout=60,
        env=environment(),
    )
    assert done.stderr == b""
    assert len(done.stdout) == (1 if reader == "head -c1" else 0)


# ------------------------------------------------------------------------------------- strict JSON


def no_number(name: str) -> NoReturn:
    raise AssertionError(f"{name} is no JSON")


def each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len(dict(pairs)) == len(pairs), f"a name stands twice: {pairs}"
    return dict(pairs)


def strictly(output: str) -> list[Any]:
    """The objects in ``output``, one a line, ASCII, as the strictest parser takes them."""
    assert output.isascii()
    assert output.endswith("\n")
    return [
        json.loads(line, parse_constant=no_number, object_pairs_hook=each_once)
        for line in output.removesuffix("\n").split("\n")
    ]


ODD = '\n\x00\x1b"\\\x7f\x85\x9b\u2028\u202e\ufeff\ufffe\U0001f600\U0010ffff/{}'
PROMPTS = ['"', '\\"', "\\u0000\\", "\n\n", "\u2028\u202e", "\U0001f600\U0010ffff", ODD, ""]


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    characters = "".join(sorted(set(ODD + "u0")))
    return model_file(tmp_path_factory.mktemp("odd") / "odd.safetensors", CharTokenizer(characters))


@pytest.mark.parametrize(("prompt", "out"), covering(PROMPTS, [False, True]))
def test_json_samples_parse_whatever_is_in_them(
    charlm: Invoke, odd: Path, tmp_path: Path, prompt: str, out: bool
) -> None:
    arguments = ["sample", odd, "--json", "--prompt", prompt, "--num-samples", 3, "--seed", 1]
    target = ["--out", tmp_path / "out"] if out else []
    result = charlm(*arguments, "--length", 200, *target)
    assert result.exit_code == 0, result.output
    output = (tmp_path / "out").read_bytes().decode("ascii") if out else result.stdout
    records = strictly(output)
    assert [record["sample"] for record in records] == [1, 2, 3]
    assert [record["prompt"] for record in records] == [prompt] * 3
    assert all(len(record["text"]) == 200 for record in records)
    assert len(set("".join(record["text"] for record in records))) > 15


@pytest.mark.parametrize("scale", [0.0, 30.0, 3e38], ids=["uniform", "sure", "overflowing"])
def test_json_figures_parse_also_where_they_are_not_finite(
    charlm: Invoke, tmp_path: Path, scale: float
) -> None:
    """Weights of any size are a model; what cannot be computed with them is null."""
    model = model_file(tmp_path / "m.safetensors", CharTokenizer("\nab"), scale)
    if scale:
        saved = checkpoint.read(model)
        saved.weights["head.bias"][:] = [scale, 0, -scale]
        checkpoint.write(model, saved)
    (tmp_path / "text").write_text("abba\n" * 9)
    result = charlm("eval", model, tmp_path / "text", "--json")
    if scale == 3e38 and result.exit_code == 1:  # to say that it cannot be computed is as good
        line_of(result, 1)
        return
    assert result.exit_code == 0, result.output
    (facts,) = strictly(result.stdout)
    assert {"bits_per_char", "nats_per_char", "perplexity", "characters"} <= set(facts)
    if scale == 3e38:
        assert None in facts.values()
    else:
        assert facts["bits_per_char"] > 1


@pytest.mark.parametrize("command", ["sample", "eval"])
def test_a_model_too_large_to_compute_with_is_no_reason_for_warnings(
    tmp_path: Path, command: str
) -> None:
    """NumPy's warnings would be lines of charlm's source on the user's screen."""
    model = model_file(tmp_path / "m.safetensors", CharTokenizer("\nab"), 3e38)
    (tmp_path / "text").write_text("abba\n" * 9)
    done = run(command, model, *([tmp_path / "text", "--no-ladder"] if command == "eval" else []))
    assert b"Warning" not in done.stderr
    assert done.returncode in (0, 1)
    assert len(done.stderr.splitlines()) == done.returncode


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_is_null_at_any_depth(
    value: float, capsys: pytest.CaptureFixture[str]
) -> None:
    from charlm.cli.terminal import echo_json

    echo_json({"a": value, "b": [value, {"c": (1.5, value)}]})
    assert strictly(capsys.readouterr().out) == [{"a": None, "b": [None, {"c": [1.5, None]}]}]


def test_json_of_every_command_parses(
    charlm: Invoke, odd: Path, evil: Evil, trained: Path, tmp_path: Path
) -> None:
    (tmp_path / "odd").write_text(ODD * 3, encoding="utf-8")
    for arguments in (
        ["info", odd],
        ["info", evil.run],
        ["info", evil.shared],
        ["info", trained],
        ["info", evil.run / "last.safetensors"],
        ["eval", odd, tmp_path / "odd"],
        ["eval", evil.run],
        ["eval", evil.run, "--no-ladder"],
        ["eval", trained],
        ["eval", evil.run, evil.unseen, "--on-unknown", "skip"],
    ):
        result = charlm(*arguments, "--json")
        assert result.exit_code == 0, result.output
        assert len(strictly(result.stdout)) == 1


# ------------------------------------------------------------------------------------------ errors


def line_of(result: Result, code: int) -> str:
    """The one line that an error is; it is not a traceback, and no terminal obeys it."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1, result.stderr
    harmless(result.stderr)
    return result.stderr.removeprefix("error: ").removesuffix("\n")


FORGED = "no\nerror: all is lost\r\x1b[2J\u2028"


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        (2, ["sample", FORGED]),
        (2, ["info", FORGED]),
        (2, ["eval", FORGED]),
        (2, ["eval", "RUN", FORGED]),
        (2, ["eval", "RUN", "CORPUS", "--encoding", FORGED]),
        (2, ["train", FORGED]),
        (2, ["train", "--resume", FORGED]),
        (2, ["train", "CORPUS", "--init-from", FORGED]),
        (2, ["train", "CORPUS", "--name", FORGED]),
        (2, ["train", "CORPUS", "--device", FORGED]),
        (2, ["train", "CORPUS", "--encoding", FORGED]),
        (2, ["train", "CORPUS", "--val-file", FORGED]),
        (1, ["train", "CORPUS", "--out", f"CORPUS/{FORGED}", "--steps", 1, "--hidden-size", 4]),
        (2, ["sample", "RUN", "--prompt-file", FORGED]),
        (1, ["sample", "RUN", "--out", f"{FORGED}/x", "--length", 1]),
        (2, ["corpus", "make", FORGED]),
        (2, ["corpus", "get", FORGED]),
    ],
    ids=lambda value: (
        "-".join(str(a)[:12] for a in value if a != FORGED)
        if isinstance(value, list)
        else str(value)
    ),
)
def test_an_error_is_one_line_whatever_it_quotes(
    charlm: Invoke,
    trained: Path,
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    arguments: list[object],
) -> None:
    monkeypatch.chdir(tmp_path)
    places = {"RUN": str(trained), "CORPUS": str(corpus)}
    filled = [re.sub("RUN|CORPUS", lambda m: places[m.group()], str(a)) for a in arguments]
    result = charlm(*filled)
    assert result.exit_code == code, result.output
    *talk, last = result.stderr.split("\n")[:-1]
    assert last.startswith("error: ")
    assert "all is lost" in last
    assert not any(line.startswith("error: ") for line in talk)
    harmless(result.stderr)


def test_an_error_does_not_fill_the_screen(charlm: Invoke) -> None:
    assert len(line_of(charlm("sample", "a" * 100_000), 2)) < 5000
    assert len(line_of(charlm("corpus", "make", "a" * 100_000), 2)) < 5000


@pytest.mark.parametrize(
    ("error", "parts"),
    [
        (KeyError("a\n\x1b[31m"), ["a fault in charlm (KeyError: ", "report", "charlm --debug"]),
        (ZeroDivisionError(), ["a fault in charlm (ZeroDivisionError: "]),
        (RecursionError("too deep"), ["a fault in charlm (RecursionError: too deep)"]),
        (AssertionError("x" * 99_999), ["a fault in charlm (AssertionError: xxx"]),
        (UnicodeEncodeError("ascii", "è", 0, 1, "why"), ["a fault in charlm (UnicodeEncodeError"]),
        (
            OSError(28, "No space left on device", "/x\x1b/y"),
            ["/x\\x1b/y: No space left on device"],
        ),
        (MemoryError(), ["not enough memory", "--batch-size"]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_nobody_foresaw_is_one_line_and_exit_1(
    charlm: Invoke,
    trained: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    parts: list[str],
) -> None:
    def fail(*arguments: object, **more: object) -> NoReturn:
        raise error

    monkeypatch.setattr(runs, "open_model", fail)
    for command in ("sample", "eval"):
        line = line_of(charlm(command, trained), 1)
        assert len(line) < 5000
        for part in parts:
            assert part in line
        with pytest.raises(type(error)):
            charlm("--debug", command, trained)


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("kind", ["foreseen", "unforeseen"])
def test_only_debug_shows_a_traceback(trained: Path, kind: str, debug: bool) -> None:
    program = "from charlm import runs; from charlm.cli import main\n"
    if kind == "unforeseen":
        program += "def fail(*names, **more): raise KeyError('lost')\nruns.open_model = fail\n"
    program += "main()"
    options = ["--debug"] if debug else []
    done = subprocess.run(
        [sys.executable, "-c", program, *options, "sample", str(trained), "--prompt", "☃"],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )
    assert done.stdout == ""
    if debug:
        assert done.returncode == 1
        assert "Traceback (most recent call last)" in done.stderr
        assert ("KeyError: 'lost'" if kind == "unforeseen" else "U+2603") in done.stderr
    else:
        assert done.returncode == (1 if kind == "unforeseen" else 2)
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
        assert "Traceback" not in done.stderr
        assert ("a fault in charlm" in done.stderr) == (kind == "unforeseen")
