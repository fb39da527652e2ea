"""``charlm sample``: texts on stdout, one line per error, safe for terminals and pipes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result

import charlm as package
from charlm import checkpoint
from charlm.arrays import State
from charlm.checkpoint import Checkpoint
from charlm.cli.options import unescaped
from charlm.config import ModelConfig, SampleConfig
from charlm.display import printable
from charlm.generate import CharLM
from charlm.text.tokenizer import CharTokenizer

Invoke = Callable[..., Result]
COMMAND = [sys.executable, "-m", "charlm"]


def refused(result: Result, code: int, *parts: str) -> None:
    """One line on stderr that says what is wrong, nothing on stdout."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1, result.stderr
    for part in parts:
        assert part in result.stderr


# --------------------------------------------------------------------------------------- it writes


def test_the_text_and_nothing_else_is_on_stdout(charlm: Invoke, trained: Path) -> None:
    result = charlm("sample", trained, "--length", 50, "--seed", 3)
    assert result.exit_code == 0
    assert result.stdout == package.load(trained).sample(length=50, seed=3)
    assert result.stderr == ""


def test_the_prompt_stands_before_the_text(charlm: Invoke, trained: Path) -> None:
    result = charlm("sample", trained, "--prompt", "Il mare", "--length", 20, "--seed", 3)
    expected = package.load(trained).sample("Il mare", length=20, seed=3)
    assert result.stdout == "Il mare" + expected


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (["--temperature", "0.3"], {"temperature": 0.3}),
        (["--top-k", "3"], {"top_k": 3}),
        (["--top-p", "0.5"], {"top_p": 0.5}),
        (["--min-p", "0.2"], {"min_p": 0.2}),
        (["--repetition-penalty", "1.5"], {"repetition_penalty": 1.5}),
        (["--greedy"], {"temperature": 0.0}),
        (["--stop", "a"], {"stop": "a"}),
    ],
)
def test_every_option_reaches_the_sampler(
    charlm: Invoke, trained: Path, arguments: list[str], options: dict[str, Any]
) -> None:
    result = charlm("sample", trained, "--length", 80, "--seed", 5, *arguments)
    model = package.load(trained)
    assert result.stdout == model.sample(length=80, seed=5, **options)
    assert result.stdout != model.sample(length=80, seed=5)


def test_a_model_file_serves_as_well(charlm: Invoke, trained: Path) -> None:
    by_run = charlm("sample", trained, "--length", 9, "--seed", 1)
    by_file = charlm("sample", trained / "best.safetensors", "--length", 9, "--seed", 1)
    assert by_run.stdout == by_file.stdout


def test_without_a_model_the_newest_run_writes(
    charlm: Invoke, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "checkpoints").symlink_to(trained.parent)
    monkeypatch.chdir(tmp_path)
    assert len(charlm("sample", "--length", 9).stdout) == 9
    assert len(charlm("sample", "tiny", "--length", 9).stdout) == 9


def test_the_prompt_may_come_from_a_file_or_stdin(
    charlm: Invoke, trained: Path, tmp_path: Path
) -> None:
    expected = charlm("sample", trained, "--prompt", "Roma", "--length", 20, "--seed", 1).stdout
    file = tmp_path / "prompt.txt"
    file.write_text("Roma", encoding="utf-8")
    by_file = charlm("sample", trained, "--prompt-file", file, "--length", 20, "--seed", 1)
    assert by_file.stdout == expected
    # The newline that echo adds is no part of the prompt.
    by_stdin = charlm(
        "sample", trained, "--prompt", "-", "--length", 20, "--seed", 1, input="Roma\n"
    )
    assert by_stdin.stdout == expected


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Roma", "Roma"),
        ("Roma\n", "Roma"),
        ("Roma\r\n", "Roma"),
        ("Roma\n\n", "Roma\n"),
        ("Roma\r\n\r\n", "Roma\r\n"),
        ("Roma \t", "Roma \t"),
        ("Roma\r", "Roma\r"),
        ("\n", ""),
    ],
)
def test_a_prompt_from_outside_loses_one_line_end(
    charlm: Invoke, tmp_path: Path, written: str, read: str
) -> None:
    model = model_file(tmp_path, "Roma \t\r\n")
    file = tmp_path / "prompt.txt"
    file.write_bytes(written.encode())
    options = ("sample", model, "--json", "--length", 0)
    for result in (
        charlm(*options, "--prompt-file", file),
        charlm(*options, "--prompt", "-", input=written.encode()),
        charlm(*options, "--prompt", read),  # one that was typed is taken as it is
    ):
        assert json.loads(result.stdout)["prompt"] == read


def test_a_typed_prompt_keeps_its_line_end(charlm: Invoke, trained: Path) -> None:
    options = ("sample", trained, "--json", "--length", 0)
    assert json.loads(charlm(*options, "--prompt", "Roma\n").stdout)["prompt"] == "Roma\n"


@pytest.mark.parametrize(
    ("arguments", "stops"),
    [
        (["--stop", "a", "--stop", "e"], ["a", "e"]),
        (["--stop", "e", "--stop", "a"], ["a", "e"]),
        (["--stop", r"\n"], ["\n"]),
        (["--stop", "\n"], ["\n"]),
        (["--stop", ""], []),
    ],
)
def test_every_stop_string_counts(
    charlm: Invoke, trained: Path, arguments: list[str], stops: list[str]
) -> None:
    options = ("sample", trained, "--length", 300, "--seed", 5)
    whole = charlm(*options).stdout
    expected = whole[: min((whole.index(stop) for stop in stops), default=None)]
    assert charlm(*options, *arguments).stdout == expected


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (r"a\n\tb", "a\n\tb"),
        (r"\\n", r"\n"),
        (r"\\\n", "\\\n"),
        (r"\d\x", r"\d\x"),  # nothing is said about these
        ("\\", "\\"),
        ("è", "è"),
    ],
)
def test_escapes_of_a_stop_string(typed: str, meant: str) -> None:
    assert unescaped(typed) == meant


def test_json_is_one_object_per_text(charlm: Invoke, trained: Path) -> None:
    result = charlm(
        "sample",
        trained,
        "--json",
        "--num-samples",
        3,
        "--prompt",
        "è",
        "--length",
        9,
        "--seed",
        2,
    )
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [record["sample"] for record in records] == [1, 2, 3]
    assert all((r["seed"], r["prompt"], len(r["text"])) == (2, "è", 9) for r in records)
    assert len({record["text"] for record in records}) == 3


def test_the_json_tells_the_seed_that_was_drawn(charlm: Invoke, trained: Path) -> None:
    record = json.loads(charlm("sample", trained, "--json", "--length", 30).stdout)
    again = charlm("sample", trained, "--length", 30, "--seed", record["seed"])
    assert again.stdout == record["text"]


def test_several_samples_are_numbered(charlm: Invoke, trained: Path) -> None:
    result = charlm("sample", trained, "--num-samples", 2, "--length", 5, "--greedy")
    text = charlm("sample", trained, "--length", 5, "--greedy").stdout
    assert result.stdout == f"--- 1 ---\n{text}\n\n--- 2 ---\n{text}\n"


def test_several_samples_are_those_that_each_seed_and_number_give(
    charlm: Invoke, trained: Path
) -> None:
    """A prompt that is read once gives the texts of prompts that are read each time."""
    model, prompt = package.load(trained), "Il treno va. " * 100
    options = ("--num-samples", 3, "--prompt", prompt, "--length", 30, "--seed", 2, "--json")
    records = map(json.loads, charlm("sample", trained, *options).stdout.splitlines())
    config = SampleConfig(length=30, seed=2)
    assert [record["text"] for record in records] == [
        "".join(model.stream(prompt, config, number=number)) for number in range(3)
    ]


def test_a_long_prompt_is_read_once(
    charlm: Invoke, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    real = CharLM.read

    def counted(self: CharLM, ids: list[int], state: State | None = None) -> object:
        read.append(len(ids))
        return real(self, ids, state)

    monkeypatch.setattr(CharLM, "read", counted)
    for more in ([], ["--json"], ["--show-probs"]):
        read.clear()
        options = ("--num-samples", 4, "--prompt", "mare", "--length", 3)
        assert charlm("sample", trained, *options, *more).exit_code == 0
        assert read == [4]


@pytest.mark.parametrize("extra", [[], ["--json"], ["--num-samples", "2"]])
def test_out_writes_what_stdout_would_get(
    charlm: Invoke, trained: Path, tmp_path: Path, extra: list[str]
) -> None:
    arguments = ["sample", trained, "--prompt", "È", "--length", 9, "--seed", 1, *extra]
    expected = charlm(*arguments).stdout
    result = charlm(*arguments, "--out", tmp_path / "text")
    assert result.exit_code == 0
    assert result.stdout == f"{tmp_path / 'text'}\n"
    assert (tmp_path / "text").read_text(encoding="utf-8") == expected


def test_skip_says_what_it_leaves_out(charlm: Invoke, trained: Path) -> None:
    arguments = ["sample", trained, "--prompt", "Ro☃ma", "--length", 9, "--seed", 1]
    result = charlm(*arguments, "--on-unknown", "skip")
    expected = package.load(trained).sample("Roma", length=9, seed=1)
    assert result.stdout.endswith(expected)
    assert "U+2603" in result.stderr


# ------------------------------------------------------------------------------------ it is refused


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--temperature", "nan"], ["--temperature", "nan"]),
        (["--temperature", "-1"], ["--temperature", "-1"]),
        (["--temperature", "inf"], ["--temperature"]),
        (["--length", "-1"], ["--length"]),
        (["--top-k", "-1"], ["--top-k"]),
        (["--top-p", "0"], ["--top-p"]),
        (["--top-p", "1.01"], ["--top-p"]),
        (["--min-p", "2"], ["--min-p"]),
        (["--repetition-penalty", "0"], ["--repetition-penalty"]),
        (["--seed", "-1"], ["--seed"]),
        (["--seed", str(2**64)], ["--seed"]),
        (["--prompt", "ar\nc☃"], ["U+2603", "line 2, column 2", "--on-unknown skip"]),
        (["--prompt", "a", "--prompt-file", "b"], ["--prompt and --prompt-file"]),
        (["--prompt-file", "/does/not/exist"], ["--prompt-file", "No such file"]),
        (["--prompt-file", "."], ["--prompt-file"]),
    ],
)
def test_a_wrong_request_is_one_line_and_exit_2(
    charlm: Invoke, trained: Path, arguments: list[str], parts: list[str]
) -> None:
    refused(charlm("sample", trained, *arguments), 2, *parts)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--temperature", "warm"],
        ["--length", "1.5"],
        ["--num-samples", "0"],
        ["--on-unknown", "guess"],
        ["--nothing"],
        ["one", "two"],
    ],
)
def test_what_is_no_option_is_a_usage_error(
    charlm: Invoke, trained: Path, arguments: list[str]
) -> None:
    result = charlm("sample", trained, *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1


def test_an_unknown_run_is_named_beside_the_known_ones(
    charlm: Invoke, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refused(charlm("sample"), 2, "charlm train corpus.txt")
    refused(charlm("sample", "nope"), 2, "'nope'", "charlm train corpus.txt")
    (tmp_path / "checkpoints").symlink_to(trained.parent)
    refused(charlm("sample", "nope"), 2, "'nope'", "tiny")
    (tmp_path / "empty").mkdir()
    refused(charlm("sample", "empty"), 2, "empty has no")


def test_a_damaged_or_foreign_file_is_exit_1(charlm: Invoke, trained: Path, tmp_path: Path) -> None:
    data = bytearray((trained / "best.safetensors").read_bytes())
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(data[:-10])
    refused(charlm("sample", damaged), 1, "damaged.safetensors")
    data[-10] ^= 1
    damaged.write_bytes(data)
    refused(charlm("sample", damaged), 1, "checksum")
    damaged.write_bytes(b"")
    refused(charlm("sample", damaged), 1)
    damaged.write_text("{}")
    refused(charlm("sample", damaged), 1)


def test_out_into_nowhere_is_exit_1(charlm: Invoke, trained: Path, tmp_path: Path) -> None:
    result = charlm("sample", trained, "--length", 3, "--out", tmp_path / "no" / "file")
    refused(result, 1, "--out", "No such file")


def test_debug_keeps_the_traceback(charlm: Invoke, trained: Path) -> None:
    with pytest.raises(package.CharlmError):
        charlm("--debug", "sample", trained, "--prompt", "☃")


def test_a_name_too_long_for_the_file_system_is_refused(charlm: Invoke) -> None:
    assert charlm("sample", "a" * 300).exit_code == 2


def test_a_skipped_surrogate_does_not_reach_the_file(
    charlm: Invoke, trained: Path, tmp_path: Path
) -> None:
    result = charlm(
        "sample",
        trained,
        "--prompt",
        "a\udcff",
        "--on-unknown",
        "skip",
        "--length",
        3,
        "--out",
        tmp_path / "text",
    )
    assert result.exit_code == 0


# ------------------------------------------------------------------------------ terminals and pipes


def test_a_closed_pipe_ends_it_silently(trained: Path) -> None:
    writer = subprocess.Popen(
        [*COMMAND, "sample", str(trained), "--length", "200000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert writer.stdout is not None and writer.stderr is not None
    assert len(writer.stdout.read(1)) == 1
    writer.stdout.close()
    assert writer.stderr.read() == b""
    writer.stderr.close()
    writer.wait(60)


def model_file(directory: Path, characters: str) -> Path:
    """A model file over these characters, with weights of zero."""
    tokenizer = CharTokenizer("".join(sorted(characters)))
    config = ModelConfig.resolve(vocab_size=tokenizer.vocab_size, hidden_size=2)
    weights = {
        name: np.zeros(shape, np.float32) for name, shape in config.parameter_shapes().items()
    }
    path = directory / "model.safetensors"
    checkpoint.write(path, Checkpoint(config, tokenizer, weights))
    return path


def test_an_encoding_without_the_character_gives_its_escape(trained: Path, tmp_path: Path) -> None:
    model = model_file(tmp_path, "☃è")
    done = subprocess.run(
        [*COMMAND, "sample", str(model), "--prompt", "☃è", "--length", "3"],
        capture_output=True,
        check=False,
        env=os.environ | {"PYTHONIOENCODING": "cp1252"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"\\u2603\xe8")
    assert b"Traceback" not in done.stderr
    refused = subprocess.run(
        [*COMMAND, "sample", str(trained), "--prompt", "☃", "--length", "3"],
        capture_output=True,
        check=False,
        env=os.environ | {"PYTHONIOENCODING": "cp1252"},
    )
    assert refused.returncode == 2
    assert b"U+2603" in refused.stderr
    assert b"Traceback" not in refused.stderr


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_a_terminal_gets_no_control_character_and_a_pipe_does(tmp_path: Path) -> None:
    prompt = "a\x1b[31m\u202eb"
    model = model_file(tmp_path, "".join(set(prompt)))
    arguments = [*COMMAND, "sample", str(model), "--prompt", prompt, "--length", "0"]
    piped = subprocess.run(arguments, stdout=subprocess.PIPE, check=True)
    assert piped.stdout.decode() == prompt
    ours, theirs = os.openpty()
    subprocess.run(arguments, stdout=theirs, stderr=subprocess.DEVNULL, check=True)
    os.close(theirs)
    shown = os.read(ours, 10_000).decode()
    os.close(ours)
    assert shown == "a\\x1b[31m\\u202eb\r\n"


def test_printable_keeps_text_and_escapes_the_rest() -> None:
    assert printable("città\n\t☃ 日本") == "città\n\t☃ 日本"
    assert printable("\x1b\x00\r\x7f\x9b\u2066") == "\\x1b\\x00\\r\\x7f\\x9b\\u2066"
