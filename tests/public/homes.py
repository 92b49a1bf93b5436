"""Small IR_DATASETS_HOME folders in the layouts of the real downloads, for ir_datasets' own readers.

Every collection holds the same 24 documents: number j tells of topic j % 6, its title is "Title j". Query number i asks
for topic i; document i is relevant with grade 2, i + 6 with 1, i + 1 with 0. ``ids`` says how numbers become ids.
"""

import gzip
import io
import json
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

DOCUMENTS, QUERIES = 24, 6

BEIR = {
    "arguana": "arguana", "climate-fever": "climate-fever", "dbpedia-entity": "dbpedia-entity", "fever": "fever",
    "fiqa": "fiqa", "hotpotqa": "hotpotqa", "nfcorpus": "nfcorpus", "nq": "nq", "quora": "quora", "scidocs": "scidocs",
    "scifact": "scifact", "trec-covid": "trec-covid", "webis-touche2020/v2": "webis-touche2020", "msmarco": "msmarco",
}  # fmt: skip
CQADUPSTACK = [
    "android", "english", "gaming", "gis", "mathematica", "physics", "programmers", "stats", "tex", "unix",
    "webmasters", "wordpress",
]  # fmt: skip
NANO = [*sorted({"msmarco", *BEIR.values()} - {"trec-covid"})]
LOTTE = ["writing", "recreation", "science", "technology", "lifestyle"]

_METADATA = {
    "url": "http://x", "pubmed_id": "1", "stance": "PRO", "tags": ["t"], "authors": [], "year": 2000, "cited_by": [],
    "references": [], "query": "keywords", "narrative": "n", "description": "d",
}  # fmt: skip


def text(j):
    return f"this tells of topic{j % 6}"


def question(i):
    return f"what about topic{i}"


def judged(i):
    return {i: 2, i + 6: 1, i + 1: 0}


