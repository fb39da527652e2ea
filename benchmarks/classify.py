"""Labels of short texts: charlm's two classifiers beside what else could label them.

    python benchmarks/classify.py [FILE] [--minutes 3] [--labelled-run RUN] [--classify-run RUN]

FILE has a text, a tab and its label on each line; without it the surnames of
`charlm corpus make surnames`. Accuracy with its 95 % interval, macro-F1 and the loss in nats on the
same held-out tenth, drawn by label, with equal texts on one side, for

    the most frequent label, with the labels' shares as probabilities
    naive Bayes on n-grams of characters (charlm.tasks.naivebayes)
    scikit-learn's logistic regression of TF-IDF on n-grams of characters
    a run with --labelled, which writes items of a label, by Bayes' rule
    a run with --task classify

and how many items each gets right that the logistic regression gets wrong, and the reverse, with
the p value of a test by sign flips. Naive Bayes and logistic regression choose their settings on a
tenth of the training part. The runs choose their best step on the held-out part, where the loss is
lowest, which favours them a little: --test-fraction holds out another tenth, which nothing chose,
and reports that.

The control is the same file with the labels of the training part exchanged at random (--control):
nothing should then be better than the most frequent label.

Needs scikit-learn (the extra dev).
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from common import describe, save
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from charlm.runs import open_model
from charlm.statistics import Ints, Reals, sign_flip_p
from charlm.tasks.answers import Classifier
from charlm.tasks.labelscore import LabelScore
from charlm.tasks.naivebayes import NaiveBayes
from charlm.text.dataset import Source, read
from charlm.text.records import Record
from charlm.text.splitting import TRAIN, divide

STRENGTHS = (3.0, 10.0, 30.0, 100.0)
ANALYZERS = (("char", 5), ("char_wb", 5))


def charlm(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "charlm", *arguments], check=True, capture_output=True)


def tfidf(analyzer: str, longest: int) -> TfidfVectorizer:
    """n-grams that occur in two texts or more: others only cost time."""
    return TfidfVectorizer(
        analyzer=analyzer,
        ngram_range=(1, longest),
        sublinear_tf=True,
        lowercase=False,
        min_df=2,
        dtype=np.float32,
    )


def regression(texts: Sequence[str], labels: Ints, asked: Sequence[str]) -> tuple[Reals, str]:
    """(ln p of every label of ``asked``, what was chosen on a tenth of ``texts``)."""
    parts = np.array(divide(texts, [str(label) for label in labels.tolist()], 0.1))
    own, left = np.flatnonzero(parts == TRAIN).tolist(), np.flatnonzero(parts != TRAIN).tolist()
    found = []
    for analyzer, longest in ANALYZERS:
        vectors = tfidf(analyzer, longest)
        train = vectors.fit_transform([texts[k] for k in own])
        held = vectors.transform([texts[k] for k in left])
        model = LogisticRegression(max_iter=300, tol=1e-3, warm_start=True)
        for strength in STRENGTHS:
            model.set_params(C=strength).fit(train, labels[own])
            found.append((float(model.score(held, labels[left])), analyzer, longest, strength))
    _, analyzer, longest, strength = max(found)
    vectors = tfidf(analyzer, longest)
    model = LogisticRegression(C=strength, max_iter=1000).fit(vectors.fit_transform(texts), labels)
    assert model.classes_.tolist() == list(range(int(labels.max()) + 1))
    chosen = f"{analyzer} 1-{longest}, C {strength:g}"
    log_p = model.predict_log_proba(vectors.transform(asked))
    return np.asarray(log_p, dtype=np.float64), chosen


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--minutes", type=float, default=3, help="training time of each run")
    parser.add_argument(
        "--labelled-run", help="a run of FILE with --labelled that is there already"
    )
    parser.add_argument("--classify-run", help="a run of FILE with --task classify")
    parser.add_argument("--test-fraction", type=float, default=0.0)
    parser.add_argument("--control", action="store_true", help="exchange the training labels")
    parser.add_argument("--save", action="store_true", help="add the figures to results/")
    options = parser.parse_args()
    print(describe(), flush=True)
    with tempfile.TemporaryDirectory() as directory:
        found = compare(options, Path(directory))
    if options.save:
        save("classify", found)


def compare(options: argparse.Namespace, folder: Path) -> dict[str, object]:
    file = options.file or folder / "surnames.tsv"
    if options.file is None:
        charlm("corpus", "make", "surnames", "--out", str(file))
    source = Source(
        (str(file),), newline="auto", test_fraction=options.test_fraction, records="classify"
    )
    items = read(source).items
    assert items is not None
    train, asked = list(items.train), items.test or items.val
    held_out = [str(file)]
    if options.control:
        train = exchanged(train)
        parts = {"train": train, "val": items.val}
        for name, part in parts.items():
            lines = "".join(f"{record.text}\t{record.label}\n" for record in part)
            (folder / f"{name}.tsv").write_text(lines, encoding="utf-8")
        held_out = [str(folder / "train.tsv"), "--val-file", str(folder / "val.tsv")]
    elif options.test_fraction:
        held_out += ["--test-fraction", str(options.test_fraction)]
    names = sorted({record.label for record in train})
    number = {name: k for k, name in enumerate(names)}
    texts, labels = [r.text for r in train], np.array([number[r.label] for r in train])
    questions, truth = [r.text for r in asked], np.array([number[r.label] for r in asked])
    print(f"{file.name}: {len(names)} labels, {len(train):,} items train, {len(asked):,} held out")

    scores: dict[str, LabelScore] = {}

    def report(name: str, score: LabelScore, began: float, note: str) -> None:
        scores[name] = score
        low, high = score.interval
        print(
            f"{name:<22} accuracy {100 * score.accuracy:5.1f} % ({100 * low:.1f} to "
            f"{100 * high:.1f})  macro-F1 {score.macro_f1:.3f}  {score.nats:.3f} nats  "
            f"calibration error {score.calibration_error:.3f}  "
            f"[{time.perf_counter() - began:.0f} s; {note}]",
            flush=True,
        )

    began = time.perf_counter()
    shares = np.bincount(labels) / len(labels)
    report("most frequent label", LabelScore.of_shares(shares, truth, names), began, "shares")

    began = time.perf_counter()
    bayes = NaiveBayes.fit(texts, labels, len(names))
    score = LabelScore.of(bayes.log_posteriors(questions), truth, names)
    chosen = f"1-{bayes.orders}, alpha {bayes.alpha:g}, scale {bayes.scale:g}"
    report("naive Bayes", score, began, chosen)

    began = time.perf_counter()
    log_p, chosen = regression(texts, labels, questions)
    report("logistic regression", LabelScore.of(log_p, truth, names), began, chosen)

    for name, given, task in (
        ("charlm --labelled", options.labelled_run, ["--labelled"]),
        ("charlm --task classify", options.classify_run, ["--task", "classify"]),
    ):
        began, run = time.perf_counter(), given
        if run is None:
            run = str(folder / task[-1].strip("-"))
            charlm(
                *("train", *held_out, *task, "--minutes", str(options.minutes)),
                *("--out", str(folder), "--name", Path(run).name),
            )
        loaded = open_model(run).checkpoint
        classifier = Classifier(loaded)
        if list(classifier.labels) != names:
            raise SystemExit(f"{run} has other labels than {file}")
        answers = classifier.log_probabilities(classifier.encode(questions))
        score = LabelScore.of(answers, truth, names)
        report(name, score, began, loaded.config.describe())

    against = scores["logistic regression"]
    for name, score in scores.items():
        if score is not against:
            both = [each.answers == each.truth for each in (score, against)]
            gained, lost = int((both[0] & ~both[1]).sum()), int((both[1] & ~both[0]).sum())
            p = sign_flip_p(
                both[0].astype(float) - both[1].astype(float), 9999, np.random.default_rng(0)
            )
            print(
                f"{name:<22} right where the logistic regression is wrong {gained:,} times, the "
                f"reverse {lost:,} times (p {p:.4f})"
            )
    return {
        "file": file.name,
        "control": options.control,
        "items": len(asked),
        **{
            name: {
                "accuracy": score.accuracy,
                "interval": list(score.interval),
                "macro_f1": score.macro_f1,
                "nats": score.nats,
                "calibration_error": score.calibration_error,
            }
            for name, score in scores.items()
        },
    }


def exchanged(records: Sequence[Record]) -> list[Record]:
    """The same texts with the labels of others, drawn at random."""
    labels = [record.label for record in records]
    random.Random(0).shuffle(labels)
    return [Record(record.text, label) for record, label in zip(records, labels, strict=True)]


if __name__ == "__main__":
    main()
