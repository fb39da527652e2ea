"""``charlm train``: success, every option, every refusal, stopping and resuming exactly."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from click.testing import Result

from charlm.cli import progress
from charlm.rundir import Run
from charlm.training import summary

Invoke = Callable[..., Result]
SMALL: list[object] = [
    "--hidden-size",
    8,
    "--precision",
    "float32",
    "--device",
    "cpu",
    "--optimizer",
    "adamw",
    "--batch-size",
    4,
    "--seq-len",
    20,
    "--steps",
    12,
    "--eval-every",
    5,
]


def info(charlm: Invoke, run: Path, file: str = "") -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(charlm("info", run / file, "--json").stdout)
    return facts


def training(run: Path) -> dict[str, Any]:
    from charlm import checkpoint

    saved = checkpoint.read(run / "last.safetensors")
    assert saved.training is not None
    return saved.training


def log_of(run: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in r.items() if k != "seconds"} for r in Run(run).read_log()]


def refused(result: Result, code: int, *parts: str) -> None:
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: "), result.stderr
    for part in parts:
        assert part in last


# ------------------------------------------------------------------------------------------ success


def test_a_run_ends_with_its_figure_its_files_and_what_is_next(
    charlm: Invoke, corpus: Path, tmp_path: Path
) -> None:
    result = charlm("train", corpus, "--out", tmp_path, *SMALL)
    assert result.exit_code == 0, result.output
    run = tmp_path / "tiny"
    best, parts, files, following = result.stdout.splitlines()
    assert re.match(r"best validation \d\.\d{4} bits/char = \d\.\d{4} nats/char over 149 ", best)
    names = ("best.safetensors", "counts.safetensors", "last.safetensors", "log.jsonl")
    assert files.split() == ["files", *(str(run / name) for name in names)]
    assert following == f"next   charlm sample {run}"
    assert all(Path(name).exists() for name in files.split()[1:])
    stored = info(charlm, run)["provenance"]
    assert f"network alone {stored['val_bits_per_char']:.4f}, " in parts
    beside = info(charlm, run)["counts"]
    assert f"{beside['order']}-gram alone {beside['val_bits_per_char_ngram']:.4f}; " in parts
    assert f"{beside['val_bits_per_char_mixture']:.4f} bits/char" in best
    assert [record["step"] for record in log_of(run)] == [0, 5, 10, 12]


def test_training_goes_on_where_nobody_listens(corpus: Path, tmp_path: Path) -> None:
    """The reader of stderr leaves at once; the run is finished all the same."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "charlm",
            "train",
            str(corpus),
            "--out",
            str(tmp_path),
            *map(str, SMALL),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    process.stderr.close()
    process.wait(60)
    assert [record["step"] for record in log_of(tmp_path / "tiny")][-1] == 12


def test_talk_is_on_stderr_and_says_every_loss_with_its_unit(
    charlm: Invoke, corpus: Path, tmp_path: Path
) -> None:
    talk = charlm("train", corpus, "--out", tmp_path, *SMALL).stderr
    assert "corpus  tiny: 1,500 characters" in talk
    assert "(1,350 / 150 characters)" in talk
    assert "12 steps of 4x20" in talk
    for line in talk.splitlines():
        if line.startswith("step"):
            assert re.search(r"validation \d\.\d{4} nats = \d\.\d{4} bits/char", line)


def test_every_option_of_the_model_arrives(charlm: Invoke, corpus: Path, tmp_path: Path) -> None:
    result = charlm(
        "train",
        corpus,
        "--out",
        tmp_path,
        "--name",
        "all",
        "--cell",
        "conv",
        "--hidden-size",
        6,
        "--num-layers",
        2,
        "--embedding-size",
        5,
        "--nonlinearity",
        "relu",
        "--kernel-size",
        2,
        "--dropout",
        0.25,
        "--embedding-dropout",
        0.1,
        "--steps",
        1,
        "--device",
        "cpu",
    )
    assert result.exit_code == 0, result.output
    config = info(charlm, tmp_path / "all")["config"]
    del config["vocab_size"]
    assert config == {
        "cell": "conv",
        "hidden_size": 6,
        "num_layers": 2,
        "embedding_size": 5,
        "nonlinearity": "relu",
        "context": 16,
        "kernel_size": 2,
        "dropout": 0.25,
        "embedding_dropout": 0.1,
        "tie": False,
        "task": "text",
        "num_labels": 0,
    }


