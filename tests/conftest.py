import json
import os
from pathlib import Path

import pytest

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # before torch: other processes share the machine
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """Generated files of the tests stay out of the user's cache, but for numba's compiled code, which saves minutes."""
    from cedistill.cache import cache_folder

    os.environ.setdefault("NUMBA_CACHE_DIR", str(cache_folder() / "numba"))
    os.environ["CEDISTILL_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["IR_DATASETS_HOME"] = str(tmp_path_factory.mktemp("ir_datasets"))
    os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(scope="session")
def shared_data():
    folder = os.environ.get("CEDISTILL_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("needs the real data: set CEDISTILL_DATA to its folder")
    return Path(folder).resolve()


@pytest.fixture
def tiny(tmp_path):
    """A collection of 6 queries and 30 documents in BEIR layout, with candidates and a teacher, all by rule.

    Query q<i> asks for "topic<i>"; documents d0..d29, d<j> tells of topic<j % 6>. Judged: d<i> grade 2, d<i+6> grade 1,
    d<i+1> grade 0. Candidates of q<i>: d<i>, then d<i+1> ... d<i+9>, best first. The teacher scores d<j> 10 - j for j
    < 10.
    """
    folder = tmp_path / "tiny"
    (folder / "qrels").mkdir(parents=True)
    documents = [{"_id": f"d{j}", "title": f"Title {j}", "text": f"this tells of topic{j % 6}"} for j in range(30)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(one) + "\n" for one in documents))
    queries = [{"_id": f"q{i}", "text": f"what about topic{i}"} for i in range(6)]
    (folder / "queries.jsonl").write_text("".join(json.dumps(one) + "\n" for one in queries))
    rows = [f"q{i}\td{i}\t2\nq{i}\td{i + 6}\t1\nq{i}\td{i + 1}\t0\n" for i in range(6)]
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(rows))
    (folder / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(rows[:4]))
    lines = [f"q{i} Q0 d{i + k} {k + 1} {20 - k} first\n" for i in range(6) for k in range(10)]
    (folder / "candidates.trec").write_text("".join(lines))
    lines = [f"q{i} Q0 d{j} {j + 1} {10 - j}.5 teacher\n" for i in range(6) for j in range(10)]
    (folder / "teacher.trec").write_text("".join(lines))
    return folder


def _tiny_bert(folder, dropout):
    from transformers import AutoTokenizer, BertConfig, BertModel, set_seed

    folder.mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "what", "about", "title", "this", "tells", "of", "topic"]
    words += [f"##{digit}" for digit in range(10)] + [str(digit) for digit in range(10)]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    set_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(
        vocab_size=len(words), hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout, **sizes
    )
    AutoTokenizer.from_pretrained(folder).save_pretrained(folder)
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory):
    """An encoder of 2 layers of width 16 without dropout, and a tokenizer of the words of ``tiny``."""
    return _tiny_bert(tmp_path_factory.mktemp("models") / "tiny", 0.0)


@pytest.fixture(scope="session")
def tiny_bert_with_dropout(tmp_path_factory):
    return _tiny_bert(tmp_path_factory.mktemp("models") / "tiny", 0.1)