def beir_zip(path, folder, splits=("test",), query_ids="q{}", document_ids="d{}", more=()):
    """A zip of BEIR: FOLDER/corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv; ``more`` holds further qrels lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "a") as archive:
        corpus = [
            {"_id": document_ids.format(j), "title": f"Title {j}", "text": text(j), "metadata": _METADATA}
            for j in range(DOCUMENTS)
        ]
        queries = [{"_id": query_ids.format(i), "text": question(i), "metadata": _METADATA} for i in range(QUERIES)]
        archive.writestr(f"{folder}/corpus.jsonl", _jsonl(corpus))
        archive.writestr(f"{folder}/queries.jsonl", _jsonl(queries))
        rows = [
            f"{query_ids.format(i)}\t{document_ids.format(j)}\t{grade}"
            for i in range(QUERIES)
            for j, grade in judged(i).items()
        ]
        for split in splits:
            lines = ["query-id\tcorpus-id\tscore", *rows, *more]
            archive.writestr(f"{folder}/qrels/{split}.tsv", "\n".join(lines) + "\n")


def beir(home):
    for name, folder in BEIR.items():
        same = {"query_ids": "d{}"} if name in ("arguana", "quora") else {}
        more = ["q0\td20\t-2"] if name in ("webis-touche2020/v2", "trec-covid") else []
        beir_zip(home / "beir" / name / "source.zip", folder, ("train", "dev", "test"), more=more, **same)
    for name in CQADUPSTACK:
        beir_zip(home / "beir" / "cqadupstack" / "source.zip", f"cqadupstack/{name}")


def nano_beir(home):
    for name in NANO:
        folder = home / "nano-beir" / name
        folder.mkdir(parents=True)
        query = "d{}" if name in ("arguana", "quora") else "q{}"
        corpus = [{"_id": f"d{j}", "text": f"Title {j} {text(j)}"} for j in range(DOCUMENTS)]
        queries = [{"_id": query.format(i), "text": question(i)} for i in range(QUERIES)]
        qrels = [
            {"query-id": query.format(i), "corpus-id": f"d{j}"} for i in range(QUERIES) for j in judged(i) if j != i + 1
        ]
        for file, rows in {"corpus": corpus, "queries": queries, "qrels": qrels}.items():
            pq.write_table(pa.Table.from_pylist(rows), folder / f"{file}.parquet")


def msmarco(home):
    """The archive as downloaded, and the files that ir_datasets extracts of the other downloads."""
    folder = home / "msmarco-passage"
    passages = "".join(f"{j}\t{text(j)}\n" for j in range(DOCUMENTS))
    queries = "".join(f"{100 + i}\t{question(i)}\n" for i in range(QUERIES + 1))  # the last is not judged
    # In the small development set one passage is relevant to a query.
    dev = "".join(f"{100 + i}\t0\t{i}\t1\n" for i in range(QUERIES))
    _tar(
        folder / "collectionandqueries.tar.gz",
        {"collection.tsv": passages, "queries.dev.small.tsv": queries, "qrels.dev.small.tsv": dev},
    )
    _tar(folder / "queries.tar.gz", {"queries.train.tsv": queries})
    _write(folder / "train" / "qrels", "".join(f"{100 + i}\t0\t{i}\t1\n" for i in range(QUERIES)))
    pairs = [(100 + i, i, j) for i in range(QUERIES) for j in range(QUERIES, DOCUMENTS) if j % 6 != i]
    _write(folder / "train" / "docpairs.tsv.gz", "".join(f"{q}\t{p}\t{n}\n" for q, p, n in pairs))
    graded = "".join(f"{100 + i} Q0 {j} {grade}\n" for i in range(QUERIES) for j, grade in judged(i).items())
    top = "".join(f"{100 + i}\t{(i + k) % DOCUMENTS}\n" for i in range(QUERIES + 1) for k in range(12))
    _write(folder / "trec-dl-2019" / "queries.tsv", queries)
    _write(folder / "trec-dl-2019" / "qrels", graded)
    _write(folder / "trec-dl-2019" / "ms.run", top)
    _write(folder / "trec-dl-2020" / "queries.tsv.gz", queries)
    _write(folder / "trec-dl-2020" / "qrels", graded)
    _write(folder / "dev" / "ms.run", top)


def msmarco_v2(home):
    folder = home / "msmarco-passage-v2"
    lines, ids, place = [], [], 0
    for j in range(DOCUMENTS):
        ids.append(f"msmarco_passage_00_{place}")
        row = {"pid": ids[-1], "passage": text(j), "spans": "(0,5)", "docid": "msmarco_doc_00_0"}
        lines.append(json.dumps(row) + "\n")
        place += len(lines[-1].encode())
    inner = gzip.compress("".join(lines).encode())
    _tar(folder / "msmarco_v2_passage.tar", {"msmarco_v2_passage/msmarco_passage_00.gz": inner}, "w")
    queries = "".join(f"{100 + i}\t{question(i)}\n" for i in range(QUERIES + 1))
    graded = "".join(f"{100 + i} 0 {ids[j]} {grade}\n" for i in range(QUERIES) for j, grade in judged(i).items())
    top = "".join(
        f"{100 + i} Q0 {ids[(i + k) % DOCUMENTS]} {k + 1} {20 - k} bm25\n"
        for i in range(QUERIES + 1)
        for k in range(12)
    )
    names = {"2021": ("qrels", "top100.trec.gz"), "2022": ("qrels.withDupes.txt", "top100.txt.gz")}
    names["2023"] = names["2022"]
    for year, (qrels, run) in names.items():
        _write(folder / f"trec-dl-{year}" / "queries.tsv", queries)
        _write(folder / f"trec-dl-{year}" / qrels, graded)
        _write(folder / f"trec-dl-{year}" / run, top)


def lotte(home):
    files = {}
    for topic in LOTTE:
        place = f"lotte/{topic}/test"
        files[f"{place}/collection.tsv"] = "".join(f"{j}\t{text(j)}\n" for j in range(DOCUMENTS))
        for kind in ("search", "forum"):
            files[f"{place}/questions.{kind}.tsv"] = "".join(f"{i}\t{question(i)}\n" for i in range(QUERIES))
            answers = [{"qid": i, "query": question(i), "answer_pids": [i, i + 6]} for i in range(QUERIES)]
            files[f"{place}/qas.{kind}.jsonl"] = _jsonl(answers)
    _tar(home / "lotte" / "lotte.tar.gz", files)


def robust04(home):
    """All 2295 files of the four sources, since ir_datasets counts them; one document in each.

    Document number j is in file 95 j, so that each source holds some; the other files hold other news.
    """
    corpus = home / "disks45" / "corpus"
    names = [f"FBIS/FB{396000 + n}" for n in range(492)]
    names += [f"FR94/{1 + n % 12:02}/FR94{n:04}.0" for n in range(397)]
    names += [f"FT/FT911/FT911_{n}" for n in range(600)] + [f"FT/FT934/FT934_{n}" for n in range(76)]
    names += [f"LATIMES/LA{10000 + n:06}" for n in range(730)]
    assert len(names) == 2295
    for number, name in enumerate(names):
        j, other = divmod(number, 95)
        content = "other news" if other or j >= DOCUMENTS else text(j)
        _write(corpus / "NEWS_data" / name, sgml(name.split("/")[0], robust_id(number, name), f"Title {j}", content))
    topics = "".join(
        f"<top>\n\n<num> Number: {301 + i} \n<title> {question(i)}\n\n<desc> Description: \n"
        f"Find documents that\ntell of topic{i}.\n\n<narr> Narrative: \nRelevant is topic{i}.\n\n</top>\n\n"
        for i in range(QUERIES)
    )
    _write(home / "disks45" / "04.testset.gz", topics)
    # Topic 306 has no judgement, as one of the 250 has none.
    rows = [
        f"{301 + i} 0 {robust_id(95 * j, names[95 * j])} {grade}\n"
        for i in range(QUERIES - 1)
        for j, grade in judged(i).items()
    ]
    _write(home / "disks45" / "qrels.robust2004.txt", "".join(rows))


def robust_id(number, name):
    return {"FBIS": "FBIS3-", "FR94": "FR940104-0-", "FT": "FT911-", "LATIMES": "LA010189-"}[name.split("/")[0]] + str(
        number
    )


def sgml(source, document_id, title, content):
    """A document with the elements that its source has (README files of the disks)."""
    body = {
        "FBIS": f"<HT>x</HT>\n<HEADER>\n<H2>   March Reports   </H2>\n<DATE1>  1 March 1994 </DATE1>\n"
        f"<F P=100> FBIS </F>\n<H3> <TI>   {title} </TI></H3>\n</HEADER>\n\n<TEXT>\n{content}\n</TEXT>\n",
        "FR94": f"<PARENT> FR940104-0 </PARENT>\n<TEXT>\n<!-- PJG 01 -->\n<USDEPT>USDA</USDEPT>\n{content}\n</TEXT>\n",
        "FT": f"<PROFILE>_AN-x</PROFILE>\n<DATE>910514\n</DATE>\n<HEADLINE>\nFT  14 MAY 91 / {title}\n</HEADLINE>\n"
        f"<TEXT>\n{content}\n</TEXT>\n<PUB>The Financial Times\n</PUB>\n",
        "LATIMES": f"<DOCID> 1 </DOCID>\n<DATE>\n<P>\nJanuary 1, 1989\n</P>\n</DATE>\n<HEADLINE>\n<P>\n{title}\n</P>\n"
        f"</HEADLINE>\n<TEXT>\n<P>\n{content}\n</P>\n</TEXT>\n",
    }[source]
    return f"<DOC>\n<DOCNO> {document_id} </DOCNO>\n{body}</DOC>\n"


def _jsonl(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def _write(path, content):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content.encode()) if path.suffix == ".gz" else content.encode())


def _tar(path, files, mode="w:gz"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            data = content if isinstance(content, bytes) else content.encode()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