def test_every_option_of_the_training_arrives(charlm: Invoke, corpus: Path, tmp_path: Path) -> None:
    given = {
        "batch_size": 3,
        "seq_len": 11,
        "optimizer": "rmsprop",
        "learning_rate": 0.003,
        "schedule": "linear",
        "warmup": 1,
        "final_learning_rate": 0.5,
        "clip": 0.7,
        "weight_decay": 0.01,
        "seed": 9,
        "precision": "float32",
        "steps": 6,
        "eval_every": 2,
        "save_every": 3,
        "sample_every": 4,
        "patience": 5,
    }
    options = [part for k, v in given.items() for part in ("--" + k.replace("_", "-"), v)]
    result = charlm(
        "train", corpus, "--out", tmp_path, "--hidden-size", 4, "--tie", "--device", "cpu", *options
    )
    assert result.exit_code == 0, result.output
    config = training(tmp_path / "tiny")["config"]
    decided: dict[str, Any] = {"counts": True, "row_blocks": 1, "orthogonalize_every": 3}
    decided["orthogonalizer"] = "minimax"
    assert config == given | decided | {"epochs": None, "minutes": None}
    assert info(charlm, tmp_path / "tiny")["config"]["tie"] is True
    assert "--- sample" in result.stderr


def test_epochs_give_the_steps(charlm: Invoke, corpus: Path, tmp_path: Path) -> None:
    """1,349 targets are 16 windows of 4 x 20; half of them is 8."""
    options = [*SMALL[:-4], "--epochs", "0.5"]
    assert charlm("train", corpus, "--out", tmp_path, *options).exit_code == 0
    assert training(tmp_path / "tiny")["config"]["steps"] == 8


def test_minutes_give_the_steps(charlm: Invoke, corpus: Path, tmp_path: Path) -> None:
    result = charlm(
        "train", corpus, "--out", tmp_path, *SMALL[:-4], "--minutes", "0.3", "--stop-at", 1
    )
    assert result.exit_code == 0, result.output
    config = training(tmp_path / "tiny")["config"]
    assert config["steps"] > 1
    assert f"so about {config['steps']:,} steps" in result.stderr


def test_too_few_minutes_are_used_for_what_they_allow(
    charlm: Invoke, corpus: Path, tmp_path: Path
) -> None:
    result = charlm("train", corpus, "--out", tmp_path, *SMALL[:-4], "--minutes", "1e-6")
    assert result.exit_code == 0, result.output
    assert "as many as the time allowed" in result.stderr
    assert 1 <= training(tmp_path / "tiny")["progress"]["step"] <= 10
    assert "best validation" in result.stdout


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn", "window", "conv"])
def test_every_cell_trains_with_its_defaults_and_writes(
    charlm: Invoke, corpus: Path, tmp_path: Path, cell: str
) -> None:
    result = charlm(
        "train",
        corpus,
        "--out",
        tmp_path,
        "--cell",
        cell,
        "--hidden-size",
        8,
        "--steps",
        2,
        "--device",
        "cpu",
    )
    assert result.exit_code == 0, result.output
    assert "Warning" not in result.stderr
    assert len(charlm("sample", tmp_path / "tiny", "--length", 10).stdout) == 10


def test_bytes_are_a_vocabulary_of_256(charlm: Invoke, corpus: Path, tmp_path: Path) -> None:
    result = charlm("train", corpus, "--out", tmp_path, "--tokenizer", "byte", *SMALL)
    assert result.exit_code == 0, result.output
    assert info(charlm, tmp_path / "tiny")["config"]["vocab_size"] == 256
    assert "256 bytes" in result.stderr
    assert "over 149 characters" in result.stdout


