"""The linear models that anyone would try first, by scikit-learn."""

import unicodedata

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.svm import LinearSVC


def svm(train, labels, parts):
    """The labels that a linear SVM over TF-IDF gives the texts of each part."""
    vectorizer = TfidfVectorizer(**features(train), sublinear_tf=True)
    model = LinearSVC(C=1.0).fit(vectorizer.fit_transform(train), labels)
    return [model.predict(vectorizer.transform(part)) for part in parts]


def nb_svm(train, labels, parts):
    """The labels that an NB-SVM (Wang and Manning, 2012) gives the texts of each part, one class against the rest."""
    vectorizer = CountVectorizer(**features(train), binary=True)
    known = vectorizer.fit_transform(train).astype(float)
    others = [vectorizer.transform(part).astype(float) for part in parts]
    labels = np.asarray(labels)
    classes = np.unique(labels)
    decisions = [np.column_stack(columns) for columns in zip(*(one_class(known, labels == name, others) for name in classes))]
    return [classes[decision.argmax(1)] for decision in decisions]


def one_class(known, positive, others):
    """The decisions of one class for each of `others`."""
    p, q = (1 + np.asarray(known[rows].sum(0)).ravel() for rows in (positive, ~positive))
    ratio = sparse.diags(np.log((p / p.sum()) / (q / q.sum())))
    scale = lambda rows: unit(rows @ ratio)
    model = LinearSVC(C=0.3).fit(scale(known), positive)
    return [model.decision_function(scale(rows)) for rows in others]


def unit(rows):
    """Rows of length 1."""
    norms = np.sqrt(np.asarray(rows.multiply(rows).sum(1)).ravel())
    norms[norms == 0] = 1
    return sparse.diags(1 / norms) @ rows


def features(texts):
    """Characters where most letters are Chinese, else words."""
    sample = "".join(texts[:200])
    is_chinese = sum("\u4e00" <= c <= "\u9fff" for c in sample) * 4 > len(sample)
    ngrams = {"analyzer": "char", "ngram_range": (1, 3)} if is_chinese else {"ngram_range": (1, 2)}
    return {**ngrams, "min_df": 2, "preprocessor": lambda text: unicodedata.normalize("NFKC", text).lower()}
