"""What an objective of several teachers does before distillation: a collaborative start, and specialised teachers.

Both are made once for a run, in a folder beside its checkpoints, and read from there when it is resumed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file

from cedistill.cache import built_once
from cedistill.config.objective import Objective, Schedule, schedule
from cedistill.config.train_data import TrainData
from cedistill.data.lists import TrainingLists
from cedistill.data.pools import Pools, load_pools
from cedistill.data.runs import Run, write_run
from cedistill.mixture.calibrators import specialisation_loss
from cedistill.mixture.weights import heard_scores
from cedistill.model.backbones import group_of, load_backbone
from cedistill.model.reranker import default_device, score_pairs
from cedistill.training.mixture import MixtureObjective, mixture_objective
from cedistill.training.record import Progress
from cedistill.training.start import Learner, batch_of, learner, scores_of, start_together
from cedistill.training.trained_loss import load_loss, save_loss

_STUDENT = "student.safetensors"
_START_SEED, _SPECIALISE_SEED = 1, 2  # added to the run's, so that the stages see lists in different orders


class Prepared(NamedTuple):
    """What distillation starts from: the pools with the peers among their teachers, and the loss."""

    pools: Pools
    loss: MixtureObjective


class Job(NamedTuple):
    """A run of an objective with a ``[mixture]`` table: its data as references and as pools, its student."""

    objective: Objective
    data: TrainData
    pools: Pools
    plan: Schedule
    seed: int
    model: Any
    tokenizer: Any


def prepare(job: Job, folder: Path, report: Callable[[str], Progress] | None = None) -> Prepared:
    """Take the stages before distillation, or what an interrupted run kept of them; the student is changed in place.

    Args:
        job: the run.
        folder: where what comes of the stages is kept; it appears when they are done.
        report: given the name of a stage, returns what is called as it advances.

    Raises:
        InputError: an unknown peer, or one without a schedule in the objective.
        DivergedError: the loss is no finite number.
    """
    settings = job.objective.mixture
    assert settings is not None
    if not settings.start.steps and not settings.specialise.steps:
        return Prepared(job.pools, mixture_objective(job.objective, teacher_names(job.pools), job.seed))
    told = report or (lambda name: lambda done, total, words: None)
    built_once(folder, lambda empty: _build(job, empty, told))
    if (folder / _STUDENT).is_file():
        job.model.load_state_dict(load_file(folder / _STUDENT), strict=False)
    pools = _with_peers(job, folder)
    loss = mixture_objective(job.objective, teacher_names(pools), job.seed)
    if settings.specialise.steps:
        load_loss(loss, folder)
    return Prepared(pools, loss)


def teacher_names(pools: Pools) -> list[str]:
    """Return the names of the teachers of pools: of their files, numbered where those do not tell them apart."""
    names = [one.file.removesuffix(".gz").removesuffix(".trec") for one in pools.inputs if one.role == "teacher"]
    count = len(pools.table[0]["scores"])
    if len(names) != count:
        return [f"teacher-{number}" for number in range(1, count + 1)]
    return [f"{name}-{place}" if names.count(name) > 1 else name for place, name in enumerate(names, start=1)]


def _build(job: Job, folder: Path, report: Callable[[str], Progress]) -> None:
    settings = job.objective.mixture
    assert settings is not None
    torch.manual_seed(job.seed)
    device = default_device()
    student = learner(job.model, job.tokenizer, job.objective, job.plan.learning_rate, device)
    if settings.start.steps:
        peers = [_peer(name, job, place, device) for place, name in enumerate(settings.start.peers)]
        lists = _lists(job, job.pools, _START_SEED, settings.start.steps)
        per_step = job.plan.lists_per_step
        told = report("collaborative start")
        start_together([student, *peers], lists, per_step, job.objective, settings.start.temperature, told)
        save_file({name: one.contiguous() for name, one in _distinct(job.model).items()}, folder / _STUDENT)
        for place, (name, peer) in enumerate(zip(settings.start.peers, peers, strict=True)):
            run = _scored(peer, job.pools, report(f"scores of {name}"))
            write_run(folder / _peer_file(place, name), run, "peer")
    if settings.specialise.steps:
        pools = _with_peers(job, folder)
        loss = mixture_objective(job.objective, teacher_names(pools), job.seed)
        _specialise(loss, student, _lists(job, pools, _SPECIALISE_SEED, settings.specialise.steps), job, report)
        save_loss(loss, folder)


def _specialise(
    loss: MixtureObjective, student: Learner, lists: TrainingLists, job: Job, report: Callable[[str], Progress]
) -> None:
    settings = job.objective.mixture
    calibrators = loss.mixture.calibrators
    assert settings is not None and calibrators is not None
    device = next(student.model.parameters()).device
    calibrators.requires_grad_(True).to(device)
    optimizer = torch.optim.Adam(calibrators.parameters(), settings.specialise.learning_rate)
    told, per_step = report("specialised teachers"), job.plan.lists_per_step
    student.model.eval()
    for step in range(settings.specialise.steps):
        batch = batch_of(student, [lists[number] for number in range(step * per_step, (step + 1) * per_step)])
        with torch.no_grad():
            scores = scores_of(student, batch)
        teachers, judged, labels = (batch[name].to(device) for name in ("teachers", "teacher_mask", "labels"))
        z, heard = heard_scores(teachers, judged)
        weight = settings.specialise.label_weight
        value = specialisation_loss(scores, calibrators(z, heard), labels, heard, settings.temperature, weight)
        if value.requires_grad:
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
        told(step + 1, settings.specialise.steps, f"loss {value.item():.4f}")
    calibrators.requires_grad_(False)


def _peer(name: str, job: Job, place: int, device: torch.device) -> Learner:
    model, tokenizer = load_backbone(name, job.seed + 1 + place)
    rate = schedule(job.objective, group_of(name, model.config)).learning_rate
    return learner(model, tokenizer, job.objective, rate, device)


def _lists(job: Job, pools: Pools, number: int, steps: int) -> TrainingLists:
    return TrainingLists(pools, job.objective.lists, job.seed + number, steps * job.plan.lists_per_step)


def _scored(peer: Learner, pools: Pools, told: Progress) -> Run:
    """Return a frozen peer's scores of all documents of the pools."""
    rows = [pools.table[row] for row in range(pools.table.num_rows)]
    places = [(row["query_id"], one) for row in rows for one in row["document_ids"]]
    pairs = [(pools.queries[query_id], pools.documents[one]) for query_id, one in places]
    scores = score_pairs(
        peer.model, peer.encoder, pairs, precision=peer.precision, progress=lambda done, all_: told(done, all_, "")
    )
    run: Run = {}
    for (query_id, document_id), score in zip(places, scores.tolist(), strict=True):
        run.setdefault(query_id, {})[document_id] = score
    return run


def _with_peers(job: Job, folder: Path) -> Pools:
    settings = job.objective.mixture
    assert settings is not None
    if not settings.start.steps or not settings.start.peers:
        return job.pools
    runs = [str(folder / _peer_file(place, name)) for place, name in enumerate(settings.start.peers)]
    data = job.data.model_copy(update={"teachers": (*job.data.teachers, *runs)})
    labels = "labels" in job.objective.lists.needs
    return load_pools(data, labels=labels, positives=job.objective.lists.positives or "judged")


def _peer_file(place: int, name: str) -> str:
    return f"peer-{place + 1}-{Path(name).name}.trec.gz"


def _distinct(model: Any) -> dict[str, torch.Tensor]:
    """Return the weights of a model, each shared one once."""
    seen: set[int] = set()
    state = {}
    for name, one in model.state_dict().items():
        if one.data_ptr() not in seen or not one.numel():
            seen.add(one.data_ptr())
            state[name] = one.detach().cpu()
    return state
