"""A local model through transformers: the same teacher on a GPU (or a patient processor) without a server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer

from cedistill.errors import InputError, shown
from cedistill.model.checkpoints import find_source, quiet
from cedistill.model.reranker import default_device
from cedistill.teachers.llm.asking import answer_limit
from cedistill.teachers.llm.prompts import Messages
from cedistill.teachers.llm.questions import Completion, Question, Refused

_LIKELIEST_OF = 4
"""Tokens of an answer whose likeliest alternatives are kept."""

Waiting = tuple[Question, asyncio.Future[Completion]]


@dataclass
class LocalModel:
    """A causal language model; questions that wait at the same time are answered in one batch, greedily."""

    name: str
    model: Any
    tokenizer: Any
    batch: int
    _waiting: list[Waiting] = field(default_factory=list)
    _at_work: asyncio.Task[None] | None = None

    async def answer(self, question: Question) -> Completion:
        """Answer a question, together with others that wait."""
        future: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future))
        if self._at_work is None or self._at_work.done():
            self._at_work = asyncio.create_task(self._work())
        return await future

    async def close(self) -> None:
        """Nothing to let go of: the memory goes with the process."""

    async def _work(self) -> None:
        await asyncio.sleep(0)  # let those who ask at the same time come in
        while self._waiting:
            first = self._waiting[0][0].parameters
            batch = [one for one in self._waiting if one[0].parameters == first][: self.batch]
            self._waiting = [one for one in self._waiting if one not in batch]
            try:
                answers = await asyncio.to_thread(self.complete, [question for question, _ in batch])
            except Exception as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)

    @torch.inference_mode()
    def complete(self, questions: Sequence[Question]) -> list[Completion]:
        """Answer questions of the same parameters in one batch, the likeliest token each time.

        Raises:
            Refused: a question and its answer do not fit into the model's context.
        """
        longest = answer_limit(questions[0])
        texts = [self._prompt(question.messages) for question in questions]
        inputs = self.tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        context = getattr(self.model.config, "max_position_embeddings", None)
        asked = inputs["input_ids"].shape[1]
        if context is not None and asked + longest > context:
            raise Refused(
                f"expected a question and answer of at most {context} tokens, found {asked} + {longest}; "
                "lower --window, --passage-words or --answer-tokens"
            )
        likeliest = int(questions[0].parameters.get("top_logprobs", 0))
        output = self.model.generate(
            **inputs.to(self.model.device),
            max_new_tokens=longest,
            do_sample=False,
            temperature=None,
            top_p=None,
            top_k=None,
            pad_token_id=self.tokenizer.pad_token_id,
            return_dict_in_generate=True,
            output_logits=likeliest > 0,
        )
        found = []
        for row, mask in enumerate(inputs["attention_mask"]):
            new = output.sequences[row, asked:]
            text = self.tokenizer.decode(new, skip_special_tokens=True)
            tokens = self._likeliest(output.logits, row, likeliest) if likeliest else None
            taken = int((new != self.tokenizer.pad_token_id).sum())
            found.append(Completion(text, tokens, int(mask.sum()), taken))
        return found

    def _likeliest(self, logits: Sequence[torch.Tensor], row: int, count: int) -> list[dict[str, float]]:
        tokens = []
        for step in logits[:_LIKELIEST_OF]:
            top = step[row].float().log_softmax(-1).topk(min(count, step.shape[-1]))
            words = [self.tokenizer.decode([token]) for token in top.indices.tolist()]
            likeliest: dict[str, float] = {}
            for word, value in zip(words, top.values.tolist(), strict=True):
                likeliest.setdefault(word, value)
            tokens.append(likeliest)
        return tokens

    def _prompt(self, messages: Messages) -> str:
        if self.tokenizer.chat_template:
            return self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        return "\n\n".join([*(message["content"] for message in messages), ""])


def load_local(name: str, identity: str, batch: int) -> LocalModel:
    """Load a causal language model, with its weights in the type they are kept in, on an accelerator if there is one.

    Args:
        name: a folder or Hub id.
        identity: what stands for it in the journal.
        batch: questions answered at once.

    Raises:
        InputError: no such model, or one that transformers cannot load as that.
    """
    source = find_source(name)
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(
                source.path, local_files_only=source.local_only, padding_side="left"
            )
            model: Any = AutoModelForCausalLM.from_pretrained(
                source.path,
                revision=source.weights_revision or "main",
                local_files_only=source.local_only,
                use_safetensors=True,
                dtype="auto",
            )
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise InputError(
            f"llm:{name}: expected a causal language model that transformers loads, found {shown(reason, 160)}; "
            "check that its files are there and whole"
        ) from error
    model.to(default_device()).eval()
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return LocalModel(identity, model, tokenizer, batch)
