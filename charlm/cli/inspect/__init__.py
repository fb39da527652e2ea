"""``charlm inspect``: look inside a trained model; one module per subcommand."""

from __future__ import annotations

import click

from charlm.cli.inspect import gradients, memory, neurons, unroll
from charlm.cli.options import HELP, Group


@click.group(cls=Group, context_settings=HELP)
def command() -> None:
    """Look inside a trained model.

    \b
    charlm inspect unroll book "ciao"            inputs, states and gates, step by step
    charlm inspect unroll --cell mdlstm          a recurrence in two dimensions, without a model
    charlm inspect neurons book book.txt         units that respond to something in the text
    charlm inspect gradients book book.txt       how far back the gradients reach
    charlm inspect memory book book.txt          how much of the past the hidden state holds
    """


for module in (unroll, neurons, gradients, memory):
    command.add_command(module.command)
