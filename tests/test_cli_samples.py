"""``charlm sample`` with many prompts, ranked, with prompt and stop string, and without repeats."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from test_cli_sample import model_file, refused

import charlm as package

Invoke = Callable[..., Result]


def records(done: Result) -> list[dict[str, Any]]:
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.txt"
    path.write_bytes("Il mare\r\nRoma\n\nè\n".encode())
    return path


# ------------------------------------------------------------------------------------- many prompts


def test_every_line_is_continued_as_it_is_alone(charlm: Invoke, trained: Path, lines: Path) -> None:
    options = ("--json", "--num-samples", 2, "--length", 20, "--seed", 3)
    found = records(charlm("sample", trained, "--prompts", lines, *options))
    assert [each.pop("line") for each in found] == [1, 1, 2, 2, 3, 3, 4, 4]
    alone = [
        record
        for prompt in ("Il mare", "Roma", "", "è")
        for record in records(charlm("sample", trained, "--prompt", prompt, *options))
    ]
    assert found == alone


def test_headings_show_which_prompt(charlm: Invoke, trained: Path, lines: Path) -> None:
    options = ("--length", 9, "--seed", 3)
    done = charlm("sample", trained, "--prompts", lines, *options)
    texts = [
        charlm("sample", trained, "--prompt", prompt, *options).stdout
        for prompt in ("Il mare", "Roma", "", "è")
    ]
    names = ['line 1: "Il mare"', 'line 2: "Roma"', 'line 3: ""', 'line 4: "è"']
    blocks = [f"--- {name} ---\n{text}\n" for name, text in zip(names, texts, strict=True)]
    assert done.stdout == "\n".join(blocks)
    two = charlm("sample", trained, "--prompts", lines, *options, "--num-samples", 2).stdout
    assert two.startswith(
        f'--- line 1, sample 1: "Il mare" ---\n{texts[0]}\n\n--- line 1, sample 2'
    )


def test_a_long_prompt_is_short_in_its_heading(charlm: Invoke, trained: Path) -> None:
    done = charlm("sample", trained, "--prompts", "-", "--length", 0, input="mare " * 50 + "\n")
    assert done.stdout.splitlines()[0] == f'--- line 1: "{("mare " * 50)[:60]}..." ---'


def test_prompts_from_standard_input(charlm: Invoke, trained: Path, lines: Path) -> None:
    options = ("sample", trained, "--length", 9, "--seed", 3, "--prompts")
    assert charlm(*options, "-", input=lines.read_bytes()).stdout == charlm(*options, lines).stdout


@pytest.mark.parametrize("extra", [[], ["--json"], ["--rank", "--num-samples", "3"]])
def test_out_writes_what_stdout_would_get(
    charlm: Invoke, trained: Path, lines: Path, tmp_path: Path, extra: list[str]
) -> None:
    arguments = ["sample", trained, "--prompts", lines, "--length", 9, "--seed", 1, *extra]
    expected = charlm(*arguments).stdout
    assert charlm(*arguments, "--out", tmp_path / "text").exit_code == 0
    assert (tmp_path / "text").read_text("utf-8") == expected


def test_every_bad_line_is_named(charlm: Invoke, trained: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.txt"
    bad.write_text("Roma\nma☃re\nè\n☃ ♥\n", "utf-8")
    done = charlm("sample", trained, "--prompts", bad, "--length", 9)
    refused(done, 2, "lines 2, 4: 3 characters", "'☃' U+2603 (2 times), '♥'", "line 2, column 3")
    bad.write_text("\n".join(["☃"] * 20), "utf-8")
    refused(charlm("sample", trained, "--prompts", bad), 2, "1, 2, 3, 4, 5, 6, 7, 8 and 12 more:")
    bad.write_text("Roma\nma☃re\n", "utf-8")
    options = ("--prompts", bad, "--length", 0, "--on-unknown", "skip", "--json")
    done = charlm("sample", trained, *options)
    assert [each["prompt"] for each in records(done)] == ["Roma", "mare"]
    assert "prompt in line 2: left out 1 character" in done.stderr


@pytest.mark.parametrize(
    ("content", "parts"),
    [("", ["it is empty; write one prompt"]), ("Roma\n\xff", ["not valid UTF-8", "line 2"])],
)
def test_a_bad_file_is_one_line(
    charlm: Invoke, trained: Path, tmp_path: Path, content: str, parts: list[str]
) -> None:
    (tmp_path / "p").write_bytes(content.encode("latin-1"))
    done = charlm("sample", trained, "--prompts", tmp_path / "p")
    refused(done, 1 if content else 2, *parts)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--prompts", "/does/not/exist"], ["--prompts /does/not/exist", "No such file"]),
        (["--prompts", "a", "--prompt", "b"], ["--prompt and --prompts each give the prompt"]),
        (["--prompts", "a", "--show-probs"], ["leave out --prompts"]),
        (["--rank", "--show-probs"], ["leave out --rank"]),
        (["--no-include-prompt", "--show-probs"], ["leave out --include-prompt"]),
        (["--include-stop"], ["--include-stop belongs to --stop"]),
        (["--no-repeat", "-1"], ["--no-repeat", "at least 0"]),
        (["--no-repeat", "1001"], ["--no-repeat", "at most 1000"]),
    ],
)
def test_a_wrong_request_is_one_line(
    charlm: Invoke, trained: Path, arguments: list[str], parts: list[str]
) -> None:
    refused(charlm("sample", trained, *arguments), 2, *parts)


# ------------------------------------------------------------------------------------------ ranking


def scored(charlm: Invoke, trained: Path, prompt: str, text: str) -> float:
    """ln p(text | prompt), as ``charlm score`` adds it up of the whole."""
    done = charlm("score", trained, "--json", input=prompt + text)
    found = records(done)[-len(text) :]
    assert "".join(each["character"] for each in found) == text
    return -math.fsum(each["bits"] for each in found) * math.log(2)


def test_the_log_probability_is_what_score_says(charlm: Invoke, trained: Path) -> None:
    options = ("--prompt", "Il mare", "--length", 30, "--seed", 2, "--num-samples", 3)
    for record in records(charlm("sample", trained, "--json", *options)):
        expected = scored(charlm, trained, "Il mare", record["text"])
        assert record["log_probability"] == pytest.approx(expected, rel=1e-4)
        assert record["nats_per_char"] == pytest.approx(-expected / 30, rel=1e-4)
        assert record["characters"] == 30


def test_the_likeliest_comes_first(charlm: Invoke, trained: Path) -> None:
    options = ("--length", 30, "--seed", 2, "--num-samples", 5)
    plain = records(charlm("sample", trained, "--json", *options))
    ranked = records(charlm("sample", trained, "--json", "--rank", *options))
    assert ranked == sorted(plain, key=lambda record: record["nats_per_char"]) != plain
    done = charlm("sample", trained, "--rank", *options)
    assert done.stdout == "\n".join(
        f"--- sample {each['sample']}, {each['nats_per_char']:.4f} nats/char ---\n{each['text']}\n"
        for each in ranked
    )
    symbols = package.load(trained).tokenizer.vocab_size
    assert done.stderr == f"by chance each character has {math.log(symbols):.4f} nats\n"


def test_an_empty_sample_comes_last(charlm: Invoke, trained: Path) -> None:
    done = charlm("sample", trained, "--rank", "--length", 0)
    assert done.stdout == "--- no characters ---\n\n"
    (record,) = records(charlm("sample", trained, "--json", "--length", 0))
    assert record["nats_per_char"] is None and record["log_probability"] == 0


def test_each_prompt_has_its_own_ranking(charlm: Invoke, trained: Path, lines: Path) -> None:
    options = ("--prompts", lines, "--num-samples", 3, "--rank", "--json", "--length", 20)
    found = records(charlm("sample", trained, *options, "--seed", 1))
    assert [each["line"] for each in found] == [line for line in (1, 2, 3, 4) for _ in range(3)]
    for line in (1, 2, 3, 4):
        nats = [each["nats_per_char"] for each in found if each["line"] == line]
        assert nats == sorted(nats)


def test_novelty_names_ranked_samples_by_number(charlm: Invoke, trained: Path) -> None:
    options = ("--num-samples", 2, "--rank", "--novelty", "--length", 40, "--seed", 2)
    done = charlm("sample", trained, *options)
    assert re.findall(r"^sample (\d): longest", done.stderr, re.MULTILINE) == ["1", "2"]


# --------------------------------------------------------------------------- prompt and stop string


def test_the_prompt_is_there_if_asked_for(charlm: Invoke, trained: Path) -> None:
    options = ("sample", trained, "--prompt", "Roma", "--length", 9, "--seed", 1)
    text = package.load(trained).sample("Roma", length=9, seed=1)
    assert charlm(*options).stdout == charlm(*options, "--include-prompt").stdout == "Roma" + text
    assert charlm(*options, "--no-include-prompt").stdout == text
    (without,) = records(charlm(*options, "--json"))
    (included,) = records(charlm(*options, "--json", "--include-prompt"))
    assert without == included | {"text": text}
    assert included["text"] == "Roma" + text


def test_the_stop_string_is_there_if_asked_for(charlm: Invoke, trained: Path) -> None:
    options = ("sample", trained, "--length", 300, "--seed", 5, "--stop", "a")
    text = charlm(*options).stdout
    assert charlm(*options, "--include-stop").stdout == text + "a"
    (record,) = records(charlm(*options, "--include-stop", "--json"))
    assert record["text"] == text + "a" and record["characters"] == len(text) + 1


# ---------------------------------------------------------------------------------- without repeats


def test_nothing_is_written_twice(charlm: Invoke, trained: Path) -> None:
    options = ("sample", trained, "--length", 300, "--seed", 4, "--temperature", 0.3)
    prompt = "il mare e il monte"
    text = charlm(*options, "--no-repeat", 5, "--prompt", prompt).stdout
    assert text.startswith(prompt) and len(text) == len(prompt) + 300
    assert all(text[end - 5 : end] not in text[: end - 1] for end in range(19, len(text) + 1))
    free = charlm(*options, "--prompt", prompt).stdout
    assert any(free[end - 5 : end] in free[: end - 1] for end in range(19, len(text) + 1))


def test_both_limits_hold(charlm: Invoke, trained: Path, text: str) -> None:
    options = ("--length", 200, "--seed", 4, "--temperature", 0.5, "--no-repeat", 4)
    done = charlm("sample", trained, *options, "--max-copy", 5)
    assert done.exit_code == 0, done.output
    written, trained_on = done.stdout, text[: len(text) * 9 // 10]
    assert len(written) == 200
    assert all(written[i : i + 4] not in written[: i + 3] for i in range(197))
    assert all(written[i : i + 6] not in trained_on for i in range(195))


def test_it_says_which_text_ends_early(charlm: Invoke, tmp_path: Path) -> None:
    model = model_file(tmp_path, "abc")
    options = ("sample", model, "--prompt", "a", "--seed", 1, "--no-repeat", 1)
    done = charlm(*options)
    assert (done.exit_code, sorted(done.stdout)) == (0, ["a", "b", "c"])
    note = "ends after 2 of 500 characters: with any other, --no-repeat 1 would not hold"
    assert done.stderr == f"\n{note}\n"
    assert charlm(*options, "--length", 2).stderr == ""
    several = charlm(*options, "--num-samples", 2, "--json")
    assert [len(each["text"]) for each in records(several)] == [2, 2]
    assert several.stderr.splitlines() == [f"sample {n}: {note}" for n in (1, 2)]


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("extra", [[], ["--rank"]])
def test_a_terminal_gets_no_control_character(tmp_path: Path, extra: list[str]) -> None:
    model = model_file(tmp_path, "\x1b[31m")
    (tmp_path / "p").write_text("\x1b[31m")
    arguments = [sys.executable, "-m", "charlm", "sample", str(model), "--length", "3", *extra]
    ours, theirs = os.openpty()
    subprocess.run(
        [*arguments, "--prompts", str(tmp_path / "p")],
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    os.close(theirs)
    shown = os.read(ours, 10_000).decode()
    os.close(ours)
    assert "\x1b" not in shown and shown.count("\\x1b[31m") >= 2
