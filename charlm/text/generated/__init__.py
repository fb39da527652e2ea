"""Corpora that charlm makes without a network: one module for each kind.

    lines       labelled lines: no two equal texts, no tab or line end inside
    library     the prose and the source of Python's standard library
    numbers     numbers in Italian and English words -> digits
    dates       dates in Italian and English -> ISO dates
    present     the present tense of Italian verbs
    imperfetto  Italian sentences in the present -> the same in the imperfect
    tags        a tag for each character: accents, capitals, spaces, names of persons
    surnames    names by country, from the tables of the package Faker

A labelled corpus is made of lines `text<TAB>label`. What is drawn at random is a function of the
numbers that `rng.random()` returns, as in the grammar, so a seed gives the same lines everywhere.
"""
