"""`make bench`: training and scoring speed beside sentence-transformers, encoders of the study, whole commands.

    python benchmarks/speed [--only PART]... [--repetitions N] [--output FOLDER]

Contenders run in turns (A B A B). Writes MACHINE.json and MACHINE.md into results/speed; a part that is run alone takes
the place of its figures in a file that is there. ``flops_per_second`` of a GPU's file is what the dry run of a study
computes its hours from.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import commands
import contenders
import encoders
import machine
import texts
from report import markdown

RESULTS = Path(__file__).resolve().parents[2] / "results" / "speed"
BACKBONES = {"cpu": ("minilm-l6",), "cuda": ("minilm-l12", "bert-base", "ettin-150m", "deberta-v3-base")}
MODEL = contenders.MODEL
TRAINED = {"distill-ranknet": (4, 8), "margin-mse": (16, 2)}
"""Lists of a step and documents of a list, by the objective that is trained."""


def main() -> None:
    """Measure and write."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", action="append", choices=list(PARTS), help="run this part; may be repeated")
    options.add_argument("--repetitions", type=int, default=3, help="turns of each contender")
    options.add_argument("--pairs", type=int, default=256, help="pairs that are scored")
    options.add_argument("--steps", type=int, default=12, help="steps of a training run")
    options.add_argument("--output", type=Path, default=RESULTS)
    options.add_argument("--objective", action="append", choices=list(TRAINED), help="train this; may be repeated")
    options.add_argument("--precision", action="append", choices=list(machine.TYPES), help="train in this; as well")
    options.add_argument("--compiled", action="store_true", help="encoders through torch.compile too; always on a GPU")
    options.add_argument("--clock", choices=list(machine.CLOCKS), default="wall")
    given = options.parse_args()
    machine.choose_clock(given.clock)
    here = machine.describe()
    path = given.output / f"{machine.slug(here)}.json"
    content = json.loads(path.read_text()) if path.is_file() else {}
    content["machine"] = here
    command = shlex.join(["python", "benchmarks/speed", *sys.argv[1:]])
    for name in given.only or PARTS:
        print(f"{name} ...", flush=True)  # noqa: T201
        content[name] = PARTS[name](given) | {
            "command": command,
            "clock": given.clock,
            "load": here["load"],
            "measured": datetime.now(UTC).isoformat(timespec="minutes"),
        }
        if name == "encoders":
            content["flops_per_second"] = content[name].pop("flops_per_second")
        given.output.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=1) + "\n")
        path.with_suffix(".md").write_text(markdown(content))
    print(markdown(content))  # noqa: T201


def _saved(folder: str) -> Any:
    from cedistill.model.backbones import load_backbone
    from cedistill.model.saving import save_model

    model, tokenizer = load_backbone(MODEL, contenders.SEED)
    save_model(folder, model, tokenizer, max_length=288)
    return tokenizer


def training(given: argparse.Namespace) -> dict[str, Any]:
    """Measure pairs a second of training, for RankNet over lists of eight and MarginMSE over lists of two."""
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = _saved(f"{folder}/model")
        for objective in given.objective or TRAINED:
            lists, size = TRAINED[objective]
            setting = contenders.Setting(objective, lists, size, given.steps)
            drawn = contenders.lists_of(setting)
            pairs = [(one.query, text) for one in (drawn[k] for k in range(len(drawn))) for text in one.documents]
            lengths = contenders.lengths_of(tokenizer, pairs)
            found = contenders.training_contenders(f"{folder}/model", setting, given.precision)
            rates = contenders.rates()
            seconds = contenders.in_turns(found, given.repetitions, given.clock)
            again = contenders.rates()
            best = {name: max(rates[name], again[name]) for name in rates}
            result[f"{objective}, {lists} lists of {size}"] = _compared(
                seconds, len(pairs) / given.steps, _flops(lengths) * 3 / given.steps, best
            ) | {"tokens_per_pair": sum(lengths) / len(lengths)}
    return result


