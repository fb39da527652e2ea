"""Templates of sentences: text with slots and choices, expanded against a scene.

    [a|b|]             one of the alternatives, which can be empty and can be nested
    (s,!rain) text     the template is used only where the scene has the flag s and not rain
    {rule}             a template of that rule, or a word from the scene (`Scene.word`)
    {un.cibo}          a noun of the category with un, il, di, a, da, in, su, con, per, tra or
                       "nudo" (no article); a place likewise: {a.qui} is "a Roma", "in Nepal"
    {g:vedere}         a verb in the tense of the story. Subjects: g the travelling group, n the
                       one who writes, p whatever noun or person was named last, s and t a
                       third person singular and plural that follows the verb. Signs: ":" tense
                       of the story, "~" imperfetto, "^" trapassato, ">" futuro, "_" infinito,
                       "=" an adjective that agrees. {g:vedere,anche} puts an adverb in its place.

A template is parsed once, at its first use.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from charlm.text.grammar.chance import Rng, pick

_FLAGS = re.compile(r"\(([a-z!,]+)\) ")
_SLOT = re.compile(r"(?P<who>[gnpst])(?P<sign>[:~^>_=])(?P<verb>.+)|(?P<det>[a-z]+)\.(?P<noun>.+)")


class Stage(Protocol):
    """What a template needs from its scene."""

    rng: Rng

    def word(self, name: str) -> str:
        """A named word or a further rule."""
        ...

    def noun(self, determiner: str, name: str) -> str:
        """A noun or place with its determiner."""
        ...

    def verb(self, who: str, sign: str, verb: str) -> str:
        """A verb or adjective that agrees with its subject."""
        ...


@dataclass(frozen=True)
class Literal:
    """Text that is printed unchanged."""

    text: str


@dataclass(frozen=True)
class Choice:
    """One of several sequences of nodes."""

    options: tuple[tuple[Node, ...], ...]


@dataclass(frozen=True)
class Slot:
    """A word that the scene fills in: `kind` is "word", "noun" or "verb"."""

    kind: str
    parts: tuple[str, ...]


Node = Literal | Choice | Slot


@dataclass(frozen=True)
class Template:
    """A parsed template, and the flags that it requires and forbids."""

    nodes: tuple[Node, ...]
    wanted: frozenset[str]
    unwanted: frozenset[str]

    def fits(self, flags: frozenset[str]) -> bool:
        """Whether a scene with these flags may use it."""
        return self.wanted <= flags and not (self.unwanted & flags)


@cache
def parse(source: str) -> Template:
    """Parse a template; ValueError, which names the source, for a mistake in it."""
    flags: list[str] = []
    head = _FLAGS.match(source)
    if head:
        flags = head.group(1).split(",")
    nodes, end = _sequence(source, head.end() if head else 0, top=True)
    if end != len(source):
        raise ValueError(f"unbalanced brackets in template {source!r}")
    return Template(
        nodes,
        frozenset(flag for flag in flags if not flag.startswith("!")),
        frozenset(flag[1:] for flag in flags if flag.startswith("!")),
    )


def _sequence(source: str, at: int, *, top: bool) -> tuple[tuple[Node, ...], int]:
    nodes: list[Node] = []
    while at < len(source):
        letter = source[at]
        if letter == "[":
            options = []
            while source[at] != "]":
                option, at = _sequence(source, at + 1, top=False)
                options.append(option)
                if at >= len(source):
                    raise ValueError(f"unclosed bracket in template {source!r}")
            nodes.append(Choice(tuple(options)))
            at += 1
        elif letter == "{":
            end = source.index("}", at)
            nodes.append(_slot(source[at + 1 : end]))
            at = end + 1
        elif letter in "|]" and not top:
            break
        else:
            end = at + 1
            while end < len(source) and source[end] not in ("[{" if top else "[{|]"):
                end += 1
            nodes.append(Literal(source[at:end]))
            at = end
    return tuple(nodes), at


def _slot(name: str) -> Slot:
    match = _SLOT.fullmatch(name)
    if match is None:
        return Slot("word", (name,))
    if match["who"]:
        return Slot("verb", (match["who"], match["sign"], match["verb"]))
    return Slot("noun", (match["det"], match["noun"]))


def expand(nodes: tuple[Node, ...], stage: Stage) -> str:
    """The text of the nodes, from left to right, so that {p:...} agrees with what came before."""
    parts = []
    for node in nodes:
        if isinstance(node, Literal):
            parts.append(node.text)
        elif isinstance(node, Choice):
            parts.append(expand(pick(stage.rng, node.options), stage))
        elif node.kind == "word":
            parts.append(stage.word(node.parts[0]))
        elif node.kind == "noun":
            parts.append(stage.noun(*node.parts))
        else:
            parts.append(stage.verb(*node.parts))
    return "".join(parts)
