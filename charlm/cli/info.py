"""``charlm info``: the shape, the size and the provenance of a model."""

from __future__ import annotations

from typing import Any

import click

from charlm.cli.options import Command, json_option, run_argument


@click.command(cls=Command)
@run_argument("[RUN|FILE]")
@json_option()
def command(model: str | None, as_json: bool) -> None:
    """Print a model's shape, size, checksums and provenance.

    \b
    charlm info
    charlm info checkpoints/book/best.safetensors --json
    """
    from charlm import checkpoint, runs
    from charlm.cli.terminal import echo, echo_json, say
    from charlm.display import one_line
    from charlm.errors import CheckpointError

    found = runs.open_model(model)
    path, loaded = found.path, found.checkpoint
    size = path.stat().st_size
    try:
        beside = found.counts
    except CheckpointError as error:
        say(f"the counts cannot be used: {error}")
        beside = None
    if as_json:
        facts = {
            "file": str(path),
            "bytes": size,
            "parameters": loaded.config.num_parameters,
            "weights_sha256": checkpoint.weights_sha256(loaded),
            "state_sha256": checkpoint.state_sha256(loaded) if loaded.training else None,
            "config": loaded.config.to_dict(),
            "tokenizer": loaded.tokenizer.to_dict(),
            "items": None if loaded.items is None else loaded.items.to_dict(),
            "provenance": loaded.provenance,
            "counts": None
            if beside is None
            else {
                "file": str(found.run.counts) if found.run else None,
                "order": beside.ngram.order,
                "ngrams": beside.num_ngrams,
                "weights": beside.weights._asdict(),
                **beside.facts,
            },
        }
        echo_json(facts)
        return
    echo(f"file        {path} ({size:,} bytes)")
    click.echo(f"model       {loaded.config.describe()}")
    shape = {k: v for k, v in loaded.config.to_dict().items() if k not in ("cell", "vocab_size")}
    click.echo(f"shape       {', '.join(f'{key} {value}' for key, value in shape.items())}")
    click.echo(f"tokenizer   {loaded.tokenizer.kind}, {loaded.tokenizer.vocab_size} symbols")
    if loaded.items is not None:
        echo(f"items       end with {loaded.items.end!r}")
        if loaded.items.labels:
            echo(f"labels      {loaded.items.describe()}")
    click.echo(f"weights     sha256 {checkpoint.weights_sha256(loaded)}")
    if beside is not None and found.run is not None:
        size = found.run.counts.stat().st_size
        echo(
            f"counts      {found.run.counts} ({size:,} bytes, {beside.num_ngrams:,} n-grams), "
            f"{beside.describe()}"
        )
    if loaded.training:
        click.echo(f"state       sha256 {checkpoint.state_sha256(loaded)}")
    for key, value in loaded.provenance.items():
        shown = repr(value) if key == "commonest" else str(value)
        shown = in_words(key, value) or shown
        click.echo(f"{one_line(key):<11} {one_line(shown)}")


def in_words(key: str, value: Any) -> str:
    """What the provenance has as a list, in words; empty for anything else. A file can say anything
    there."""
    from charlm import lineage

    try:
        if key == "legs":
            first, *more = [(int(leg["steps"]), float(leg["learning_rate"])) for leg in value]
            rest = (f", {steps:,} at {rate:.3g}" for steps, rate in more)
            return f"{first[0]:,} steps at {first[1]:.3g}" + "".join(rest)
        if key == lineage.KEY:
            found = lineage.earlier_models({key: value})
            return ", then ".join(each.describe() for each in found)
    except (KeyError, TypeError, ValueError, OverflowError):
        pass
    return ""
