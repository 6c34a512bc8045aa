"""Which challengers do the gates of fine-tuning refuse? `make gates-report` runs this.

For each kind and seed a champion is trained (preset `linear`) on some THUCNews headlines, and a job makes a challenger that
is worse or better by construction. One JSON line a run goes to the output file, with the verdict, every gate, and the true
differences on rows that the gates do not see: THUCNews `valid`, and Toutiao headlines of another source. Runs that are in
the file already are not repeated, so that a report that was interrupted continues.

    little    a quarter more rows than the champion has, and no corrections
    better    twice to four times as many rows as the champion has, and honest corrections of five people
    far       more rows of the near source, and none of the far one, of which the champion has seen 200 to 600
    shuffled  the labels of all rows in another order
    class     more rows, but of one label 40 to 60 % have another one
    flipped   as many rows as the champion has, of which 15 % have another label
    liar      corrections of five people, of whom one gives wrong labels; with odd seeds beside the champion's rows, with even
              seeds alone

The gate of speed is open, because it measures the machine.
"""

import argparse
import collections
import json
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile

KINDS = ["little", "better", "far", "shuffled", "class", "flipped", "liar"]
CHAMPION_ROWS = 1200
TEST_ROWS = 4000
FAR_ROWS = 1500
SEEN_ROWS = 3000
TRUE_ROWS = 2500
PEOPLE = ["ada", "ben", "cho", "dan", "eva"]
CORRECTIONS = 60
DATA = pathlib.Path(__file__).resolve().parent.parent.parent / "shared/data"


def rows(name, split, labels=None):
    with open(DATA / name, encoding="utf-8") as lines:
        found = [json.loads(line) for line in lines]
    wanted = [row for row in found if row["split"] == split and (labels is None or row["label"] in labels)]
    return [{"text": row["text"], "label": row["label"]} for row in wanted]


class Corpus:
    def __init__(self):
        self.near = rows("headlines_zh_thucnews.jsonl", "train")
        self.labels = sorted({row["label"] for row in self.near})
        self.valid = rows("headlines_zh_thucnews.jsonl", "valid")
        self.far = rows("headlines_zh_toutiao.jsonl", "train", set(self.labels))


class Run:
    """One champion and one challenger, in a directory of its own."""

    def __init__(self, fenliu, settings, corpus, kind, seed, place):
        self.fenliu, self.settings, self.corpus = fenliu, settings, corpus
        self.kind, self.seed, self.place = kind, seed, place
        self.random = random.Random(f"{kind} {seed}")
        near, far = list(corpus.near), list(corpus.far)
        self.random.shuffle(near)
        self.random.shuffle(far)
        self.test, near = near[:TEST_ROWS], near[TEST_ROWS:]
        self.champion, self.rest = near[:CHAMPION_ROWS], near[CHAMPION_ROWS:]
        self.far, self.far_truth, self.far_rest = far[:FAR_ROWS], far[FAR_ROWS : 2 * FAR_ROWS], far[2 * FAR_ROWS :]
        self.valid = self.random.sample(corpus.valid, TRUE_ROWS)
        self.about = {"far": {"seen": 200 * (1 + seed % 3)}, "class": {"share": (4 + seed % 3) / 10}}.get(kind, {})
        if kind == "far":
            self.champion += self.far_rest[: self.about["seen"]]

    def call(self, *args):
        result = subprocess.run([self.fenliu, *args, "-q"], cwd=self.place, capture_output=True, text=True)
        if result.returncode:
            raise RuntimeError(f"fenliu {' '.join(args)}: {result.stderr[-2000:]}")
        return result.stdout

    def write(self, name, rows):
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (self.place / name).write_text("".join(lines), encoding="utf-8")
        return name

    def other(self, label):
        return self.random.choice([other for other in self.corpus.labels if other != label])

    def spoilt(self, rows, share):
        """The rows, a share of which with another label."""
        wrong = lambda row: {**row, "label": self.other(row["label"])}
        return [wrong(row) if self.random.random() < share else row for row in rows]

    def corrections(self, liar=None):
        """Right labels of rows that the champion labels wrongly; the liar gives wrong labels to any rows."""
        seen = self.rest[-SEEN_ROWS:]
        texts = "\n".join(row["text"].replace("\n", " ") for row in seen) + "\n"
        command = [self.fenliu, "predict", "--model", "models/m", "--json", "-q", "--top-k", "1", "-"]
        said = subprocess.run(command, cwd=self.place, input=texts, capture_output=True, text=True, check=True)
        labels = [json.loads(line)["label"] for line in said.stdout.splitlines()]
        wrong = [row for row, label in zip(seen, labels, strict=True) if row["label"] != label]
        taken = self.random.sample(wrong, CORRECTIONS * len(PEOPLE))
        found = [{**row, "by": PEOPLE[number % len(PEOPLE)]} for number, row in enumerate(taken)]
        if liar:
            honest = [row for row in found if row["by"] != liar]
            lies = self.spoilt(self.random.sample(seen, CORRECTIONS), 1)
            found = honest + [{**row, "by": liar} for row in lies]
        return found

    def job(self):
        """The rows of the job, its corrections, and what is known of it."""
        if self.kind == "little":
            return self.champion + self.rest[: CHAMPION_ROWS // 4], [], {}
        if self.kind == "better":
            factor = 2 + self.seed % 3
            rows = self.champion + self.rest[: (factor - 1) * CHAMPION_ROWS]
            return rows, self.corrections(), {"factor": factor}
        if self.kind == "far":
            return self.rest[: 3 * CHAMPION_ROWS], [], self.about
        if self.kind == "shuffled":
            rows = self.rest[: 3 * CHAMPION_ROWS]
            labels = [row["label"] for row in rows]
            self.random.shuffle(labels)
            return [{**row, "label": label} for row, label in zip(rows, labels)], [], {}
        if self.kind == "class":
            label = self.random.choice(self.corpus.labels)
            rows = self.champion + self.rest[: 2 * CHAMPION_ROWS]
            share = self.about["share"]
            rows = [self.spoilt([row], share * (row["label"] == label))[0] for row in rows]
            return rows, [], {"label": label, **self.about}
        if self.kind == "flipped":
            return self.spoilt(self.rest[:CHAMPION_ROWS], 0.15), [], {}
        liar = self.random.choice(PEOPLE)
        return self.champion if self.seed % 2 else [], self.corrections(liar), {"liar": liar}

    def truth(self, model):
        """Accuracy on near and far rows that the gates do not see, and recall by label."""
        found = {}
        for name in ("valid", "far_truth"):
            report = json.loads(self.call("evaluate", "--model", model, "--data", f"{name}.jsonl", "--json"))
            found[name] = report["accuracy"]
            if name == "valid":
                found["recall"] = {label["label"]: label["recall"] for label in report["per_class"]}
        return found

    def run(self):
        self.write("valid.jsonl", self.valid)
        self.write("far_truth.jsonl", self.far_truth)
        data = self.write("champion.jsonl", self.champion)
        self.call("train", "--name", "m", "--preset", "linear", "--data", data, "--option", "seed=1")
        rows, corrections, about = self.job()
        args = ["--test", self.write("test.jsonl", self.test), "--far", self.write("far.jsonl", self.far)]
        if rows:
            args += ["--data", self.write("data.jsonl", rows)]
        if corrections:
            args += ["--feedback", self.write("feedback.jsonl", corrections)]
        settings = ["finetune.niceness=0", "finetune.gates.speed_share=0.001", *self.settings]
        args += [word for setting in settings for word in ("--set", setting)]
        report = json.loads(self.call("finetune", "--json", "--model", "models/m", "--keep-refused", *args))
        champion, challenger = (self.truth(f"models/m@{report[version]}") for version in ("base", "version"))
        result = {"kind": self.kind, "seed": self.seed, "verdict": report["verdict"], **about}
        result["failed"] = [gate["name"] for gate in report["gates"] if not gate["passed"]]
        result["near"] = round(challenger["valid"] - champion["valid"], 4)
        result["far"] = round(challenger["far_truth"] - champion["far_truth"], 4)
        if label := about.get("label"):
            result["recall"] = round(challenger["recall"][label] - champion["recall"][label], 4)
        if liar := about.get("liar"):
            result["named"] = any(gate["name"] == "corrector" and f"`{liar}`" in gate["detail"] for gate in report["gates"])
        result["gates"] = report["gates"]
        return result


def summary(found):
    """A line of a table for each kind; whether the gates did what they should."""
    good = True
    print("| kind | runs | refused | promoted | near | far | gates that refused |")
    print("|---|---|---|---|---|---|---|")
    for kind in KINDS:
        of_kind = [run for run in found if run["kind"] == kind]
        if not of_kind:
            continue
        refused = sum(run["verdict"] == "refused" for run in of_kind)
        failed = collections.Counter(name for run in of_kind for name in run["failed"])
        mean = {key: statistics.mean(run[key] for run in of_kind) for key in ("near", "far")}
        names = ", ".join(f"{name} {count}" for name, count in failed.most_common())
        promoted = len(of_kind) - refused
        print(f"| {kind} | {len(of_kind)} | {refused} | {promoted} | {mean['near']:+.3f} | {mean['far']:+.3f} | {names} |")
        good &= promoted >= 0.9 * len(of_kind) if kind in ("little", "better") else refused == len(of_kind)
    return good


def span(text):
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fenliu", required=True, help="the binary")
    parser.add_argument("--out", required=True, type=pathlib.Path, help="file of JSON lines")
    parser.add_argument("--seeds", type=span, default=span("201-220"), help="FIRST-LAST; others chose the bounds of the gates")
    parser.add_argument("--set", nargs="*", default=[], help="settings, such as finetune.gates.far_loss=0.01")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    args = parser.parse_args()
    fenliu, corpus = str(pathlib.Path(args.fenliu).resolve()), Corpus()
    found = [json.loads(line) for line in args.out.read_text().splitlines()] if args.out.exists() else []
    done = {(run["kind"], run["seed"]) for run in found}
    for seed, kind in ((seed, kind) for seed in args.seeds for kind in args.kinds):
        if (kind, seed) in done:
            continue
        with tempfile.TemporaryDirectory() as place:
            result = Run(fenliu, args.set, corpus, kind, seed, pathlib.Path(place)).run()
        with args.out.open("a") as out:
            out.write(json.dumps(result) + "\n")
        print(kind, seed, result["verdict"], result["near"], result["far"], *result["failed"], flush=True)
        found.append(result)
    sys.exit(not summary([run for run in found if run["seed"] in args.seeds and run["kind"] in args.kinds]))


main()
