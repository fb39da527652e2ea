"""``charlm sample``: text from a trained model, as it is drawn."""

from __future__ import annotations

import json
import secrets
import sys
from pathlib import Path
from typing import Any

import click

from charlm.cli.options import from_fields
from charlm.cli.terminal import echo, say
from charlm.config import SampleConfig
from charlm.errors import CharlmError, RequestError

_DRAWING = (
    "temperature", "length", "top_k", "top_p", "min_p", "repetition_penalty", "seed",
)  # fmt: skip


@click.command()
@click.argument("model", metavar="[RUN|FILE]", required=False)
@from_fields(SampleConfig, *_DRAWING)
@click.option("--prompt", help="Text to go on from; - reads standard input.")
@click.option(
    "--prompt-file", type=click.Path(path_type=Path), help="Read the prompt from this file."
)
@click.option("--greedy", is_flag=True, help="Always the likeliest character: temperature 0.")
@click.option(
    "--num-samples", type=click.IntRange(1), default=1, show_default=True, help="How many texts."
)
@click.option("--stop", default="", metavar="STR", help="End before this string.")
@click.option(
    "--on-unknown", type=click.Choice(["error", "skip"]), default="error", show_default=True,
    help="What to do with a character in the prompt that the model has never seen.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object per text.")
@click.option("--out", type=click.Path(path_type=Path), help="Write to this file instead.")
def command(
    model: str | None,
    prompt: str | None,
    prompt_file: Path | None,
    greedy: bool,
    num_samples: int,
    stop: str,
    on_unknown: str,
    as_json: bool,
    out: Path | None,
    **drawing: Any,
) -> None:
    """Write text with a model: a run's name or directory, a model file, or the newest run.

    \b
    charlm sample
    charlm sample book --temperature 0.5 --length 2000
    charlm sample book --prompt "Nel mezzo" --seed 7
    echo "Era il" | charlm sample book --prompt - --top-p 0.9
    """
    if greedy:
        drawing["temperature"] = 0.0
    if drawing["seed"] is None:
        drawing["seed"] = secrets.randbits(32)
    config = SampleConfig(**drawing)
    text = _prompt(prompt, prompt_file)

    from charlm.generate import load

    loaded = load(model)
    given = loaded.tokenizer.normalize(text)
    skipped = loaded.tokenizer.unseen(text)
    if len(skipped) and on_unknown == "skip":
        from charlm.tokenizer import describe_unknown

        say(f"left out of the prompt: {describe_unknown(given, skipped)}")
        text = loaded.tokenizer.without_unseen(text)
    streams = [
        loaded.stream(text, config, number=number, stop=stop, on_unknown=on_unknown)
        for number in range(num_samples)
    ]
    if out is not None:
        _write(out, [text + "".join(stream) for stream in streams], as_json, text, config)
        return
    if as_json:
        for number, stream in enumerate(streams):
            click.echo(_record(number, text, "".join(stream), config))
        return
    terminal = sys.stdout.isatty()
    for number, stream in enumerate(streams):
        if num_samples > 1:
            click.echo(f"{chr(10) if number else ''}--- {number + 1} ---")
        _show(text, terminal)
        for piece in stream:
            _show(piece, terminal)
        if terminal or num_samples > 1:
            click.echo()


def _prompt(prompt: str | None, prompt_file: Path | None) -> str:
    """The prompt's text, from wherever it comes."""
    if prompt is not None and prompt_file is not None:
        raise RequestError("--prompt and --prompt-file both give the prompt; give one")
    from charlm.corpus import decode

    if prompt_file is not None:
        try:
            return decode(prompt_file.read_bytes(), str(prompt_file), remedy="save it as UTF-8")
        except OSError as error:
            raise RequestError(
                f"--prompt-file {prompt_file}: cannot be read ({error.strerror})"
            ) from error
    if prompt == "-":
        if sys.stdin is None:
            raise RequestError("--prompt - reads standard input, which is closed")
        # The newline that echo and editors add would make the model begin a new line.
        data = sys.stdin.buffer.read()
        return decode(data, "standard input", remedy="send UTF-8").removesuffix("\n")
    return prompt or ""


def _show(text: str, terminal: bool) -> None:
    """Write at once. A terminal gets no control character; a pipe gets the text as it is."""
    from charlm.display import printable

    sys.stdout.write(printable(text) if terminal else text)
    sys.stdout.flush()


def _record(number: int, prompt: str, text: str, config: SampleConfig) -> str:
    record = {"sample": number, "seed": config.seed, "prompt": prompt, "text": text}
    return json.dumps(record)


def _write(out: Path, texts: list[str], as_json: bool, prompt: str, config: SampleConfig) -> None:
    """The same as on stdout, in a file that is there whole or not at all."""
    from charlm.files import write_atomically

    if as_json:
        lines = [
            _record(number, prompt, text.removeprefix(prompt), config) + "\n"
            for number, text in enumerate(texts)
        ]
        content = "".join(lines)
    elif len(texts) == 1:
        content = texts[0]
    else:
        content = "\n".join(f"--- {n + 1} ---\n{text}\n" for n, text in enumerate(texts))
    try:
        write_atomically(out, content.encode("utf-8"))
    except OSError as error:
        raise CharlmError(f"--out {out}: cannot be written ({error.strerror})") from error
    echo(str(out))
