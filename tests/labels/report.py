"""Trains models on public news corpora and appends one JSON line a run to a file.

A run that the file has already is not repeated, so that an interrupted report goes on where it was. The lines of one
report must come from one binary: the file of another one is refused.

    report.py --binary fenliu --data DIR --work DIR --out FILE [--sets headlines,articles,...] [--seeds 1,2,3]

Sets: `headlines` (near and far text, `unknown` topics), `articles` (five folds of each corpus beside a linear SVM and an
NB-SVM on the same rows), `across` (trained on one corpus, scored on another), `r8`, `students` (distillation to the preset
`linear`).
"""

import argparse
import hashlib
import json
import math
import os
import resource
import subprocess
import sys
from pathlib import Path

from sklearn.metrics import accuracy_score, f1_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold

from baselines import nb_svm, svm

FOLDS = 5
CORPORA = {
    "sogouc": "articles_zh_sogouc.jsonl",
    "cnews": "articles_zh_cnews.jsonl",
    "bbc": "articles_en_bbc.jsonl",
    "agnews": "briefs_en_agnews.jsonl",
    "sib200": "sentences_zh_en_sib200.jsonl",
}


class Report:
    """The lines of a report, and what is needed to add some."""

    def __init__(self, options):
        self.binary = options.binary
        self.data = Path(options.data)
        self.work = Path(options.work)
        self.out = Path(options.out)
        self.work.mkdir(parents=True, exist_ok=True)
        self.digest = hashlib.sha256(Path(self.binary).read_bytes()).hexdigest()[:12]
        self.done = set()
        if self.out.exists():
            lines = [json.loads(line) for line in self.out.open(encoding="utf-8")]
            others = {line["binary"] for line in lines} - {self.digest}
            if others:
                sys.exit(f"{self.out}: has runs of another binary ({', '.join(others)}); name another file with --out")
            self.done = {line["run"] for line in lines}

    def add(self, run, measure):
        """Adds the figures that `measure` returns under the name `run`, unless they are there."""
        if run in self.done:
            return
        line = {"run": run, "binary": self.digest, **measure()}
        with self.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)

    def rows(self, name):
        """The documents of a file of the data."""
        with (self.data / name).open(encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def write(self, name, rows):
        """Writes rows below the work directory; returns the path."""
        path = self.work / name
        with path.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        return path

    def fenliu(self, *arguments, text=None):
        """Runs the binary; returns what it printed."""
        environment = {**os.environ, "RUST_LOG": "error"}
        command = [self.binary, *map(str, arguments)]
        ran = subprocess.run(command, input=text, capture_output=True, text=True, env=environment, check=False)
        if ran.returncode != 0:
            sys.exit(f"{' '.join(command)}: {ran.stderr[-2000:]}")
        return ran.stdout

    def train(self, name, data, *options):
        """Trains a model; returns its directory and the processor seconds it took."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.fenliu("train", "--name", name, "--out", self.work / "models", "--data", data, *options)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return self.work / "models" / name, round(seconds)

    def evaluate(self, model, data):
        """The figures of a model on labelled documents."""
        said = json.loads(self.fenliu("evaluate", "--model", model, "--data", data, "--json"))
        return {key: said[key] for key in ("rows", "accuracy", "macro_f1", "ece", "trusted") if key in said}

    def probabilities(self, model, rows):
        """The probabilities of all labels for each document."""
        texts = "\n".join(text_of(row).replace("\n", " ") for row in rows)
        said = self.fenliu("predict", "--model", model, "--top-k", 1000, "--json", "-", text=texts)
        return [[label["score"] for label in json.loads(line)["top"]] for line in said.splitlines()]


def text_of(row):
    """The text of a document."""
    return row.get("text") or f"{row.get('title') or ''}\n{row.get('body') or ''}"


def split_headlines(report):
    """Training rows, near rows, far rows, and far rows of topics that the training rows have not."""
    near = report.rows("headlines_zh_thucnews.jsonl")
    far = report.rows("headlines_zh_toutiao.jsonl")
    labels = {row["label"] for row in near}
    return {
        "train": [row for row in near if row["split"] == "train"],
        "near": [row for row in near if row["split"] == "valid"],
        "far": [row for row in far if row["label"] in labels],
        "far_valid": [row for row in far if row["label"] in labels and row["split"] == "valid"],
        "unknown": [row for row in far if row["label"] not in labels],
    }


def headlines(report, seeds):
    """Models from scratch on headlines, near and far."""
    parts = split_headlines(report)
    paths = {name: report.write(f"{name}.jsonl", rows) for name, rows in parts.items()}

    def measure(name, *options):
        model, seconds = report.train(name, paths["train"], *options)
        figures = {part: report.evaluate(model, paths[part]) for part in ("near", "far", "far_valid")}
        known, unknown = (report.probabilities(model, parts[part]) for part in ("far", "unknown"))
        auroc = {name: separation(score, known, unknown) for name, score in (("confidence", max), ("entropy", certainty))}
        return {"training_cpu_seconds": seconds, "unknown_auroc": auroc, **figures}

    for seed in seeds:
        for preset in ("tiny", "linear"):
            name = f"headlines-{preset}-{seed}"
            report.add(name, lambda: measure(name, "--preset", preset, "--seed", seed))
    train, near, far = parts["train"], parts["near"], parts["far"]
    report.add("headlines-svm", lambda: against(svm, train, {"near": near, "far": far}))
    report.add("headlines-nb-svm", lambda: against(nb_svm, train, {"near": near, "far": far}))


def certainty(probabilities):
    """The negative entropy, in nats."""
    return sum(p * math.log(p) for p in probabilities if p > 0)


def separation(score, known, unknown):
    """How well the score tells documents of known labels from others: the area under the ROC curve."""
    scores = [score(row) for row in known + unknown]
    return round(roc_auc_score([1] * len(known) + [0] * len(unknown), scores), 4)


def against(baseline, train, parts):
    """The accuracy of a linear baseline on parts."""
    labels = [row["label"] for row in train]
    said = baseline([text_of(row) for row in train], labels, [[text_of(row) for row in part] for part in parts.values()])
    gold = [[row["label"] for row in part] for part in parts.values()]
    return {name: {"accuracy": round(accuracy_score(right, labels), 4)} for name, right, labels in zip(parts, gold, said)}


def articles(report, seeds):
    """Five folds of each corpus: the default model beside linear ones on the same rows."""
    for corpus, file in CORPORA.items():
        rows = report.rows(file)
        gold = [row["label"] for row in rows]
        for seed in seeds:
            folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(rows, gold)
            for number, (train, test) in enumerate(folds):
                one_fold(report, f"{corpus}-{seed}-{number}", [rows[i] for i in train], [rows[i] for i in test], seed)


def one_fold(report, run, train, test, seed):
    """The default model and the linear ones on one fold."""

    def model():
        paths = [report.write(f"fold-{part}.jsonl", rows) for part, rows in (("train", train), ("test", test))]
        directory, seconds = report.train(run, paths[0], "--seed", seed)
        return {"training_cpu_seconds": seconds, "test": report.evaluate(directory, paths[1])}

    report.add(f"{run}-fenliu", model)
    report.add(f"{run}-svm", lambda: against(svm, train, {"test": test}))
    report.add(f"{run}-nb-svm", lambda: against(nb_svm, train, {"test": test}))


def across(report, seeds):
    """Trained on cnews, scored on the classes that SogouC shares with it."""
    train = report.rows(CORPORA["cnews"])
    labels = {row["label"] for row in train}
    test = [row for row in report.rows(CORPORA["sogouc"]) if row["label"] in labels]
    for seed in seeds:
        one_fold(report, f"cnews-to-sogouc-{seed}", train, test, seed)


def r8(report, seeds):
    """Reuters R8 with its published split, where `make setup` has put it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "fenliu/data/reuters-r8"
    train, test = ([json.loads(line) for line in (cache / f"{part}.jsonl").open()] for part in ("train", "test"))
    for seed in seeds:
        one_fold(report, f"r8-{seed}", train, test, seed)


def students(report, seeds):
    """A linear model that learns from the default one and from text of the other source without labels, by halves: it is
    scored on the half whose text it did not see."""
    parts = split_headlines(report)
    train, near = report.write("train.jsonl", parts["train"]), report.write("near.jsonl", parts["near"])
    other = parts["far"] + parts["unknown"]
    far_ids = {row["id"] for row in parts["far"]}
    for seed in seeds:
        for half in (0, 1):
            unlabelled = report.write("unlabelled.jsonl", [strip(row) for i, row in enumerate(other) if i % 2 == half])
            far = [row for i, row in enumerate(other) if i % 2 != half and row["id"] in far_ids]
            far = report.write("unseen.jsonl", far)
            run = f"student-{seed}-{half}"

            def measure():
                teacher, _ = report.train(f"teacher-{seed}", train, "--seed", seed)
                options = ["--preset", "linear", "--teacher", teacher, "--unlabelled", unlabelled, "--seed", seed]
                student, seconds = report.train(run, train, *options)
                scores = lambda model: {"near": report.evaluate(model, near), "far": report.evaluate(model, far)}
                return {"training_cpu_seconds": seconds, "teacher": scores(teacher), "student": scores(student)}

            report.add(run, measure)


def strip(row):
    """The document without its label."""
    return {key: value for key, value in row.items() if key not in ("label", "label_src")}


SETS = {"headlines": headlines, "articles": articles, "across": across, "r8": r8, "students": students}


def main():
    parser = argparse.ArgumentParser()
    for name in ("--binary", "--data", "--work", "--out"):
        parser.add_argument(name, required=True)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--seeds", default="1,2,3")
    options = parser.parse_args()
    report = Report(options)
    for name in options.sets.split(","):
        SETS[name](report, [int(seed) for seed in options.seeds.split(",")])


if __name__ == "__main__":
    main()
