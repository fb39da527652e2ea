"""Settings: what is refused, what is settled, and that a stored shape is the model's own."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.config import (
    CELLS,
    RECURRENT_CELLS,
    ModelConfig,
    ModelOptions,
    SampleConfig,
    TrainConfig,
    TrainOptions,
    default_dropout,
    default_learning_rate,
)
from charlm.errors import CheckpointError, RequestError

laws = settings(max_examples=100, deadline=None)
CONFIGS = (ModelOptions, TrainOptions, SampleConfig)

SETTLED: dict[str, Any] = {
    "batch_size": 8,
    "seq_len": 16,
    "learning_rate": 1e-3,
    "precision": "float32",
    "steps": 3,
    "eval_every": 2,
    "save_every": 1,
}
"""The fields of TrainConfig that have no default."""

# ------------------------------------------------------------------------------------- limits

# class, field, values at the edge that pass, values beyond it that do not
EDGES: list[tuple[type, str, list[Any], list[Any]]] = [
    (ModelOptions, "vocab_size", [1, 1_200_000], [0, 1_200_001]),
    (ModelOptions, "cell", list(CELLS), ["LSTM", "", "transformer"]),
    (ModelOptions, "hidden_size", [1, 65_536], [0, -1, 65_537]),
    (ModelOptions, "num_layers", [None, 1, 256], [0, 257]),
    (ModelOptions, "embedding_size", [None, 1], [0]),
    (ModelOptions, "nonlinearity", ["tanh", "relu"], ["sigmoid"]),
    (ModelOptions, "context", [1, 4096], [0, 4097]),
    (ModelOptions, "kernel_size", [1, 256], [0, 257]),
    (ModelOptions, "dropout", [None, 0.0, 0, 0.999], [-0.001, 1.0]),
    (TrainOptions, "batch_size", [None, 1], [0]),
    (TrainOptions, "seq_len", [None, 1], [0]),
    (TrainOptions, "optimizer", ["muon", "adamw", "rmsprop", "sgd"], ["adam"]),
    (TrainOptions, "learning_rate", [None, 1e-9], [0.0, -1.0]),
    (TrainOptions, "schedule", ["cosine", "linear", "constant"], ["step"]),
    (TrainOptions, "warmup", [0], [-1]),
    (TrainOptions, "final_learning_rate", [0.0, 1.0], [-0.1, 1.1]),
    (TrainOptions, "clip", [0.0], [-1.0]),
    (TrainOptions, "weight_decay", [0.0], [-0.1]),
    (TrainOptions, "seed", [0, 2**63 - 1], [-1, 2**63]),
    (TrainOptions, "precision", ["auto", "float32", "bfloat16"], ["float16"]),
    (TrainOptions, "epochs", [None, 0.01], [0.0]),
    (TrainOptions, "steps", [None, 1], [0]),
    (TrainOptions, "minutes", [None, 0.01], [0.0]),
    (TrainOptions, "eval_every", [None, 1], [0]),
    (TrainOptions, "save_every", [None, 1], [0]),
    (TrainOptions, "sample_every", [0], [-1]),
    (TrainOptions, "patience", [0], [-1]),
    (SampleConfig, "temperature", [0.0, 100.0], [-0.1]),
    (SampleConfig, "length", [0], [-1]),
    (SampleConfig, "top_k", [0], [-1]),
    (SampleConfig, "top_p", [1e-9, 1.0], [0.0, 1.1]),
    (SampleConfig, "min_p", [0.0, 1.0], [-0.1, 1.1]),
    (SampleConfig, "repetition_penalty", [1e-9, 2.0], [0.0]),
    (SampleConfig, "seed", [None, 0], [-1]),
]


@pytest.mark.parametrize(("cls", "name", "good", "bad"), EDGES)
def test_a_limit_lies_where_it_is_said(
    cls: type[Any], name: str, good: list[Any], bad: list[Any]
) -> None:
    for value in good:
        assert getattr(cls(**{name: value}), name) == value
    for value in bad:
        with pytest.raises(RequestError, match=f"--{name.replace('_', '-')} is "):
            cls(**{name: value})


@pytest.mark.parametrize("cls", CONFIGS)
def test_no_field_takes_another_type_or_a_number_that_is_not_finite(cls: type[Any]) -> None:
    for spec in dataclasses.fields(cls):
        kind = spec.metadata["type"]
        wrong: list[Any] = [[], {}, b"x", math.nan, math.inf, -math.inf]
        wrong += [] if kind is bool else [True]
        wrong += [] if kind is str else ["1"]
        wrong += [] if kind is float else [1.5]
        wrong += [] if spec.default is None else [None]
        for value in wrong:
            with pytest.raises(RequestError, match="--"):
                cls(**{spec.name: value})


@pytest.mark.parametrize("cls", CONFIGS)
def test_every_field_tells_the_command_line_its_type_and_purpose(cls: type[Any]) -> None:
    for spec in dataclasses.fields(cls):
        assert spec.metadata["help"] and spec.metadata["type"] in (int, float, str, bool)


@pytest.mark.parametrize("cls", CONFIGS)
def test_a_setting_never_changes(cls: type[Any]) -> None:
    for spec in dataclasses.fields(cls):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(cls(), spec.name, spec.default)


@pytest.mark.parametrize("first", ["epochs", "steps", "minutes"])
@pytest.mark.parametrize("second", ["epochs", "steps", "minutes"])
def test_the_length_of_a_run_is_asked_for_once(first: str, second: str) -> None:
    config = TrainOptions.from_dict(TrainOptions().to_dict() | {first: 5, second: 5})
    if first == second:
        config.check_length()
    else:
        with pytest.raises(RequestError, match=f"--{min(first, second)}|--{max(first, second)}"):
            config.check_length()


# --------------------------------------------------------------------------------------- JSON

MODELS = st.fixed_dictionaries(
    {
        "vocab_size": st.integers(1, 40),
        "cell": st.sampled_from(CELLS),
        "hidden_size": st.integers(1, 6),
        "num_layers": st.none() | st.integers(1, 4),
        "embedding_size": st.none() | st.integers(1, 6),
        "nonlinearity": st.sampled_from(["tanh", "relu"]),
        "context": st.integers(1, 5),
        "kernel_size": st.integers(1, 4),
        "dropout": st.none() | st.floats(0, 0.9),
    }
)


@laws
@given(MODELS)
def test_a_model_survives_json(options: dict[str, Any]) -> None:
    config = ModelConfig.resolve(**options)
    assert ModelConfig.from_dict(json.loads(config.to_json())) == config


@pytest.mark.parametrize(
    "config",
    [
        TrainOptions(),
        TrainConfig(**SETTLED, optimizer="sgd", seed=2**63 - 1, minutes=2.0),
        SampleConfig(),
        SampleConfig(seed=7, top_p=0.3),
    ],
)
def test_other_settings_survive_json(config: Any) -> None:
    assert type(config).from_dict(json.loads(config.to_json())) == config


@pytest.mark.parametrize("cls", CONFIGS)
def test_a_surplus_or_missing_field_is_refused_by_name(cls: type[Any]) -> None:
    values = cls().to_dict()
    with pytest.raises(CheckpointError, match="surplus fields: nonsense; the file was written by"):
        cls.from_dict(values | {"nonsense": 1})
    specs = {spec.name: spec for spec in dataclasses.fields(cls)}
    for name in values:
        without = {key: value for key, value in values.items() if key != name}
        if "before" in specs[name].metadata:  # files from before the field existed are read
            assert getattr(cls.from_dict(without), name) == specs[name].metadata["before"]
            continue
        with pytest.raises(CheckpointError, match=f"missing or surplus fields: {name};"):
            cls.from_dict(without)


def test_an_impossible_stored_value_is_a_damaged_file_and_not_a_wrong_request() -> None:
    with pytest.raises(CheckpointError, match="impossible value: --hidden-size is 0; give at"):
        ModelConfig.from_dict(ModelConfig.resolve().to_dict() | {"hidden_size": 0})


# ------------------------------------------------------------------------------------ settling


@pytest.mark.parametrize("name", SETTLED)
def test_a_settled_training_leaves_nothing_open(name: str) -> None:
    assert None not in TrainConfig(**SETTLED, epochs=1.0, minutes=1.0).to_dict().values()
    flag = "--" + name.replace("_", "-")
    with pytest.raises(RequestError, match=f"{flag} needs a value"):
        TrainConfig(**SETTLED | {name: None})
    with pytest.raises(TypeError, match=name):
        TrainConfig(**{key: value for key, value in SETTLED.items() if key != name})


def test_a_settled_precision_is_a_number_format() -> None:
    with pytest.raises(RequestError, match="--precision is 'auto'; choose one of float32, bfloat"):
        TrainConfig(**SETTLED | {"precision": "auto"})


@pytest.mark.parametrize(
    ("asked", "settled"), [(ModelOptions, ModelConfig), (TrainOptions, TrainConfig)]
)
def test_what_is_settled_has_the_fields_of_what_is_asked(asked: type, settled: type) -> None:
    """In the same order and with the same limits: old files stay readable."""
    pairs = zip(dataclasses.fields(asked), dataclasses.fields(settled), strict=True)
    for one, other in pairs:
        assert one.name == other.name
        differs = {key for key in one.metadata if one.metadata[key] != other.metadata[key]}
        assert differs == ({"choices"} if one.name == "precision" else set())


@pytest.mark.parametrize(
    ("cell", "layers", "embedding"),
    [("lstm", 1, 99), ("gru", 1, 99), ("rnn", 1, 99), ("window", 1, 64), ("conv", 5, 99)],
)
def test_what_is_left_open_is_settled_by_the_kind_of_model(
    cell: str, layers: int, embedding: int
) -> None:
    config = ModelConfig.resolve(cell=cell, hidden_size=99)
    assert (config.num_layers, config.embedding_size, config.dropout) == (layers, embedding, 0.0)


@laws
@given(MODELS)
def test_what_is_asked_for_stays_and_settling_twice_changes_nothing(
    options: dict[str, Any],
) -> None:
    config = ModelConfig.resolve(**options)
    asked = {name: value for name, value in options.items() if value is not None}
    assert config.to_dict() == config.to_dict() | asked
    assert None not in config.to_dict().values()
    assert ModelConfig.resolve(**config.to_dict()) == config


@pytest.mark.parametrize("cell", CELLS)
def test_tied_embeddings_have_one_size(cell: str) -> None:
    assert ModelConfig.resolve(cell=cell, hidden_size=8, tie=True).embedding_size == 8
    with pytest.raises(RequestError, match="--tie needs equal sizes, but --embedding-size is 9"):
        ModelConfig.resolve(cell=cell, hidden_size=8, embedding_size=9, tie=True)


def test_a_conv_model_sees_no_further_back_than_its_state_can_hold() -> None:
    assert ModelConfig.resolve(cell="conv", num_layers=16).receptive_field == 2**17 - 1
    with pytest.raises(RequestError, match="--num-layers 17 and --kernel-size 3"):
        ModelConfig.resolve(cell="conv", num_layers=17)


# ------------------------------------------------------------------------------ what it implies


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ({"cell": "window", "context": 1}, 1),
        ({"cell": "window", "context": 16}, 16),
        ({"cell": "conv", "kernel_size": 1, "num_layers": 9}, 1),
        ({"cell": "conv", "kernel_size": 2, "num_layers": 1}, 2),
        ({"cell": "conv", "kernel_size": 2, "num_layers": 3}, 8),
        ({"cell": "conv", "kernel_size": 3, "num_layers": 2}, 7),
        ({"cell": "conv"}, 63),
        ({"cell": "conv", "kernel_size": 5, "num_layers": 4}, 61),
        ({"cell": "lstm"}, None),
        ({"cell": "gru"}, None),
        ({"cell": "rnn"}, None),
    ],
)
def test_how_far_a_model_sees(options: dict[str, Any], seen: int | None) -> None:
    assert ModelConfig.resolve(**options).receptive_field == seen


@laws
@given(st.integers(1, 5), st.integers(1, 5))
def test_a_conv_model_sees_as_far_as_its_taps_reach(kernel_size: int, layers: int) -> None:
    reached = {0}
    for layer in range(layers):
        reached = {at + tap * 2**layer for at in reached for tap in range(kernel_size)}
    config = ModelConfig.resolve(cell="conv", kernel_size=kernel_size, num_layers=layers)
    assert config.receptive_field == max(reached) + 1


@pytest.mark.parametrize(
    ("options", "phrase"),
    [
        ({"cell": "lstm"}, "LSTM 1x4, 214 parameters"),
        ({"cell": "gru", "tie": True}, "GRU 1x4, 150 parameters"),
        ({"cell": "window", "context": 3}, "window 1x4, sees 3 characters, 1,186 parameters"),
    ],
)
def test_a_model_is_described_in_a_phrase(options: dict[str, Any], phrase: str) -> None:
    assert ModelConfig.resolve(vocab_size=6, hidden_size=4, **options).describe() == phrase


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("tie", [False, True])
@pytest.mark.parametrize("options", [{}, {"num_layers": 3}, {"kernel_size": 2, "context": 1}])
def test_the_stored_shapes_are_those_of_the_torch_model(
    cell: str, tie: bool, options: dict[str, int]
) -> None:
    from charlm.models.language import LanguageModel

    sizes = {"hidden_size": 4} | ({} if tie else {"embedding_size": 3})
    config = ModelConfig.resolve(vocab_size=6, cell=cell, tie=tie, **sizes, **options)
    model = LanguageModel(config)
    shapes = {name: tuple(value.shape) for name, value in model.named_parameters()}
    assert config.parameter_shapes() == shapes
    assert config.num_parameters == sum(p.numel() for p in model.parameters())
    assert config.recurrent == (cell in RECURRENT_CELLS)


def test_the_rate_falls_with_the_root_of_the_width() -> None:
    for optimizer in ("muon", "adamw", "rmsprop", "sgd"):
        rates = [default_learning_rate(optimizer, size) for size in (64, 256, 1024)]
        assert rates[0] / rates[1] == rates[1] / rates[2] == pytest.approx(2)
    assert default_learning_rate("muon", 256) == 0.008


@pytest.mark.parametrize(
    ("epochs", "dropout"),
    [(0.5, 0.0), (4, 0.0), (8, 0.1), (16, 0.2), (32, 0.3), (128, 0.4), (1e9, 0.4)],
)
def test_dropout_grows_with_the_planned_epochs(epochs: float, dropout: float) -> None:
    assert default_dropout(epochs) == dropout


def test_an_integer_beyond_every_float_is_refused() -> None:
    with pytest.raises(CheckpointError):
        TrainOptions.from_dict(TrainOptions().to_dict() | {"epochs": 10**400})


def test_a_conv_model_that_would_remember_gigabytes_is_refused() -> None:
    with pytest.raises(RequestError):
        ModelConfig.resolve(cell="conv", num_layers=24, kernel_size=256)
