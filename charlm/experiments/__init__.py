"""Experiments on recurrent and other networks, as commands that anyone can repeat.

An experiment trains several kinds of networks, its readers, with several seeds each, and asks all
of them the same test items. Each is a folder; what does not depend on its question is here:

    folder      the directory of an experiment: sealed files that belong together
    grid        a grid of readers and seeds: its cells in parallel, resumable; results.json
    bench       one cell of a grid: its data, its training, its tests, its files
    training    the training loop of one reader, with charlm's recipe
    store       the weights of one reader as a file
    measures    means over seeds with intervals, and paired differences
    tables      results as text: percent, aligned columns, strips of blocks, CSV
    figures     parts of figures (matplotlib)
    webparts    parts of the HTML page

An experiment makes subclasses of ``grid.Grid``, ``grid.Settings``, ``bench.Bench`` and
``measures.GridResults``. Its command is in ``charlm.cli.experiment``.
"""
