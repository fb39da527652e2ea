"""``charlm sample``: text from a trained model, as it is drawn."""

from __future__ import annotations

import json
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from charlm.cli.figures import TEXT, figure_option
from charlm.cli.options import from_fields
from charlm.cli.terminal import echo, say, write_result
from charlm.config import SampleConfig
from charlm.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from charlm.generate import CharLM, Drawn
    from charlm.inspection.novelty import SuffixArray

_DRAWING = (
    "temperature",
    "length",
    "top_k",
    "top_p",
    "min_p",
    "repetition_penalty",
    "seed",
)


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
    "--on-unknown",
    type=click.Choice(["error", "skip"]),
    default="error",
    show_default=True,
    help="What to do with a character in the prompt that the model has never seen.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per text.")
@click.option("--show-probs", is_flag=True, help="Show how likely each character was to the model.")
@click.option(
    "--alternatives",
    type=click.IntRange(0, 50),
    default=0,
    show_default=True,
    help="With --show-probs: a line per character, with so many that were likelier or next.",
)
@figure_option(TEXT)
@click.option(
    "--novelty",
    is_flag=True,
    help="Say how much stands in the training text; its index takes 8 bytes of memory a character.",
)
@click.option(
    "--max-copy",
    type=click.IntRange(1),
    metavar="N",
    help="Never copy more than N characters in a row from the training text.",
)
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
    show_probs: bool,
    alternatives: int,
    figure: Path | None,
    novelty: bool,
    max_copy: int | None,
    **drawing: Any,
) -> None:
    """Write text with a model: a run's name or directory, a model file, or the newest run.

    \b
    charlm sample
    charlm sample book --temperature 0.5 --length 2000
    charlm sample book --prompt "Nel mezzo" --seed 7
    charlm sample book --novelty --max-copy 30
    charlm sample book --show-probs
    charlm sample book --show-probs --figure sample.svg
    echo "Era il" | charlm sample book --prompt - --top-p 0.9
    """
    if show_probs and (stop or as_json or out or novelty):
        raise RequestError("--show-probs shows a text; leave out --stop, --json, --out, --novelty")
    if not show_probs and (alternatives or figure):
        name = "--alternatives" if alternatives else "--figure"
        raise RequestError(f"{name} belongs to --show-probs; give both")
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
        from charlm.text.tokenizer import describe_unknown

        say(f"left out of the prompt: {describe_unknown(given, skipped)}")
        text = loaded.tokenizer.without_unseen(text)
    avoid = None
    if novelty or max_copy:
        from charlm.inspection import novelty as copied

        trained_on, held_out = map(loaded.tokenizer.normalize, _training_texts(model))
        index = copied.SuffixArray(trained_on)
        if max_copy:
            if loaded.tokenizer.kind != "char":
                raise RequestError("--max-copy needs a model of characters; this one is of bytes")
            avoid = copied.no_copies(index, max_copy)
    if show_probs:
        draws = [
            loaded.draws(text, config, number=number, on_unknown=on_unknown, avoid=avoid)
            for number in range(num_samples)
        ]
        if figure is not None:
            _draw_probabilities(text, draws, loaded.tokenizer.vocab_size, figure)
            return
        for each in draws:
            _show_probabilities(loaded, text, each, alternatives)
        return
    kept: list[list[str]] = [[] for _ in range(num_samples)]
    streams = [
        _keeping(
            loaded.stream(
                text, config, number=number, stop=stop, on_unknown=on_unknown, avoid=avoid
            ),
            kept[number] if novelty else None,
        )
        for number in range(num_samples)
    ]
    try:
        _put(streams, text, config, num_samples, as_json, out)
    finally:
        for pieces in kept if novelty else []:
            _say_novelty("".join(pieces), index, held_out)


def _put(
    streams: list[Iterator[str]],
    text: str,
    config: SampleConfig,
    num_samples: int,
    as_json: bool,
    out: Path | None,
) -> None:
    """The texts, to where they are wanted, as they are drawn."""
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


def _keeping(stream: Iterator[str], pieces: list[str] | None) -> Iterator[str]:
    for piece in stream:
        if pieces is not None:
            pieces.append(piece)
        yield piece


def _training_texts(model: str | None) -> tuple[str, str]:
    """The texts that a run was trained on and validated with; RequestError where they are not at
    hand."""
    from charlm import runs
    from charlm.cli.texts import texts_of

    path = runs.find_model(model)
    texts = texts_of(runs.Run(path.parent))
    if texts is None:
        raise RequestError(
            f"{path}: its training text is not at hand; --novelty and --max-copy need the run that "
            "was trained here"
        )
    return texts


def _say_novelty(sample: str, text: SuffixArray, held_out: str) -> None:
    """And the same of a held-out text of that length: what people write without copying."""
    from charlm.display import one_line
    from charlm.inspection.novelty import GRAM, novelty

    found = novelty(sample, text)
    longest = one_line(found.longest)
    shown = longest if len(longest) <= 60 else longest[:60] + "..."
    share = (
        ""
        if found.share is None
        else (f"; of its runs of {GRAM} characters {100 * found.share:.0f} % stand there")
    )
    say(f'longest run from the training text: {len(found.longest)} characters ("{shown}"){share}')
    if len(held_out) >= len(sample) > 0:
        usual = novelty(held_out[: len(sample)], text)
        share = "" if usual.share is None else f"; {100 * usual.share:.0f} %"
        say(
            f"of as much held-out text, which nobody copied: {len(usual.longest)} characters{share}"
        )


def _show_probabilities(
    loaded: CharLM, prompt: str, draws: Iterator[Drawn], alternatives: int
) -> None:
    """Each character by its probability: coloured, or a line for each where there is no colour or
    alternatives are asked for."""
    import os

    import numpy as np

    from charlm.display import printable
    from charlm.engine import softmax
    from charlm.inspection.pages import symbol_name
    from charlm.inspection.textmap import shown

    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and not alternatives
    say(f"by chance each {loaded.tokenizer.unit} has {100 / loaded.tokenizer.vocab_size:.1f} %")
    if colour:
        _show(prompt, True)
    for drawn in draws:
        if colour:
            ground = (203, 216, 223, 230, None)[min(4, int(5 * drawn.probability))]
            text = printable(drawn.text)
            if ground and drawn.text != "\n":
                text = f"\x1b[48;5;{ground}m\x1b[30m{text}\x1b[0m"
            sys.stdout.write(text)
            sys.stdout.flush()
            continue
        p = softmax(drawn.logits)
        likeliest = np.argsort(-p, kind="stable")[:alternatives]
        listed = " ".join(
            f"{symbol_name(loaded.tokenizer, int(i))} {100 * p[i]:.0f}%" for i in likeliest
        )
        echo(f"{shown(drawn.text):<6}  {100 * drawn.probability:5.1f} %  {listed}".rstrip())
    if colour:
        click.echo()


def _draw_probabilities(
    prompt: str, draws: list[Iterator[Drawn]], symbols: int, figure: Path
) -> None:
    """The same as a picture: the redder, the less likely; the prompt was not drawn."""
    from charlm.inspection import textmap

    chance = 100 / symbols
    blocks = [
        textmap.Block(
            f"how likely each character was (by chance {chance:.1f} %)"
            + (f": text {number + 1}" if len(draws) > 1 else ""),
            textmap.likelihood(prompt, ((drawn.text, drawn.probability) for drawn in each)),
            [] if number else textmap.likelihood_legend(),
        )
        for number, each in enumerate(draws)
    ]
    write_result("--figure", figure, textmap.svg(blocks))


def _prompt(prompt: str | None, prompt_file: Path | None) -> str:
    """The prompt's text, from wherever it comes."""
    if prompt is not None and prompt_file is not None:
        raise RequestError("--prompt and --prompt-file both give the prompt; give one")
    from charlm.text.reading import decode

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
    write_result("--out", out, content)
