import collections
import functools
import json
import statistics

import pytest

from cedistill.data.qrels import read_qrels
from cedistill.data.runs import read_run
from cedistill.demo import demo_folder, demo_run
from cedistill.demo.draws import Draws
from cedistill.demo.first_stage import WordOverlap
from cedistill.demo.specialists import HABITS, habits, knowing
from cedistill.demo.words import Concept, read_words
from cedistill.demo.world import Document, Query, World, make_world
from cedistill.evaluation.measures import per_query

NUMBERS = range(len(HABITS))


def test_two_of_the_four_know_each_domain_and_every_two_share_some():
    words = read_words()
    knows = knowing(words)
    by_domain = [{knows[topic] for topic in domain.topics} for domain in words.domains]
    assert all(len(found) == 1 for found in by_domain)
    # 13 domains: the six pairs take two each and the first pair, of specialists 1 and 2, one more.
    pairs = collections.Counter(pair for found in by_domain for pair in found)
    assert pairs == {(0, 1): 3, (0, 2): 2, (0, 3): 2, (1, 2): 2, (1, 3): 2, (2, 3): 2}


def test_habits_by_hand():
    car, boat = Concept("topic", ("car",)), Concept("topic", ("boat",))
    buy, sell, rent = (Concept("task", (name,)) for name in ("buy", "sell", "rent"))
    spring, winter = (Concept("setting", (name,)) for name in ("in spring", "in winter"))
    kids, adults = (Concept("audience", (name,)) for name in ("kids", "adults"))
    pool = {"task": (buy, sell, rent), "setting": (spring, winter), "audience": (kids, adults)}
    query = Query("q", "test", car, {"task": rent, "setting": spring, "audience": kids})
    domain = read_words().domains[0]
    asked = Document("asked", domain, car, {"task": rent, "setting": spring, "audience": kids})
    mistaken = Document("mistaken", domain, car, {"task": buy, "setting": winter, "audience": adults})
    other = Document("other", domain, boat, {"task": buy, "setting": winter, "audience": kids})
    world = World((asked, mistaken, other), (query,), {car: pool, boat: pool})
    texts = {"asked": "rent it", "mistaken": "buy a car in winter", "other": "a boat"}
    overlap = {"asked": 5, "mistaken": 3}
    judges = habits(world, texts, {"q": "rent a car"}, {"rent a car": overlap}.__getitem__)
    assert [[judge(query, one) for one in world.documents] for judge in judges] == [
        [5_000, 3_000, 0],  # word overlap
        [2_000, 5_000, 2_000],  # long documents
        [-2_000, -5_000, -2_000],  # short documents
        [0, 6_000, -2_000],  # rent is taken for buy, spring for winter, kids for adults
    ]


@functools.cache
def _dev():
    """The queries of dev, what each specialist scored, and its nDCG@10 of each query."""
    world = make_world(read_words(), Draws.named("world"))
    qrels = read_qrels(demo_folder() / "qrels" / "dev.tsv")
    runs = [read_run(demo_run(f"dev.specialist-{number + 1}")) for number in NUMBERS]
    quality = [per_query(run, qrels, ["ndcg@10"])["ndcg@10"] for run in runs]
    return world, runs, quality


@pytest.mark.parametrize("number", NUMBERS)
def test_a_specialist_is_accurate_where_it_knows_and_poor_elsewhere(number):
    world, _, quality = _dev()
    knows = knowing(read_words())
    accurate = read_run(demo_run("dev.accurate"))
    qrels = read_qrels(demo_folder() / "qrels" / "dev.tsv")
    best = per_query(accurate, qrels, ["ndcg@10"])["ndcg@10"]
    known = [one.id for one in world.split("dev") if number in knows[one.topic]]
    unknown = [one.id for one in world.split("dev") if number not in knows[one.topic]]
    assert min(len(known), len(unknown)) > 30
    mean = {name: statistics.fmean(quality[number][one] for one in ids) for name, ids in (("k", known), ("u", unknown))}
    assert mean["k"] == pytest.approx(statistics.fmean(best[one] for one in known), abs=0.01)
    assert mean["u"] < 0.65


def test_where_they_do_not_know_they_rank_by_their_habits():
    world, runs, _ = _dev()
    knows = knowing(read_words())
    texts = {
        one["_id"]: f"{one['title']} {one['text']}"
        for one in map(json.loads, (demo_folder() / "corpus.jsonl").read_text().splitlines())
    }
    queries = {
        one["_id"]: one["text"] for one in map(json.loads, (demo_folder() / "queries.jsonl").read_text().splitlines())
    }
    by_id = {one.id: one for one in world.documents}
    judges = habits(world, texts, queries, WordOverlap(texts).scores)
    for query in world.split("dev")[:12]:
        for number in set(NUMBERS) - set(knows[query.topic]):
            scores = runs[number][query.id]
            away = [1_000 * score - judges[number](query, by_id[one]) for one, score in scores.items()]
            # The noise is never beyond 3.5 deviations.
            assert max(map(abs, away)) <= 1_050.5 and 200 < statistics.pstdev(away) < 400, HABITS[number]