def test_rare_characters_are_folded(charlm: Invoke, tmp_path: Path) -> None:
    source = tmp_path / "rare.txt"
    source.write_text("abcab\n" * 60 + "☃" + "abcab\n" * 10, encoding="utf-8")
    options = ["--out", tmp_path, *SMALL[:-6]]
    result = charlm("train", source, *options, "--steps", 1, "--min-count", 2)
    assert result.exit_code == 0, result.output
    tokenizer = info(charlm, tmp_path / "rare")["tokenizer"]
    assert tokenizer["characters"] == "\nabc"
    assert tokenizer["unknown"] is True
    assert "☃" not in charlm("sample", tmp_path / "rare", "--length", 300).stdout


def test_nfc_newline_and_encoding_reach_the_text(charlm: Invoke, tmp_path: Path) -> None:
    source = tmp_path / "old.txt"
    source.write_bytes("citta\u0300 \u00e8\r\n".encode("utf-16-le") * 60)
    result = charlm(
        "train",
        source,
        "--out",
        tmp_path,
        *SMALL[:-6],
        "--steps",
        1,
        "--nfc",
        "--newline",
        "unix",
        "--encoding",
        "utf-16-le",
    )
    assert result.exit_code == 0, result.output
    assert info(charlm, tmp_path / "old")["tokenizer"]["characters"] == "\n citàè"


def test_val_fraction_and_val_file_choose_what_validates(
    charlm: Invoke, corpus: Path, tmp_path: Path
) -> None:
    options = ["--out", tmp_path, *SMALL]
    half = charlm("train", corpus, "--name", "half", "--val-fraction", 0.5, *options)
    assert "over 749 characters" in half.stdout
    none = charlm("train", corpus, "--name", "none", "--val-fraction", 0, *options)
    assert none.exit_code == 0
    assert "no validation loss" in none.stdout
    assert "validation" not in none.stderr.split("run     ")[1]
    other = tmp_path / "other.txt"
    other.write_text("il mare\n", encoding="utf-8")
    file = charlm("train", corpus, "--name", "file", "--val-file", other, *options)
    assert "over 7 characters" in file.stdout
    assert info(charlm, tmp_path / "file")["provenance"]["train_characters"] == 1500


