"""The settings of a model, of a training run and of a sampler, as frozen dataclasses.

Every default is defined here and nowhere else. The command line takes the defaults, limits and help
of its options from the fields below, and the checkpoint stores the dataclasses as JSON.

Options and configurations are different types. ``ModelOptions`` and ``TrainOptions`` hold what the
user asked for and may leave fields open (None). ``ModelConfig`` and ``TrainConfig`` have the same
fields, all with a value: models, trainers and checkpoints take only these. ``ModelOptions.settle``
makes a ``ModelConfig``. ``charlm.training.plan.settle`` makes the configurations of a run, whose
dropout, length and intervals depend on the corpus and on the speed of the machine.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from charlm.errors import CheckpointError, RequestError

CELLS = ("lstm", "gru", "rnn", "window", "conv")
TASKS = ("text", "items", "classify", "tag", "rewrite")
RECURRENT_CELLS = ("lstm", "gru", "rnn")
GATES = {"rnn": 1, "gru": 3, "lstm": 4}
NONLINEARITIES = ("tanh", "relu")
OPTIMIZERS = ("muon", "adamw", "rmsprop", "sgd")
ORTHOGONALIZERS = ("jordan", "minimax")
SCHEDULES = ("cosine", "linear", "constant")
MAX_RECEPTIVE_FIELD = 2**17
MAX_PARAMETERS = 2**31
PRECISIONS = ("auto", "float32", "bfloat16")


def _option(default: Any, help: str, **facts: Any) -> Any:
    """A field with what the command line needs beside its default: help, type and limits.

    facts: ``type``, ``choices``, ``min``, ``above``, ``max``, ``below``; ``group``, the heading in
    ``--help`` (default: the class's ``GROUP``); ``cells``, the kinds of model that use the field;
    ``option=False`` for a field that no one sets on the command line; ``before``, the value in
    files that were written before the field existed; ``no``, for a bool that is on by default: the
    option that turns it off
    """
    return field(default=default, metadata={"help": help, **facts})


def _settled(options: type[_Config], name: str, default: Any = None, **facts: Any) -> Any:
    """The field ``name`` of ``options``, which must be given unless it gets another default."""
    spec = next(spec for spec in dataclasses.fields(options) if spec.name == name)  # type: ignore[arg-type]
    metadata = {**spec.metadata, **facts}
    if default is None:
        return field(kw_only=True, metadata=metadata)
    return field(kw_only=True, default=default, metadata=metadata)


class _Config:
    """The base class: it checks the fields and converts to and from JSON."""

    GROUP = "Options"

    def __post_init__(self) -> None:
        for spec in dataclasses.fields(self):  # type: ignore[arg-type]
            _check(spec, getattr(self, spec.name))

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)  # type: ignore[call-overload, no-any-return]

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), sort_keys=True)

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """The inverse of ``to_dict``; CheckpointError for a surplus, missing or wrong field."""
        specs = dataclasses.fields(cls)  # type: ignore[arg-type]
        names = {spec.name for spec in specs}
        if not isinstance(values, Mapping):
            raise CheckpointError(f"{cls.__name__} is missing; the file is damaged")
        before = {s.name: s.metadata["before"] for s in specs if "before" in s.metadata}
        values = before | dict(values)
        if set(values) != names:
            wrong = [name[:60] for name in sorted(set(values) ^ names)[:4]]
            raise CheckpointError(
                f"{cls.__name__} has missing or surplus fields: {', '.join(wrong)}; "
                "the file was written by another version of charlm"
            )
        try:
            return cls(**values)
        except RequestError as error:
            raise CheckpointError(f"{cls.__name__} holds an impossible value: {error}") from error


def _check(spec: dataclasses.Field[Any], value: Any) -> None:
    """Refuse a value of the wrong type or outside the field's limits."""
    name = "--" + spec.name.replace("_", "-")
    if value is not None:
        check_value(name, value, spec.metadata)
    elif spec.default is not None:
        raise RequestError(f"{name} needs a value")


def check_value(name: str, value: Any, limits: Mapping[str, Any]) -> None:
    """RequestError if ``value``, of the option ``name``, has the wrong type or is out of limits."""
    kind = limits["type"]
    if kind is float and type(value) is int:
        value = float(value) if abs(value) < 2**1023 else math.inf
    if type(value) is not kind:
        shown = value[:60] if isinstance(value, str) else value
        raise RequestError(f"{name} is {shown!r:.60}, not of type {kind.__name__}")
    if kind is float and not math.isfinite(value):
        raise RequestError(f"{name} is {value}; give a finite number")
    if "choices" in limits and value not in limits["choices"]:
        choices = ", ".join(limits["choices"])
        raise RequestError(f"{name} is {value[:60]!r}; choose one of {choices}")
    if "min" in limits and value < limits["min"]:
        raise RequestError(f"{name} is {value}; give at least {limits['min']}")
    if "above" in limits and value <= limits["above"]:
        raise RequestError(f"{name} is {value}; give a value above {limits['above']}")
    if "max" in limits and value > limits["max"]:
        raise RequestError(f"{name} is {value}; give at most {limits['max']}")
    if "below" in limits and value >= limits["below"]:
        raise RequestError(f"{name} is {value}; give a value below {limits['below']}")


@dataclass(frozen=True)
class ModelOptions(_Config):
    """The shape of a model as asked for: a field that is None follows from the others."""

    GROUP = "Model"

    vocab_size: int = _option(
        256, "symbols of the tokenizer", type=int, min=1, max=1_200_000, option=False
    )
    cell: str = _option("lstm", "kind of model", type=str, choices=CELLS)
    hidden_size: int | None = _option(
        None,
        "hidden units per layer [default: 256; with --minutes by the text and the speed]",
        type=int,
        min=1,
        max=65_536,
    )
    num_layers: int | None = _option(
        None, "number of layers [default: 1; conv: 5]", type=int, min=1, max=256
    )
    embedding_size: int | None = _option(
        None,
        "size of a character's embedding [default: the hidden size; window: 64]",
        type=int,
        min=1,
        max=65_536,
    )
    nonlinearity: str = _option(
        "tanh",
        "activation function of rnn, window and conv",
        type=str,
        choices=NONLINEARITIES,
        cells=("rnn", "window", "conv"),
    )
    context: int = _option(
        16,
        "number of characters that a window model sees",
        type=int,
        min=1,
        max=4096,
        cells=("window",),
    )
    kernel_size: int = _option(
        3,
        "kernel width of a conv model; layer l (from 0) has dilation 2^l",
        type=int,
        min=1,
        max=256,
        cells=("conv",),
    )
    dropout: float | None = _option(
        None,
        "dropout rate [default: 0 up to 4 epochs, more for longer runs]",
        type=float,
        min=0.0,
        below=1.0,
    )
    embedding_dropout: float | None = _option(
        None,
        "dropout rate of the embedding matrix [default: that of --dropout]",
        type=float,
        min=0.0,
        below=1.0,
        before=0.0,
    )
    tie: bool = _option(False, "tie the input and output embeddings", type=bool)
    task: str = _option(
        "text",
        "what the model does: write running text or items, classify, tag or rewrite items",
        type=str,
        choices=TASKS,
        option=False,
        before="text",
    )
    num_labels: int = _option(
        0,
        "labels: those that items are written as, or that the head chooses from",
        type=int,
        min=0,
        max=65_536,
        option=False,
        before=0,
    )

    def settle(self) -> ModelConfig:
        """Decide every open field. Raises RequestError as ``ModelConfig`` does.

        >>> ModelOptions(cell="conv", hidden_size=128).settle().num_layers
        5
        """
        layers = 5 if self.cell == "conv" else 1
        hidden = self.hidden_size or 256
        embedding = 64 if self.cell == "window" and not self.tie else hidden
        decided = {
            "hidden_size": hidden,
            "num_layers": self.num_layers or layers,
            "embedding_size": self.embedding_size or embedding,
            "dropout": self.dropout or 0.0,
            "embedding_dropout": self.embedding_dropout or 0.0,
        }
        return ModelConfig(**(self.to_dict() | decided))


@dataclass(frozen=True)
class ModelConfig(ModelOptions):
    """The shape of a model. RequestError for a combination of values that makes no sense."""

    hidden_size: int = _settled(ModelOptions, "hidden_size")
    num_layers: int = _settled(ModelOptions, "num_layers")
    embedding_size: int = _settled(ModelOptions, "embedding_size")
    dropout: float = _settled(ModelOptions, "dropout")
    embedding_dropout: float = _settled(ModelOptions, "embedding_dropout")

    @classmethod
    def resolve(cls, **options: Any) -> ModelConfig:
        """A model from its options: ``ModelOptions(**options).settle()``."""
        return ModelOptions(**options).settle()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.task in ("classify", "tag") and not self.num_labels:
            raise RequestError(f"a model for {self.task} needs labels")
        if self.task == "rewrite" and not self.recurrent:
            raise RequestError(
                f"--task rewrite writes with a recurrent cell, but --cell is {self.cell}; choose "
                f"one of {', '.join(RECURRENT_CELLS)}"
            )
        if self.tie and self.task not in ("text", "items"):
            raise RequestError(
                f"--tie shares the embeddings of characters with the head, but with --task "
                f"{self.task} the head has another shape; leave it out"
            )
        if self.tie and self.embedding_size != self.hidden_size:
            raise RequestError(
                f"--tie needs equal sizes, but --embedding-size is {self.embedding_size} and "
                f"--hidden-size {self.hidden_size}; leave --embedding-size out"
            )
        sees = max(self.receptive_field or 0, 1 << (self.num_layers - 1))
        if self.cell == "conv" and sees > MAX_RECEPTIVE_FIELD:
            raise RequestError(
                f"--num-layers {self.num_layers} and --kernel-size {self.kernel_size} would see "
                f"{sees:,} characters back, more than {MAX_RECEPTIVE_FIELD:,}; lower either"
            )
        if self.num_parameters > MAX_PARAMETERS:
            raise RequestError(
                f"a model of this shape has {self.num_parameters:,} parameters, more than "
                f"{MAX_PARAMETERS:,}; lower --hidden-size or --num-layers"
            )

    @property
    def recurrent(self) -> bool:
        return self.cell in RECURRENT_CELLS

    @property
    def writes(self) -> bool:
        """Whether the model predicts the next character of what it reads, so that it can write."""
        return self.task in ("text", "items")

    @property
    def both_ways(self) -> bool:
        """Whether a second body reads each item from its end."""
        return not self.writes

    @property
    def conditions(self) -> int:
        """The number of labels that an item can be written as; 0 if it has none."""
        return self.num_labels if self.writes else 0

    @property
    def receptive_field(self) -> int | None:
        """Characters that can influence a prediction; None for a recurrent model: all of them."""
        if self.cell == "window":
            return self.context
        if self.cell == "conv":
            return 1 + (self.kernel_size - 1) * ((1 << self.num_layers) - 1)
        return None

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape of every stored tensor, without allocating one.

        The names are those of the torch modules. A checkpoint must have exactly these tensors.
        """
        V, E, H = self.vocab_size, self.embedding_size, self.hidden_size
        shapes: dict[str, tuple[int, ...]] = {"body.embedding.weight": (V, E)}
        if self.conditions:
            shapes["body.labels.weight"] = (self.conditions, E)
        shapes |= self._layer_shapes("body.")
        if self.both_ways:
            shapes |= self._layer_shapes("backward_body.")
        if self.task == "rewrite":
            return shapes | self._decoder_shapes()
        outputs = V if self.writes else self.num_labels
        if not self.tie:
            shapes["head.weight"] = (outputs, (2 if self.both_ways else 1) * H)
        shapes["head.bias"] = (outputs,)
        return shapes

    def _decoder_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape of what a model that rewrites has behind its two bodies
        (``charlm.models.rewriter``)."""
        V, E, H = self.vocab_size, self.embedding_size, self.hidden_size
        rows = GATES[self.cell] * H
        return {
            "start.weight": (H, H),
            "start.bias": (H,),
            "attention.state.weight": (H, H),
            "attention.annotations.weight": (H, 2 * H),
            "attention.score.weight": (1, H),
            "decoder.weight_ih": (rows, E + 2 * H),
            "decoder.weight_hh": (rows, H),
            "decoder.bias_ih": (rows,),
            "decoder.bias_hh": (rows,),
            "head.weight": (V, E + 3 * H),
            "head.bias": (V,),
        }

    def _layer_shapes(self, body: str) -> dict[str, tuple[int, ...]]:
        """Name -> shape of the tensors of one body's layers."""
        E, H = self.embedding_size, self.hidden_size
        shapes: dict[str, tuple[int, ...]] = {}
        for layer in range(self.num_layers):
            fan_in = E if layer == 0 else H
            name = f"{body}layers.{layer}."
            if self.recurrent:
                rows = GATES[self.cell] * H
                shapes[name + "weight_ih_l0"] = (rows, fan_in)
                shapes[name + "weight_hh_l0"] = (rows, H)
                shapes[name + "bias_ih_l0"] = (rows,)
                shapes[name + "bias_hh_l0"] = (rows,)
            else:
                if self.cell == "conv":
                    shapes[name + "weight"] = (H, fan_in, self.kernel_size)
                else:
                    shapes[name + "weight"] = (H, self.context * E if layer == 0 else H)
                shapes[name + "bias"] = (H,)
        return shapes

    def state_shapes(self, batch_size: int) -> tuple[tuple[int, ...], ...]:
        """The shapes of a model's state; axis 1 is the batch.

        The engine, the bodies in torch and the checkpoints all take the shapes from here. The
        layers of rnn, gru (h) and lstm (h, c) share arrays; a window has the last embedded inputs,
        and each conv layer its own last inputs. A model with labels has one more array, the weight
        of each label, (1, B, K): a model reads them with every character and does not change them.

        >>> ModelConfig.resolve(cell="lstm", num_layers=2, hidden_size=512).state_shapes(64)
        ((2, 64, 512), (2, 64, 512))
        """
        labels = ((1, batch_size, self.conditions),) if self.conditions else ()
        if self.recurrent:
            state = (self.num_layers, batch_size, self.hidden_size)
            return (state, state, *labels) if self.cell == "lstm" else (state, *labels)
        if self.cell == "window":
            return ((1, batch_size, self.context - 1, self.embedding_size), *labels)
        widths = [self.embedding_size] + [self.hidden_size] * (self.num_layers - 1)
        layers = (
            (1, batch_size, (self.kernel_size - 1) << layer, width)
            for layer, width in enumerate(widths)
        )
        return (*layers, *labels)

    def carried_shapes(self, batch_size: int) -> tuple[tuple[int, ...], ...]:
        """The shapes of what training carries from one window to the next: the state, or nothing if
        each item is read as a whole."""
        return self.state_shapes(batch_size) if self.writes else ()

    @property
    def num_parameters(self) -> int:
        return sum(math.prod(shape) for shape in self.parameter_shapes().values())

    def describe(self) -> str:
        """One phrase for people: ``LSTM 1x256, 560,961 parameters``."""
        cell = self.cell.upper() if self.recurrent else self.cell
        phrase = f"{cell} {self.num_layers}x{self.hidden_size}"
        if self.receptive_field is not None:
            phrase += f", sees {self.receptive_field} characters"
        return f"{phrase}, {self.num_parameters:,} parameters"


@dataclass(frozen=True)
class TrainOptions(_Config):
    """How to train a model, as asked for; ``charlm.training.plan`` decides what is open."""

    GROUP = "Training"

    batch_size: int | None = _option(
        None,
        "number of parallel streams of text [default: 64; fewer for a small corpus or little time]",
        type=int,
        min=1,
        max=65_536,
    )
    seq_len: int | None = _option(
        None,
        "characters per training step, over which gradients flow (truncated BPTT) "
        "[default: 64, fewer for a small corpus]",
        type=int,
        min=1,
        max=1_000_000,
    )
    optimizer: str = _option(
        "muon",
        "optimizer; muon trains the hidden matrices by Muon, the rest by AdamW",
        type=str,
        choices=OPTIMIZERS,
    )
    orthogonalize_every: int | None = _option(
        None,
        "Muon moves each matrix at every this many training steps, as many times as far",
        type=int,
        min=1,
        option=False,
        before=1,
    )
    orthogonalizer: str | None = _option(
        None,
        "polynomials by which Muon orthogonalizes",
        type=str,
        choices=ORTHOGONALIZERS,
        option=False,
        before="jordan",
    )
    learning_rate: float | None = _option(
        None,
        "peak learning rate [default: from the optimizer and the hidden size]",
        type=float,
        above=0.0,
    )
    row_blocks: int | None = _option(
        None,
        "compute the batch in this many blocks of texts, each on its own thread [default: by the "
        "model and the processor]",
        type=int,
        min=1,
        max=1024,
        before=1,
    )
    schedule: str = _option(
        "cosine", "shape of the learning rate after the warm-up", type=str, choices=SCHEDULES
    )
    warmup: int = _option(50, "training steps of linear warm-up", type=int, min=0)
    final_learning_rate: float = _option(
        0.02, "learning rate at the end, as a share of the peak", type=float, min=0.0, max=1.0
    )
    clip: float = _option(
        1.0, "clip the gradient to this norm; 0: do not clip", type=float, min=0.0
    )
    weight_decay: float = _option(
        0.1, "decoupled weight decay, as a share of the learning rate", type=float, min=0.0
    )
    seed: int = _option(
        1, "random seed for weights, batches and dropout", type=int, min=0, max=2**63 - 1
    )
    precision: str = _option(
        "auto",
        "number format; auto: bfloat16 if the processor supports it, else float32",
        type=str,
        choices=PRECISIONS,
    )
    epochs: float | None = _option(
        None,
        "train for this many passes over the text",
        type=float,
        above=0.0,
        max=1e6,
        group="Length",
    )
    steps: int | None = _option(
        None, "train for this many steps", type=int, min=1, max=10**12, group="Length"
    )
    minutes: float | None = _option(
        None,
        "train for this many minutes, evaluation included; the number of steps follows the speed "
        "of the machine",
        type=float,
        above=0.0,
        max=1e6,
        group="Length",
    )
    eval_every: int | None = _option(
        None,
        "training steps between evaluations [default: a twentieth of the run]",
        type=int,
        min=1,
        group="Run",
    )
    save_every: int | None = _option(
        None,
        "training steps between checkpoints [default: as --eval-every]",
        type=int,
        min=1,
        group="Run",
    )
    sample_every: int = _option(
        0, "training steps between printed samples; 0: no samples", type=int, min=0, group="Run"
    )
    patience: int | None = _option(
        None,
        "stop after this many evaluations without an improvement; 0: never [default: a quarter of "
        "all, if the text is read more than 10 times]",
        type=int,
        min=0,
        group="Length",
    )

    counts: bool = _option(
        True,
        "leave out the n-gram counts of the training text, which are used with the network",
        type=bool,
        group="Run",
        no="--no-counts",
        before=False,  # an old run ends as its own version would have ended it
    )

    # Length of a run if none is given: eight epochs, within limits for tiny and huge texts.
    DEFAULT_EPOCHS = 8.0
    DEFAULT_STEPS_BETWEEN = (1500, 20_000)

    def check_length(self) -> None:
        """Raise RequestError if more than one option sets the length of the run."""
        asked = [name for name in ("epochs", "steps", "minutes") if getattr(self, name) is not None]
        if len(asked) > 1:
            raise RequestError(
                f"--{asked[0]} and --{asked[1]} both set the length of the run; give one"
            )


@dataclass(frozen=True)
class TrainConfig(TrainOptions):
    """How a model is trained: decided before step 0, and the same until the last step.

    ``epochs`` and ``minutes`` record what was asked for; ``steps`` is the result.
    """

    batch_size: int = _settled(TrainOptions, "batch_size")
    seq_len: int = _settled(TrainOptions, "seq_len")
    learning_rate: float = _settled(TrainOptions, "learning_rate")
    precision: str = _settled(TrainOptions, "precision", choices=PRECISIONS[1:])
    row_blocks: int = _settled(TrainOptions, "row_blocks", default=1)
    orthogonalize_every: int = _settled(TrainOptions, "orthogonalize_every", default=1)
    orthogonalizer: str = _settled(TrainOptions, "orthogonalizer", default="jordan")
    steps: int = _settled(TrainOptions, "steps")
    patience: int = _settled(TrainOptions, "patience", default=0)
    eval_every: int = _settled(TrainOptions, "eval_every")
    save_every: int = _settled(TrainOptions, "save_every")

    @property
    def window(self) -> tuple[int, int]:
        """(batch_size, seq_len)."""
        return self.batch_size, self.seq_len


OFFERS = 3
"""How many ways to go on ``charlm sample --interactive`` shows."""

LONGEST_OFFER = 300
"""Characters after which each of them ends, if no sentence does and ``length`` is not lower."""


@dataclass(frozen=True)
class SampleConfig(_Config):
    """How the next character is drawn from the model's distribution."""

    GROUP = "Sampling"

    temperature: float = _option(
        0.8,
        "below 1: safer text; above 1: more surprising; 0: always the most likely character",
        type=float,
        min=0.0,
    )
    length: int = _option(500, "number of characters to write", type=int, min=0)
    top_k: int = _option(
        0, "choose among the k most likely characters only; 0: among all", type=int, min=0
    )
    top_p: float = _option(
        1.0,
        "choose among the most likely characters that together have this probability",
        type=float,
        above=0.0,
        max=1.0,
    )
    min_p: float = _option(
        0.0,
        "exclude characters less likely than this share of the most likely one's probability",
        type=float,
        min=0.0,
        max=1.0,
    )
    repetition_penalty: float = _option(
        1.0,
        "above 1: make the characters among the last 64 less likely; spaces and common letters are "
        "hit most, so --no-repeat is the better way to stop a text from going round in circles",
        type=float,
        above=0.0,
        max=100.0,
    )
    no_repeat: int = _option(
        0,
        "never write the same N characters in a row twice, the prompt included; unlike "
        "--repetition-penalty it leaves single letters and spaces alone; if no character is left, "
        "the text ends; 0: off",
        type=int,
        min=0,
        max=1000,
    )
    seed: int | None = _option(
        None,
        "random seed; the same seed gives the same text [default: a new one]",
        type=int,
        min=0,
        max=2**63 - 1,
    )


def default_learning_rate(optimizer: str, hidden_size: int) -> float:
    """Peak learning rate that works without tuning; measured at 256 and 512 units.

    Muon's updates are scaled to the root mean square of AdamW's (``match_rms_adamw``), so one rate
    suits both optimizers. Wider layers need a smaller one, proportional to 1 / sqrt(H).
    """
    width = math.sqrt(256 / hidden_size)
    return {"muon": 0.008, "adamw": 0.005, "rmsprop": 0.002, "sgd": 1.0}[optimizer] * width


OF_A_LEG = ("steps", "epochs", "minutes", "learning_rate", "eval_every", "save_every", "patience")
"""What a finished run that goes on decides anew (``charlm.training.legs``); the rest remains."""

NEW_CHARACTERS_SHARE = 0.5
"""Share of the default learning rate for a model that got new characters: less of the old text is
forgotten, and the new one is learned more slowly (docs/log.md)."""


def default_patience(epochs: float, evaluations: float) -> int:
    """A quarter of the evaluations, at least 5, if the text is read more than 10 times: from some
    pass on, a model of a short text only learns it by heart. 0 (never stop) for fewer passes, or
    too few evaluations to tell.

    >>> default_patience(epochs=187, evaluations=20), default_patience(epochs=8, evaluations=20)
    (5, 0)
    """
    patience = max(5, int(evaluations / 4))
    return patience if epochs > 10 and evaluations > 2 * patience else 0


def default_dropout(epochs: float, hidden_size: int = 256, *, items: bool = False) -> float:
    """0 up to four planned passes over the text, then 0.1 more for every doubling, at most 0.4.

    A wider layer learns a text by heart in fewer passes: each counts as hidden_size / 256 of them,
    a narrower one's as one.

    A list of items that is read more than ten times is learnt by heart sooner than a text as long:
    it gets 0.1 more, at most 0.5.

    >>> default_dropout(epochs=4), default_dropout(epochs=8), default_dropout(epochs=1000)
    (0.0, 0.1, 0.4)
    >>> default_dropout(epochs=8, hidden_size=512), default_dropout(epochs=64, items=True)
    (0.2, 0.5)
    """
    more = 0.1 if items and epochs > 10 else 0.0
    epochs *= max(1.0, hidden_size / 256)
    if epochs <= 4:
        return 0.0
    return round(min(0.4, 0.1 * math.log2(epochs / 4)) + more, 3)
