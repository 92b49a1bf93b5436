import json

import pytest

from cedistill.teachers.llm.asking import Limits
from cedistill.teachers.llm.journal import open_journal
from cedistill.teachers.llm.pace import Budget
from cedistill.teachers.llm.server import Server
from cedistill.teachers.llm.settings import Settings
from cedistill.teachers.llm.teach import teach


@pytest.fixture
def settings():
    """Settings with small windows and hardly a wait between attempts."""

    def made(**changes):
        limits = Limits(changes.pop("workers", 4), changes.pop("attempts", 8), first_wait=0.01)
        return Settings(**{"window": 4, "stride": 2, "limits": limits, **changes})

    return made


@pytest.fixture
def ask_server(tmp_path):
    """Teach from a server, with a journal in the test's folder; returns what was taught."""

    def asked(chat, collection, candidates, settings, budget=None, timeout=5.0, journal="journal.jsonl", key=None):
        model = Server("m", chat.url, key, timeout)
        with open_journal(tmp_path / journal) as answers:
            return teach(model, collection, candidates, settings, answers, budget or Budget())

    return asked


@pytest.fixture
def journal_keys(tmp_path):
    def keys(name="journal.jsonl"):
        return [json.loads(line)["key"] for line in (tmp_path / name).read_text().splitlines()]

    return keys


@pytest.fixture(scope="session")
def tiny_llm(tmp_path_factory):
    """A causal language model of 2 layers of width 32 with random weights; its tokens are bytes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, set_seed

    folder = tmp_path_factory.mktemp("models") / "tiny-llm"
    bytes_ = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = {word: number for number, word in enumerate(["<pad>", "<end>", *bytes_])}
    plain = Tokenizer(models.BPE(vocab=words, merges=[]))
    plain.pre_tokenizer, plain.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="<pad>", eos_token="<end>")
    tokenizer.chat_template = (
        "{% for message in messages %}{{ message.role }}: {{ message.content }}<end>{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    tokenizer.save_pretrained(folder)
    set_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=len(words), max_position_embeddings=4096, **sizes, pad_token_id=0, eos_token_id=1)
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder
