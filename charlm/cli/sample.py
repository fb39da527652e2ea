"""``charlm sample``: text from a trained model, printed while it is sampled."""

from __future__ import annotations

import json
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from charlm.cli.figures import TEXT, figure_option
from charlm.cli.options import (
    Command,
    Number,
    corpus_option,
    from_fields,
    json_option,
    network_only_option,
    on_unknown_option,
    option,
    run_argument,
    unescaped,
)
from charlm.cli.terminal import say, write_result
from charlm.config import SampleConfig
from charlm.errors import CharlmError, RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from charlm.inspection.novelty import SuffixArray


@click.command(cls=Command)
@run_argument("[RUN|FILE]")
@from_fields(SampleConfig)
@option(
    "--greedy",
    group="Sampling",
    is_flag=True,
    help="Always take the most likely character: temperature 0.",
)
@option("--prompt", group="Prompt", help="Text to continue; - reads standard input.")
@option(
    "--prompt-file",
    group="Prompt",
    type=click.Path(path_type=Path),
    help="Read the prompt from this file.",
)
@on_unknown_option("the prompt", group="Prompt")
@option(
    "--num-samples",
    type=Number(int, min=1),
    default=1,
    show_default=True,
    help="Number of samples to write; 64 at a time are sampled side by side.",
)
@option(
    "--stop",
    multiple=True,
    metavar="STR",
    help="End the text before this string, in which \\n, \\t and \\\\ are a line end, a tab and a "
    "backslash. Repeat it for several strings: the first that occurs ends the text.",
)
@json_option("Print one JSON object per sample.")
@option(
    "--show-probs", is_flag=True, help="Show the model's probability of each character it wrote."
)
@option(
    "--alternatives",
    type=Number(int, min=0, max=50),
    default=0,
    show_default=True,
    help="With --show-probs: print a line per character, with the N most likely alternatives.",
)
@figure_option(TEXT)
@option(
    "--novelty",
    is_flag=True,
    help="Report the longest passage copied from the training text; needs 8 bytes of memory per "
    "character of it.",
)
@option(
    "--max-copy",
    type=Number(int, min=1),
    metavar="N",
    help="Never copy more than N characters in a row from the training text.",
)
@option("--out", type=click.Path(path_type=Path), help="Write to this file, not to stdout.")
@network_only_option()
@corpus_option()
def command(
    model: str | None,
    prompt: str | None,
    prompt_file: Path | None,
    greedy: bool,
    num_samples: int,
    stop: tuple[str, ...],
    on_unknown: str,
    as_json: bool,
    out: Path | None,
    show_probs: bool,
    alternatives: int,
    figure: Path | None,
    novelty: bool,
    max_copy: int | None,
    network_only: bool,
    corpus: tuple[str, ...],
    **drawing: Any,
) -> None:
    """Write text with a model.

    RUN: a run's name or directory; FILE: a model file; default: the newest run. If the run has
    n-gram counts, they are used together with the network. A line end at the
    end of a prompt from a file or from standard input is removed.

    \b
    charlm sample
    charlm sample book --temperature 0.5 --length 2000
    charlm sample book --prompt "Nel mezzo" --seed 7
    charlm sample book --stop '\\n\\n' --stop Fine
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
    if corpus and not (novelty or max_copy):
        raise RequestError("--corpus belongs to --novelty and --max-copy; give one of them")
    if greedy:
        drawing["temperature"] = 0.0
    if drawing["seed"] is None:
        drawing["seed"] = secrets.randbits(32)
    config = SampleConfig(**drawing)
    text = _prompt(prompt, prompt_file)

    from charlm import runs
    from charlm.text.unknown import readable

    opened = runs.open_model(model, corpus=corpus, network_only=network_only)
    loaded = opened.model
    text, note = readable(loaded.tokenizer, text, on_unknown, what="the prompt")
    if note:
        say(f"prompt: {note}")
    start = loaded.start(text, on_unknown)  # read once, however many samples follow
    avoid = None
    if novelty or max_copy:
        from charlm.cli.texts import beginning, recent
        from charlm.inspection import novelty as copied
        from charlm.text.dataset import MAX_EXACT

        texts = opened.texts
        trained_on = loaded.tokenizer.normalize(recent(texts))
        held_out = loaded.tokenizer.normalize(
            beginning(texts.val, MAX_EXACT, "the validation text")
        )
        index = copied.SuffixArray(trained_on)
        if max_copy:
            if loaded.tokenizer.kind != "char":
                raise RequestError("--max-copy needs a model of characters; this one is of bytes")
            avoid = copied.no_copies(index, max_copy)
    if show_probs:
        from charlm.cli import probabilities

        draws = [
            loaded.draws(start, config, number=number, avoid=avoid) for number in range(num_samples)
        ]
        if figure is not None:
            probabilities.draw(text, draws, loaded.tokenizer.vocab_size, figure)
            return
        say(f"by chance each {loaded.tokenizer.unit} has {100 / loaded.tokenizer.vocab_size:.1f} %")
        for number, each in enumerate(draws):
            if num_samples > 1:
                click.echo(_heading(number))
            probabilities.show(loaded, text, each, alternatives)
        return
    stops = [unescaped(each) for each in stop]
    samples = [
        Sample(pieces, keep=novelty)
        for pieces in loaded.streams(start, config, num_samples, stop=stops, avoid=avoid)
    ]
    try:
        _put(samples, text, config, as_json, out, talk=novelty)
    finally:
        for number, sample in enumerate(samples if novelty else [], start=1):
            _say_novelty(
                f"sample {number}: " if num_samples > 1 else "", sample.text, index, held_out
            )


class Sample:
    """The pieces of a sample, while they are sampled; ``last`` is the last of them so far."""

    def __init__(self, pieces: Iterator[str], *, keep: bool) -> None:
        self._pieces = pieces
        self._kept: list[str] | None = [] if keep else None
        self.last = ""

    def __iter__(self) -> Iterator[str]:
        for piece in self._pieces:
            self.last = piece
            if self._kept is not None:
                self._kept.append(piece)
            yield piece

    @property
    def text(self) -> str:
        """What has been sampled so far, if ``keep`` was set."""
        return "".join(self._kept or ())


def _put(
    samples: list[Sample],
    prompt: str,
    config: SampleConfig,
    as_json: bool,
    out: Path | None,
    talk: bool,
) -> None:
    """Print the samples, each character at once, or write them into a file.

    talk: whether a message on stderr follows
    """
    if out is not None:
        _write(out, ["".join(each) for each in samples], as_json, prompt, config)
        return
    if as_json:
        for number, sample in enumerate(samples):
            click.echo(_record(number, prompt, "".join(sample), config))
        return
    terminal, several = sys.stdout.isatty(), len(samples) > 1
    for number, sample in enumerate(samples):
        if several:
            click.echo(_heading(number))
        _show(prompt, terminal)
        speaks = talk
        try:
            for piece in sample:
                _show(piece, terminal)
        except (KeyboardInterrupt, CharlmError):
            speaks = True
            raise
        finally:
            if terminal or several:
                click.echo()
            elif speaks and not (sample.last or prompt).endswith("\n"):
                # A pipe gets the text alone. If it leads to the same screen as stderr, the message
                # must not begin in the text's last line.
                say("")


def _heading(number: int) -> str:
    """The line above a sample of several; they are numbered from 1."""
    return f"{chr(10) if number else ''}--- {number + 1} ---"


def _say_novelty(name: str, sample: str, text: SuffixArray, held_out: str) -> None:
    """Print how much of the sample is copied and, as the control, how much of held-out text of the
    same length occurs in the training text."""
    from charlm.display import one_line
    from charlm.inspection.novelty import GRAM, novelty

    found = novelty(sample, text)
    longest = one_line(found.longest)
    shown = longest if len(longest) <= 60 else longest[:60] + "..."
    share = (
        ""
        if found.share is None
        else f"; {100 * found.share:.0f} % of its passages of {GRAM} characters are copies"
    )
    say(
        f"{name}longest passage from the training text: {len(found.longest)} characters "
        f'("{shown}"){share}'
    )
    if len(held_out) >= len(sample) > 0:
        usual = novelty(held_out[: len(sample)], text)
        share = "" if usual.share is None else f"; {100 * usual.share:.0f} %"
        say(
            f"{name}the same for held-out text of the same length: {len(usual.longest)} characters"
            f"{share}"
        )


def _prompt(prompt: str | None, prompt_file: Path | None) -> str:
    """The text of the prompt. A line end at the end of a file or of standard input is removed:
    ``echo`` and editors add it, and the model would start a new line."""
    if prompt is not None and prompt_file is not None:
        raise RequestError("--prompt and --prompt-file both give the prompt; give one")
    if prompt != "-" and prompt_file is None:
        return prompt or ""
    from charlm.text.reading import decode

    if prompt_file is not None:
        try:
            data = prompt_file.read_bytes()
        except OSError as error:
            raise RequestError(
                f"--prompt-file {prompt_file}: cannot be read ({error.strerror})"
            ) from error
        text = decode(data, str(prompt_file), remedy="save it as UTF-8")
    else:
        if sys.stdin is None:
            raise RequestError("--prompt - reads standard input, which is closed")
        text = decode(sys.stdin.buffer.read(), "standard input", remedy="send UTF-8")
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text


def _show(text: str, terminal: bool) -> None:
    """Print at once. A terminal gets no control characters, a pipe gets the text unchanged."""
    from charlm.display import printable

    sys.stdout.write(printable(text) if terminal else text)
    sys.stdout.flush()


def _record(number: int, prompt: str, text: str, config: SampleConfig) -> str:
    record = {"sample": number + 1, "seed": config.seed, "prompt": prompt, "text": text}
    return json.dumps(record)


def _write(out: Path, texts: list[str], as_json: bool, prompt: str, config: SampleConfig) -> None:
    """Write the samples to a file atomically, in the same form as on stdout."""
    if as_json:
        lines = [_record(number, prompt, text, config) + "\n" for number, text in enumerate(texts)]
        content = "".join(lines)
    elif len(texts) == 1:
        content = prompt + texts[0]
    else:
        content = "".join(f"{_heading(n)}\n{prompt}{text}\n" for n, text in enumerate(texts))
    write_result("--out", out, content)
