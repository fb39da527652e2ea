"""``charlm report``: everything that can be seen of a run, on one page."""

from __future__ import annotations

import os
from pathlib import Path

import click

from charlm.cli.terminal import say, write_result
from charlm.cli.texts import text_of, texts_of
from charlm.errors import CharlmError, RequestError


@click.command()
@click.argument("model", metavar="[RUN]", required=False)
@click.argument("file", required=False)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Where to write it  [default: NAME.html]"
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the samples."
)
@click.option("--encoding", help="Encoding of FILE [default: UTF-8, or by byte-order mark]")
def command(
    model: str | None, file: str | None, out: Path | None, seed: int, encoding: str | None
) -> None:
    """Write one HTML page on a run: learning curves, ladder, samples, the surprisal map, units,
    gradients and memory. Without RUN, the newest; without FILE, on its validation text.

    The page needs no network and no other file: it can be sent, kept and opened anywhere.

    \b
    charlm report
    charlm report book --out book.html
    charlm report book other.txt
    """
    from charlm import runs
    from charlm.cli.inspect.common import known
    from charlm.generate import load

    try:
        from charlm.inspection import horizon, report
    except ImportError as error:
        raise CharlmError(
            f'the report needs more than charlm alone: pip install "charlm[report]" ({error})'
        ) from error

    path = runs.find_model(model)
    run = runs.Run(path.parent)
    loaded = load(model)
    name = path.parent.name if path == run.best else path.stem
    texts = texts_of(run)
    if file is not None:
        text = text_of(file, encoding)
    elif texts is None or not texts[1]:
        raise RequestError(
            f"{model or path.parent} has no validation text at hand; name a text: charlm report "
            f"{model or path.parent} FILE"
        )
    else:
        text = texts[1]
    made = report.gather(
        name,
        loaded,
        known(loaded, text),
        source=file or "validation text, which it was not trained on",
        train=texts[0] if texts else None,
        log=run.read_log(),
        window=horizon.training_window(loaded),
        seed=seed,
        threads=os.cpu_count() or 1,
        doing=lambda part: say(f"{part} ..."),
    )
    write_result("--out", out or Path(f"{name}.html"), report.html(made))
