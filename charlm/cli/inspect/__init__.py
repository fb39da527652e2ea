"""``charlm inspect``: what goes on inside a trained model; one module per subcommand."""

from __future__ import annotations

import click

from charlm.cli.inspect import gradients, memory, neurons, unroll


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Look inside a trained model.

    \b
    charlm inspect unroll book "ciao"            the unrolled graph, with the model's own values
    charlm inspect neurons book book.txt         what single units stand for
    charlm inspect gradients book book.txt       how far back a gradient reaches
    charlm inspect memory book book.txt          how much of the past the state holds
    """


for module in (unroll, neurons, gradients, memory):
    command.add_command(module.command)