def scoring(given: argparse.Namespace) -> dict[str, Any]:
    """Measure pairs a second of scoring."""
    name, pairs = texts.scored_pairs(given.pairs)
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = _saved(f"{folder}/model")
        lengths = contenders.lengths_of(tokenizer, pairs)
        found = contenders.scoring_contenders(f"{folder}/model", given.pairs)
        rates = contenders.rates()
        seconds = contenders.in_turns(found, given.repetitions, given.clock)
        again = contenders.rates()
    best = {precision: max(rates[precision], again[precision]) for precision in rates}
    compared = _compared(seconds, len(pairs), _flops(lengths), best)
    return {f"{len(pairs)} pairs of {name}": compared | {"tokens_per_pair": sum(lengths) / len(lengths)}}


def _flops(lengths: list[int]) -> float:
    return sum(encoders.forward_flops(encoders.SHAPES[MODEL], length) for length in lengths)


def _compared(
    seconds: dict[str, contenders.Seconds], pairs: float, flops: float, rates: dict[str, float]
) -> dict[str, Any]:
    rows = {}
    for name, times in seconds.items():
        precision = name.split()[1].strip(",")
        rows[name] = {
            "pairs_per_second": pairs / times.median,
            "slowest": pairs / max(times),
            "fastest": pairs / min(times),
            "share_of_matrix_rate": flops / times.median / rates[precision],
        }
    return {"matrix_flops_per_second": rates, "contenders": rows}


def encoders_(given: argparse.Namespace) -> dict[str, Any]:
    """Measure encoders of the study: scoring at two lengths, steps a second of its settings, hours, a profile."""
    from cedistill.model.precision import choose_precision

    place = machine.device()
    kind = "cuda" if place.type == "cuda" else "cpu"
    rows: dict[str, Any] = {}
    for name in BACKBONES[kind]:
        precision = choose_precision("auto", place, encoders.SHAPES[name].width)
        pairs = 4096 if kind == "cuda" else 64
        settings = encoders.study_settings(name)
        sizes = sorted({one["documents"] for one in settings.values()})
        trained = {size: encoders.training(name, precision, place, size, given.repetitions) for size in sizes}
        rows[name] = {
            "precision": precision,
            "scoring": [
                encoders.scoring(name, precision, place, tokens, pairs, given.repetitions)
                for tokens in (encoders.TOKENS, encoders.LONG)
            ],
            "training": list(trained.values()),
            "compiled": [
                encoders.training(name, precision, place, size, given.repetitions, compiled=True)
                for size in (sizes if kind == "cuda" or given.compiled else ())
            ],
            "study": {
                objective: one
                | {"steps_per_second": trained[one["documents"]]["steps_per_second"]}
                | {"hours": one["steps"] / trained[one["documents"]]["steps_per_second"] / 3600}
                for objective, one in settings.items()
            },
            "profile": encoders.profile(name, precision, place, sizes[0]),
        }
        print(f"  {name} done", flush=True)  # noqa: T201
    return {
        "backbones": rows,
        "matrix_flops_per_second": contenders.rates(),
        "flops_per_second": {
            "training": _harmonic([one["flops_per_second"] for row in rows.values() for one in row["training"]]),
            "scoring": _harmonic([row["scoring"][0]["flops_per_second"] for row in rows.values()]),
        },
    }


def _harmonic(rates: list[float]) -> float:
    return len(rates) / sum(1 / rate for rate in rates)


def commands_(given: argparse.Namespace) -> dict[str, Any]:
    """Measure whole commands."""
    return {
        "cedistill --help": {"next": commands.start_up()},
        "cedistill retrieve --retriever bm25 --depth 1000": commands.first_stage(),
        "cedistill metrics, 6 980 queries with 1 000 results": commands.metrics(),
    }


PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "training": training,
    "scoring": scoring,
    "encoders": encoders_,
    "commands": commands_,
}

if __name__ == "__main__":
    main()