def test_unnamed_runs_are_numbered(charlm: Invoke, corpus: Path, tmp_path: Path) -> None:
    for _ in range(3):
        charlm("train", corpus, "--out", tmp_path, *SMALL[:-4], "--steps", 1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["tiny", "tiny-2", "tiny-3"]


def test_several_sources_are_one_corpus(charlm: Invoke, corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    for name in ("a.txt", "b.txt"):
        (tmp_path / "texts" / name).write_bytes(corpus.read_bytes())
    for number, sources in enumerate([[corpus, corpus], [tmp_path / "texts"]]):
        out = tmp_path / str(number)
        charlm("train", *sources, "--out", out, *SMALL[:-4], "--steps", 1)
        (run,) = out.iterdir()
        assert info(charlm, run)["provenance"]["corpus_characters"] in (3000, 3001)


def test_a_run_can_begin_from_the_weights_of_another(
    charlm: Invoke, trained: Path, corpus: Path, tmp_path: Path
) -> None:
    start = ["train", corpus, "--out", tmp_path, "--device", "cpu", "--steps", 1]
    result = charlm(*start, "--init-from", trained, "--name", "more")
    assert result.exit_code == 0, result.output
    first = log_of(tmp_path / "more")[0]["val_bits_per_char"]
    stored = info(charlm, trained)["provenance"]["val_bits_per_char"]
    assert first == pytest.approx(stored, abs=0.02)
    assert info(charlm, tmp_path / "more")["config"]["hidden_size"] == 16
    for wrong in (["--hidden-size", 9], ["--tokenizer", "byte"], ["--nfc"], ["--tie"]):
        refused(charlm(*start, "--init-from", trained, *wrong), 2, "--init-from uses")
    (tmp_path / "strange.txt").write_text("☃" * 500, encoding="utf-8")
    other = ["train", tmp_path / "strange.txt", "--out", tmp_path, "--init-from", trained]
    refused(charlm(*other), 2, "U+2603")
    refused(charlm(*start, "--init-from", tmp_path / "nothing"), 2, "no run called")


# --------------------------------------------------------------------------------- stop and go on


def test_stopping_and_resuming_equals_one_go(charlm: Invoke, corpus: Path, tmp_path: Path) -> None:
    options = ["--out", tmp_path, "--dropout", 0.3, *SMALL]
    whole = charlm("train", corpus, "--name", "whole", *options)
    stopped = charlm("train", corpus, "--name", "parts", "--stop-at", 7, *options)
    assert stopped.exit_code == 0
    assert stopped.stdout == ""
    assert "saved at step 7 of 12" in stopped.stderr
    command = stopped.stderr.splitlines()[-1].partition("continue: charlm ")[2]
    resumed = charlm(*shlex.split(command))
    assert resumed.exit_code == 0, resumed.output
    assert "at step 7" in resumed.stderr
    assert "not bit-exact" not in resumed.stderr
    for file in ("best.safetensors", "last.safetensors"):
        one, other = (info(charlm, tmp_path / name, file) for name in ("whole", "parts"))
        assert one["weights_sha256"] == other["weights_sha256"]
        assert one["provenance"] == other["provenance"]
    assert log_of(tmp_path / "whole") == log_of(tmp_path / "parts")
    assert resumed.stdout.splitlines()[0] == whole.stdout.splitlines()[0]


@pytest.mark.parametrize("options", [[], ["--min-count", 30], ["--tokenizer", "byte"]])
def test_a_finished_run_says_so_and_is_not_scored_again(
    charlm: Invoke,
    corpus: Path,
    tmp_path: Path,
    options: list[object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = charlm("train", corpus, "--out", tmp_path, *SMALL, *options)
    before = info(charlm, tmp_path / "tiny"), log_of(tmp_path / "tiny")
    assert "is finished" not in first.stderr
    monkeypatch.delattr(summary, "score")
    monkeypatch.delattr(summary, "scores_apart")
    again = charlm("train", "--resume", "tiny", "--out", tmp_path)
    assert again.exit_code == 0, again.stderr
    assert "the run is finished (all steps are done); to go on: charlm train" in again.stderr
    assert again.stdout == first.stdout
    assert (info(charlm, tmp_path / "tiny"), log_of(tmp_path / "tiny")) == before


def test_patience_says_why_the_run_ends(charlm: Invoke, corpus: Path, tmp_path: Path) -> None:
    """At this learning rate the loss of a model hardly changes, and then rises."""
    options = [*SMALL[:-4], "--steps", 500, "--eval-every", 1, "--patience", 2]
    result = charlm("train", corpus, "--out", tmp_path, *options, "--learning-rate", 5)
    assert result.exit_code == 0, result.stderr
    said = r"stopped at step \d+ of 500: 2 evaluations without an improvement \(--patience\)"
    assert re.search(said, result.stderr)
    again = charlm("train", "--resume", "tiny", "--out", tmp_path)
    assert "is finished (too many evaluations without an improvement)" in again.stderr
    assert not re.search(said, again.stderr)


class Bar:
    """Replaces a tqdm bar: counts the announced and the actual items."""

    made: ClassVar[list[Bar]] = []

    def __init__(self, total: int, initial: int = 0, **options: object) -> None:
        self.total, self.n, self.closed = total, initial, False
        self.made.append(self)

    def update(self, count: int) -> None:
        self.n += count

    def close(self) -> None:
        self.closed = True

    def set_postfix_str(self, text: str, refresh: bool) -> None: ...
    def clear(self) -> None: ...
    def refresh(self) -> None: ...


@pytest.mark.parametrize("options", [[], ["--tokenizer", "byte"]])
def test_the_exact_pass_has_a_bar(
    charlm: Invoke,
    corpus: Path,
    tmp_path: Path,
    options: list[object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "bar", Bar)
    monkeypatch.setattr(Bar, "made", [])
    assert charlm("train", corpus, "--out", tmp_path, *SMALL, *options).exit_code == 0
    assert charlm("eval", tmp_path / "tiny", "--no-ladder").exit_code == 0
    training, after, again = Bar.made
    assert training.total == 12
    assert after.total == again.total > 100
    assert all(bar.closed and bar.n == bar.total for bar in Bar.made)


def test_standard_input_is_kept_for_the_resume(
    charlm: Invoke, corpus: Path, tmp_path: Path
) -> None:
    text = corpus.read_bytes()
    whole = charlm("train", corpus, "--out", tmp_path, "--name", "file", *SMALL)
    assert whole.exit_code == 0
    piped = charlm("train", "-", "--out", tmp_path, "--stop-at", 5, *SMALL, input=text)
    assert piped.exit_code == 0, piped.output
    assert (tmp_path / "stdin" / "stdin.txt").read_bytes() == text
    assert charlm("train", "--resume", tmp_path / "stdin").exit_code == 0
    one, other = (info(charlm, tmp_path / name) for name in ("file", "stdin"))
    assert one["weights_sha256"] == other["weights_sha256"]


def test_a_resume_takes_everything_from_the_run(
    charlm: Invoke, corpus: Path, trained: Path
) -> None:
    cases: list[tuple[list[object], str]] = [
        ([corpus], "CORPUS"),
        (["--seed", 1], "--seed"),
        (["--hidden-size", 16], "--hidden-size"),
        (["--name", "x"], "--name"),
        (["--init-from", trained], "--init-from"),
        (["--val-fraction", 0.1], "--val-fraction"),
    ]
    for extra, named in cases:
        refused(charlm("train", "--resume", trained, *extra), 2, f"leave out {named}")


def test_a_resume_with_another_or_no_text_is_refused(
    charlm: Invoke, tmp_path: Path, text: str
) -> None:
    source = tmp_path / "book.txt"
    source.write_text(text, encoding="utf-8")
    charlm("train", source, "--out", tmp_path, "--stop-at", 1, *SMALL)
    source.write_text(text.replace("mare", "lago"), encoding="utf-8")
    refused(charlm("train", "--resume", tmp_path / "book"), 2, "not the one")
    source.unlink()
    refused(charlm("train", "--resume", tmp_path / "book"), 2, "no such file")


def test_a_run_that_is_not_there_cannot_be_resumed(charlm: Invoke, tmp_path: Path) -> None:
    refused(charlm("train", "--resume", tmp_path / "nothing"), 2, "no run called")
    refused(charlm("train", "--resume", "nothing", "--out", tmp_path), 2, "no run called")


def test_a_damaged_checkpoint_is_not_resumed(charlm: Invoke, corpus: Path, tmp_path: Path) -> None:
    charlm("train", corpus, "--out", tmp_path, "--stop-at", 1, *SMALL)
    last = tmp_path / "tiny" / "last.safetensors"
    last.write_bytes(last.read_bytes()[:-1])
    previous = tmp_path / "tiny" / "previous.safetensors"
    previous.write_bytes(previous.read_bytes()[:-1])
    refused(
        charlm("train", "--resume", tmp_path / "tiny"),
        1,
        "last.safetensors",
        "previous.safetensors",
    )


def test_a_run_is_locked_while_it_is_trained(charlm: Invoke, corpus: Path, tmp_path: Path) -> None:
    charlm("train", corpus, "--out", tmp_path, "--stop-at", 1, *SMALL)
    with Run(tmp_path / "tiny").locked():
        refused(charlm("train", "--resume", tmp_path / "tiny"), 1, "another process")
    assert charlm("train", "--resume", tmp_path / "tiny").exit_code == 0


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_says_how_to_go_on(
    charlm: Invoke, corpus: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    out = tmp_path / "with space"
    arguments = ["train", corpus, "--out", out, *SMALL[:-4], "--steps", 100_000, "--eval-every", 5]
    process = subprocess.Popen(
        [sys.executable, "-m", "charlm", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    log = out / "tiny" / "log.jsonl"
    while not (log.exists() and len(log.read_text().splitlines()) > 2):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(number)
    output, talk = process.communicate(timeout=60)
    assert process.returncode == code, talk
    assert output == ""
    assert "Traceback" not in talk
    saved = re.search(r"saved at step ([\d,]+) of 100,000; continue: charlm (.*)", talk)
    assert saved, talk
    step = int(saved[1].replace(",", ""))
    assert training(out / "tiny")["progress"]["step"] == step
    resumed = charlm("train", "--resume", out / "tiny", "--stop-at", step + 1)
    assert resumed.exit_code == 0, resumed.output
    assert training(out / "tiny")["progress"]["step"] == step + 1


def test_the_printed_resume_command_can_be_pasted(
    charlm: Invoke, corpus: Path, tmp_path: Path
) -> None:
    out = tmp_path / "with space"
    talk = charlm("train", corpus, "--out", out, "--stop-at", 1, *SMALL).stderr
    command = talk.splitlines()[-1].partition("continue: charlm ")[2]
    assert charlm(*shlex.split(command)).exit_code == 0


# ------------------------------------------------------------------------------------ it is refused


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--hidden-size", 0], ["--hidden-size is 0", "at least 1"]),
        (["--num-layers", 0], ["--num-layers"]),
        (["--cell", "conv", "--num-layers", 25], ["--num-layers 25", "131,072"]),
        (["--dropout", 1], ["--dropout", "below 1"]),
        (["--dropout", "nan"], ["--dropout", "finite"]),
        (["--tie", "--embedding-size", 5, "--hidden-size", 6], ["--tie", "leave --embedding-size"]),
        (["--learning-rate", 0], ["--learning-rate", "above 0"]),
        (["--learning-rate", "nan"], ["--learning-rate"]),
        (["--learning-rate", "inf"], ["--learning-rate"]),
        (["--final-learning-rate", 2], ["--final-learning-rate"]),
        (["--clip", -1], ["--clip"]),
        (["--warmup", -1], ["--warmup"]),
        (["--weight-decay", -0.1], ["--weight-decay"]),
        (["--seed", -1], ["--seed"]),
        (["--steps", 0], ["--steps"]),
        (["--epochs", 0], ["--epochs"]),
        (["--minutes", "nan"], ["--minutes"]),
        (["--steps", 5, "--epochs", 1], ["--epochs and --steps both"]),
        (["--steps", 5, "--minutes", 1], ["--steps and --minutes both"]),
        (["--eval-every", 0], ["--eval-every"]),
        (["--val-fraction", 1], ["--val-fraction"]),
        (["--context", 7], ["--context has no effect with --cell lstm, only with window"]),
        (["--cell", "window", "--kernel-size", 2], ["--kernel-size has no effect"]),
        (["--val-fraction", 0.2, "--val-file", "x"], ["give one"]),
        (["--hidden-size", 60000, "--num-layers", 9], ["parameters, more than 2,147,483,648"]),
        (["--epochs", "1e308"], ["--epochs is 1e+308; give at most"]),
        (["--val-fraction", -0.1], ["--val-fraction"]),
        (["--val-fraction", "nan"], ["--val-fraction"]),
        (["--tokenizer", "byte", "--nfc"], ["--tokenizer byte"]),
        (["--tokenizer", "byte", "--min-count", 2], ["--tokenizer byte"]),
        (["--min-count", 5000], ["--min-count 5000", "lower it"]),
        (["--encoding", "klingon"], ["--encoding klingon"]),
        (["--name", "a/b"], ["--name"]),
        (["--name", ".."], ["--name"]),
        (["--name", ""], ["--name"]),
        (["--device", "nonsense"], ["--device nonsense", "give cpu or auto"]),
        (["--batch-size", 64, "--seq-len", 64], ["1,350 characters", "needs at least 4,097"]),
        (["--tokenizer", "byte", "--seq-len", 5000], ["bytes, but", "lower --seq-len"]),
        (["--seq-len", 5000], ["lower --seq-len"]),
        (["--val-file", "nothing.txt"], ["no such file"]),
    ],
)
def test_a_wrong_request_is_refused_and_leaves_nothing(
    charlm: Invoke, corpus: Path, tmp_path: Path, arguments: list[object], parts: list[str]
) -> None:
    refused(charlm("train", corpus, "--out", tmp_path / "out", *arguments), 2, *parts)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--cell", "transformer"],
        ["--steps", "many"],
        ["--stop-at", 0],
        ["--min-count", 0],
        ["--newline", "dos"],
        ["--nothing"],
        ["--hidden-size"],
    ],
)
def test_what_is_no_option_is_a_usage_error(
    charlm: Invoke, corpus: Path, arguments: list[object]
) -> None:
    result = charlm("train", corpus, *arguments)
    refused(result, 2)


@pytest.mark.parametrize(
    ("content", "code", "parts"),
    [
        (b"", 1, ["the corpus is empty"]),
        (b"\xef\xbb\xbf", 1, ["the corpus is empty"]),
        (b"a", 1, ["thousands to learn anything"]),
        (b"ab\ncd\xffef", 1, ["byte 0xff at offset 5 (line 2)", "--encoding latin-1"]),
    ],
)
def test_a_useless_corpus_is_refused(
    charlm: Invoke, tmp_path: Path, content: bytes, code: int, parts: list[str]
) -> None:
    (tmp_path / "text").write_bytes(content)
    refused(charlm("train", tmp_path / "text", "--out", tmp_path / "out"), code, *parts)
    refused(charlm("train", "-", "--out", tmp_path / "out", input=content), code, *parts[-1:])
    assert not (tmp_path / "out").exists()


def test_a_missing_or_no_corpus_is_refused(charlm: Invoke, tmp_path: Path) -> None:
    refused(charlm("train", tmp_path / "nothing.txt"), 2, "no such file or directory")
    refused(charlm("train", str(tmp_path / "*.txt")), 2, "no such file or directory")
    refused(charlm("train"), 2, "no corpus given")
    (tmp_path / "empty").mkdir()
    refused(charlm("train", tmp_path / "empty"), 1, "has no file")


def test_an_existing_name_is_refused(charlm: Invoke, corpus: Path, tmp_path: Path) -> None:
    arguments = ["train", corpus, "--out", tmp_path, "--name", "mine", *SMALL]
    assert charlm(*arguments).exit_code == 0
    before = info(charlm, tmp_path / "mine")
    refused(charlm(*arguments), 2, "exists", "--resume mine")
    assert info(charlm, tmp_path / "mine") == before


def test_an_out_that_cannot_be_is_exit_1(charlm: Invoke, corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    refused(charlm("train", corpus, "--out", tmp_path / "file", *SMALL), 1)
    (tmp_path / "dangling").symlink_to(tmp_path / "no" / "disk")
    refused(charlm("train", corpus, "--out", tmp_path / "dangling", *SMALL), 1)


def test_divergence_is_exit_1_and_leaves_a_run_that_can_be_used(
    charlm: Invoke, corpus: Path, tmp_path: Path
) -> None:
    arguments = ["--optimizer", "sgd", "--learning-rate", "1e38", "--clip", 0, "--warmup", 0]
    result = charlm("train", corpus, "--out", tmp_path, *SMALL, *arguments)
    refused(result, 1, "learning rate", "last.safetensors is finite and holds step 0")
    assert len(charlm("sample", tmp_path / "tiny", "--length", 5).stdout) == 5


def test_a_name_too_long_is_refused(charlm: Invoke, corpus: Path, tmp_path: Path) -> None:
    assert charlm("train", corpus, "--out", tmp_path, "--name", "a" * 300).exit_code in (1, 2)


def test_the_validation_text_may_come_from_stdin(
    charlm: Invoke, corpus: Path, tmp_path: Path
) -> None:
    arguments = ["train", corpus, "--out", tmp_path, "--val-file", "-", *SMALL]
    assert charlm(*arguments, input="il mare\n").exit_code == 0


def test_bytes_with_one_validation_character_have_nothing_to_validate(
    charlm: Invoke, corpus: Path, tmp_path: Path
) -> None:
    (tmp_path / "val").write_text("è", encoding="utf-8")
    arguments = ["--out", tmp_path, "--tokenizer", "byte", "--val-file", tmp_path / "val", *SMALL]
    result = charlm("train", corpus, *arguments)
    assert result.exit_code == 0, result.output


# -------------------------------------------------------------------------------------------- group


def test_help_lists_the_commands_and_version_says_which(charlm: Invoke) -> None:
    shown = charlm("--help")
    assert shown.exit_code == 0
    for name in ("train", "sample", "eval", "info", "corpus"):
        assert re.search(rf"^  {name} ", shown.stdout, re.MULTILINE)
        assert charlm(name, "--help").exit_code == 0
    assert charlm("--version").stdout.startswith("charlm, version ")
    assert charlm("nothing").exit_code == 2
