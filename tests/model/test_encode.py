import os
import pickle

import pytest
from families import FAMILIES, LONG_DOCUMENT, LONG_QUERY, PAIRS, SHORT, config_of, tokenizer_of
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader
from transformers import AutoTokenizer, BertConfig, RobertaConfig

from cedistill.errors import InputError
from cedistill.model.encode import EncodedPair, Template, learn_template, make_encoder, max_positions


@pytest.fixture(scope="module")
def bert_base(shared_data):
    return AutoTokenizer.from_pretrained(shared_data / "tokenizers" / "bert-base-uncased")


def expected(tokenizer, pairs, **options):
    encoding = tokenizer([query for query, _ in pairs], [document for _, document in pairs], **options)
    types = encoding.get("token_type_ids") or [None] * len(pairs)
    return [EncodedPair(ids, kinds) for ids, kinds in zip(encoding["input_ids"], types, strict=True)]


@pytest.mark.parametrize("family", FAMILIES)
def test_equals_the_tokenizer_where_nothing_is_cut(family):
    tokenizer = tokenizer_of(family)
    encoder = make_encoder(tokenizer, 2000, 20000)
    object.__setattr__(encoder, "pair_tokens", 22000)  # above the tokenizer's own limit, so that nothing is cut
    object.__setattr__(encoder, "query_tokens", 2000)
    pairs = [*PAIRS, (LONG_QUERY, LONG_DOCUMENT), ("a [SEP] b </s>", "[CLS] <s> <mask> [MASK]"), ("", "")]
    assert encoder.encode(pairs) == expected(tokenizer, pairs)


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=40, deadline=None)
@given(query=st.text(max_size=12), document=st.text(max_size=40))
def test_equals_the_tokenizer_on_any_text(family, query, document):
    tokenizer = tokenizer_of(family)
    encoder = make_encoder(tokenizer, 100, 400)
    assert encoder.encode([(query, document)]) == expected(tokenizer, [(query, document)])


@pytest.mark.parametrize("family", FAMILIES)
def test_document_is_cut_as_cross_encoder_cuts_it(family):
    tokenizer = tokenizer_of(family)
    encoded = make_encoder(tokenizer).encode(PAIRS)
    assert encoded == expected(tokenizer, PAIRS, truncation="longest_first", max_length=288)
    assert max(len(pair.input_ids) for pair in encoded) == 288


@pytest.mark.parametrize("family", FAMILIES)
def test_long_query_is_cut_to_its_own_budget(family):
    tokenizer = tokenizer_of(family)
    encoder = make_encoder(tokenizer)
    template = encoder.template
    query = tokenizer(LONG_QUERY, add_special_tokens=False)["input_ids"]
    document = tokenizer(LONG_DOCUMENT, add_special_tokens=False)["input_ids"]
    assert len(query) > 288
    (ids, _), (short, _) = encoder.encode([(LONG_QUERY, LONG_DOCUMENT), (LONG_QUERY, "")])
    room = 288 - template.special_tokens - 32
    assert ids == [*template.before, *query[:32], *template.between, *document[:room], *template.after]
    assert short == [*template.before, *query[:32], *template.between, *template.after]


def test_literal_ids_of_bert_base_uncased(bert_base):
    encoder = make_encoder(bert_base)
    (pair,) = encoder.encode([("hello world", "Paris")])
    assert pair.input_ids == [101, 7592, 2088, 102, 3000, 102]
    assert pair.token_type_ids == [0, 0, 0, 0, 1, 1]
    assert (encoder.pair_tokens, encoder.query_tokens, encoder.pad_id) == (288, 32, 0)


def test_bert_base_uncased_equals_its_tokenizer(bert_base):
    assert make_encoder(bert_base).encode(PAIRS) == expected(bert_base, PAIRS, truncation=True, max_length=288)


def test_learned_templates():
    roberta = learn_template(tokenizer_of("roberta"))
    assert roberta == Template(before=(0,), between=(2, 2), after=(2,), types=None)
    assert learn_template(tokenizer_of("modernbert")) == Template((1,), (2,), (2,), None)
    assert learn_template(tokenizer_of("bert")).types == (0, 0, 0, 1, 1)
    assert learn_template(tokenizer_of("deberta")).types == (0, 0, 0, 1, 1)


def test_truncation_set_on_the_tokenizer_does_not_reach_the_encoder():
    tokenizer = tokenizer_of("bert")
    tokenizer(SHORT, truncation=True, max_length=4, padding="max_length")
    encoder = make_encoder(tokenizer)
    before = encoder.encode(PAIRS)
    tokenizer(SHORT, truncation=True, max_length=4, padding="max_length")
    assert encoder.encode(PAIRS) == before == expected(tokenizer, PAIRS, truncation=True, max_length=288)


def test_encoder_can_be_pickled():
    encoder = make_encoder(tokenizer_of("roberta"))
    assert pickle.loads(pickle.dumps(encoder)).encode(PAIRS) == encoder.encode(PAIRS)


def test_loader_workers_tokenise_on_one_thread_and_quietly(capfd, monkeypatch):
    monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
    encoder = make_encoder(tokenizer_of("bert"))
    expected_pairs = encoder.encode(PAIRS)  # threads are used before the fork: older tokenizers warn of that

    def collate(pairs):
        return encoder.encode(pairs), os.environ.get("TOKENIZERS_PARALLELISM")

    loader = DataLoader([PAIRS], batch_size=None, num_workers=1, collate_fn=collate, multiprocessing_context="fork")
    assert list(loader) == [(expected_pairs, "false")]
    assert "TOKENIZERS_PARALLELISM" not in os.environ
    assert capfd.readouterr().err == ""


def test_no_pairs():
    assert make_encoder(tokenizer_of("bert")).encode([]) == []


def test_limits_are_capped_by_model_and_tokenizer():
    tokenizer = tokenizer_of("bert")
    assert make_encoder(tokenizer, 32, 256, max_positions=64).pair_tokens == 64
    assert make_encoder(tokenizer, 32, 5000).pair_tokens == 512
    small = make_encoder(tokenizer, 32, 256, max_positions=33)  # 30 tokens of text: half of them for the query
    assert (small.pair_tokens, small.query_tokens) == (33, 15)
    ids, _ = small.encode([(LONG_QUERY, LONG_DOCUMENT)])[0]
    assert len(ids) == 33


def test_roberta_has_fewer_positions_than_its_table():
    assert max_positions(RobertaConfig(max_position_embeddings=514, pad_token_id=1)) == 512
    assert max_positions(BertConfig(max_position_embeddings=512)) == 512
    assert max_positions(config_of("roberta")) == 320


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"query_tokens": 0}, "room for a query and a document"),
        ({"document_tokens": 0}, "room for a query and a document"),
        ({"max_positions": 4}, "found a limit of 4 tokens a pair"),
    ],
)
def test_limits_without_room_are_refused(limits, message):
    with pytest.raises(InputError, match=message):
        make_encoder(tokenizer_of("bert"), **limits)


def test_tokenizer_without_padding_token_is_refused():
    tokenizer = tokenizer_of("bert", lowercase=False)
    tokenizer.pad_token = None
    with pytest.raises(InputError, match="padding token"):
        make_encoder(tokenizer)
