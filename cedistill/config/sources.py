"""The study's training data by name: where each file lies, its checksum, and how the study read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cedistill.errors import InputError, unknown

TEXTS = "msmarco-passage/train"
"""The data set reference whose queries, passages and judgements the sources' ids mean."""

_TEACHERS = "https://zenodo.org/records/4068216"
_RANK_DISTILLM = "https://zenodo.org/records/12528410"
_RUN = "msmarco-passage-train-judged.run"


@dataclass(frozen=True)
class SourceFile:
    """A file to download: its address, its MD5 in hexadecimal, its bytes where they are known."""

    url: str
    md5: str
    size: int | None = None

    @property
    def name(self) -> str:
        """The last part of the address."""
        return self.url.rpartition("/")[2]


@dataclass(frozen=True)
class Source:
    """One training source.

    ``kind``: ``scored-pairs`` (positive score, negative score, query, positive, negative), ``triples`` (query,
    positive, negative) or ``run``. ``file`` is downloaded from ``record``; without one, ``docpairs`` is the ir_datasets
    id whose document pairs are taken. ``order``, ``shuffle_seed`` and ``positives`` are what the study did with it, for
    objectives that do not say otherwise (see ``cedistill.config.objective.Lists``).
    """

    name: str
    about: str
    kind: Literal["scored-pairs", "triples", "run"]
    record: str
    file: SourceFile | None = None
    docpairs: str | None = None
    order: Literal["shuffled", "file"] = "shuffled"
    shuffle_seed: int | None = None
    positives: Literal["judged", "retrieved"] = "judged"


def _triples(name: str, docpairs: str, about: str) -> Source:
    record = "https://ir-datasets.com/msmarco-passage"
    return Source(name, about, "triples", record, docpairs=docpairs, shuffle_seed=123)


def _scores(name: str, file: str, md5: str, about: str) -> Source:
    where = SourceFile(f"{_TEACHERS}/files/{file}_msmarcopassage_train_scores_ids.tsv", md5)
    return Source(name, f"{about} (Zenodo 4068216)", "scored-pairs", _TEACHERS, where, order="file")


def _ranking(name: str, file: str, md5: str, about: str) -> Source:
    where = SourceFile(f"{_RANK_DISTILLM}/files/__{file}__{_RUN}", md5)
    return Source(
        name, f"{about} (Rank-DistiLLM, Zenodo 12528410)", "run", _RANK_DISTILLM, where, positives="retrieved"
    )


SOURCES = {
    source.name: source
    for source in (
        _triples(
            "msmarco-triples",
            "msmarco-passage/train",
            "MS MARCO passage training triples (query, positive, BM25 negative), as ir_datasets has them",
        ),
        _triples(
            "msmarco-triples-v2",
            "msmarco-passage/train/triples-v2",
            "the same, second version with the rows that the first lacks (qidpidtriples.train.full.2)",
        ),
        _scores(
            "msmarco-ensemble-scores",
            "bert_cat_ensemble",
            "4d99696386f96a7f1631076bcc53ac3c",
            "scores of the BERT cross-encoder ensemble of Hofstätter et al., 39 780 704 pairs",
        ),
        _scores(
            "msmarco-bertbase-scores",
            "bertbase_cat",
            "a2575af08a19b47c2041e67c9efcd917",
            "scores of their single BERT-base teacher",
        ),
        _ranking(
            "rank-distillm-colbert",
            "colbert",
            "6ed152027f7270f32fcbfaaa6def951e",
            "ColBERTv2 top 500 of the judged training queries",
        ),
        _ranking(
            "rank-distillm-bm25",
            "bm25",
            "835372b2ab4d20acf10addeae526c559",
            "BM25 candidates of the judged training queries",
        ),
        _ranking(
            "rank-distillm-rankzephyr-10",
            "rankzephyr-colbert-10000-sampled-10",
            "619bc815bd133bdca44d6331b241d39a",
            "RankZephyr over ColBERTv2, 10 000 queries to depth 10",
        ),
        _ranking(
            "rank-distillm-rankzephyr-50",
            "rankzephyr-colbert-10000-sampled-50",
            "c37b78874d4893a00566ab40aa453c56",
            "RankZephyr over ColBERTv2, 10 000 queries to depth 50",
        ),
        _ranking(
            "rank-distillm-rankzephyr-100",
            "rankzephyr-colbert-10000-sampled-100",
            "49f8dbf2c1ee7a2ca1fe517eda528af6",
            "RankZephyr over ColBERTv2, 10 000 queries to depth 100",
        ),
        _ranking(
            "rank-distillm-bm25-rankzephyr-100",
            "rankzephyr-bm25-10000-sampled-100",
            "05e3137ea3526671e1565cc90f9a2c8a",
            "RankZephyr over BM25, 10 000 queries to depth 100",
        ),
    )
}


def find_source(name: str) -> Source:
    """Return the source of that name. Raises InputError when there is none."""
    if name not in SOURCES:
        raise InputError(unknown("source", name, SOURCES))
    return SOURCES[name]
