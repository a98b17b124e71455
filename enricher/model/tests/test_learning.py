"""Who may learn from what, how the interval is calibrated, and how the level follows the market."""

import hashlib
import json
import sys
import tempfile
import unittest
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

import drift  # noqa: E402
import judge  # noqa: E402
import learn  # noqa: E402
import level  # noqa: E402
import manifest  # noqa: E402
import split  # noqa: E402
import train  # noqa: E402
from calibrate import quantile, widening  # noqa: E402
from matrix import Sales  # noqa: E402
from recipe import Recipe, Task  # noqa: E402
from roost import Meaning  # noqa: E402

START = np.datetime64("2024-01-01")
SMALL = Recipe(
    seeds=1,
    random_seeds=1,
    random_learning_rate=0.15,
    trees=60,
    num_leaves=15,
    learning_rate=0.15,
    interval_trees=40,
    interval_num_leaves=7,
    interval_learning_rate=0.15,
)


def market(days: int, seed: int = 1, drift: float = 0.0) -> Sales:
    """Ten sales a day of homes whose price is their area's, times chance, times a drift per day."""
    random = np.random.default_rng(seed)
    count = 10 * days
    day = np.repeat(np.arange(days), 10)
    area = random.uniform(800, 3000, count)
    place = random.uniform(0, 1, count)
    log_price = np.log(area * 200) + 0.3 * place + drift * day + random.normal(0, 0.1, count)
    features = np.column_stack([area, place, np.where(random.uniform(size=count) < 0.1, np.nan, area / 500)])
    return Sales(
        features.astype(np.float32),
        np.exp(log_price),
        START + day.astype("timedelta64[D]"),
        np.full(count, "us/wa/x"),
        np.array([f"h{i}" for i in range(count)]),
    )


class Split(unittest.TestCase):
    def test_no_day_and_no_home_is_in_two_parts(self) -> None:
        sales = market(100)
        sales = replace(sales, home=np.array([f"h{i % 700}" for i in range(len(sales))]))
        older, newer = split.by_day(sales, START + np.timedelta64(60, "D"))
        self.assertLess(older.day.max(), newer.day.min())
        self.assertEqual(set(older.home) & set(newer.home), set())
        self.assertEqual(len(newer), 400)
        self.assertEqual(len(older), 600 - 300)

    def test_the_newest_share_ends_with_a_whole_day(self) -> None:
        sales = market(100)
        day = split.newest_share(sales, 0.15)
        self.assertEqual(len(sales.since(day)), 150)


class Calibration(unittest.TestCase):
    def test_the_rank_leaves_room_for_the_next_sale(self) -> None:
        self.assertEqual(quantile(np.arange(1.0, 10.0), 0.9), 9.0)
        self.assertEqual(quantile(np.arange(1.0, 20.0), 0.9), 18.0)

    def test_an_interval_that_was_too_narrow_holds_what_it_promises(self) -> None:
        random = np.random.default_rng(3)
        paid = random.normal(13, 0.2, 4000)
        raw = np.tile([12.95, 13.0, 13.02], (4000, 1))
        wider = widening(raw[:2000], paid[:2000])
        low, high = 12.95 - wider.low, 13.02 + wider.high
        self.assertAlmostEqual(float(np.mean(paid[2000:] < low)), 0.1, delta=0.02)
        self.assertAlmostEqual(float(np.mean(paid[2000:] > high)), 0.1, delta=0.02)

    def test_an_interval_that_was_too_wide_becomes_narrower(self) -> None:
        paid = np.random.default_rng(3).normal(13, 0.1, 2000)
        wider = widening(np.tile([12.0, 13.0, 14.0], (2000, 1)), paid)
        self.assertLess(max(wider.low, wider.high), 0.0)


class Level(unittest.TestCase):
    def test_a_residual_counts_once_it_is_known_and_until_it_is_old(self) -> None:
        closed = np.full(30, START)
        at = START + np.array([0, 7, 8, 35, 36], dtype="timedelta64[D]")
        self.assertEqual(level.shifts(closed, np.full(30, 0.05), at).tolist(), [0.0, 0.0, 0.05, 0.05, 0.0])

    def test_a_few_residuals_move_nothing(self) -> None:
        at = np.array([START + np.timedelta64(9, "D")])
        self.assertEqual(level.shifts(np.full(19, START), np.full(19, 0.05), at).tolist(), [0.0])

    def test_no_sale_corrects_itself_or_an_earlier_one(self) -> None:
        days = START + np.arange(100).repeat(5).astype("timedelta64[D]")
        log_paid = np.zeros(500)
        nothing = np.array([], dtype="datetime64[D]")
        before = level.served(np.zeros(500), log_paid, days, nothing, np.array([]))
        log_paid[days >= START + np.timedelta64(50, "D")] = 1.0
        after = level.served(np.zeros(500), log_paid, days, nothing, np.array([]))
        early = days <= START + np.timedelta64(57, "D")
        self.assertTrue((before[early] == after[early]).all())
        self.assertGreater(after[-1], 0.9)


class Procedure(unittest.TestCase):
    def test_the_whole_of_it_learns_and_the_network_agrees(self) -> None:
        sales = market(260)
        older, newer = split.by_day(sales, START + np.timedelta64(200, "D"))
        model = learn.learn(older, SMALL)
        judged = judge.metrics(model.prices(newer), newer.price)
        self.assertLess(judged["median_absolute_error"], 0.085)
        self.assertAlmostEqual(judged["interval_coverage"], 0.8, delta=0.06)
        about, task = manifest.About("a", "1", ""), Task(["living_area_sqft", "x", "month"], [], "sale", "USD", SMALL)
        made = manifest.network(model, about, 3)
        self.assertLess(manifest.disagreement(made, model, newer), manifest.PARITY)
        with tempfile.TemporaryDirectory() as directory:
            says = [Meaning("sqft", "area"), Meaning("?", "x"), Meaning("1 to 12", "month")]
            manifest.write(Path(directory), made, manifest.manifest(about, task, says, model, older, made, {}, []))
            read = json.loads((Path(directory) / "manifest.json").read_text(encoding="utf-8"))
        self.assertEqual(read["sha256"], hashlib.sha256(made).hexdigest())
        self.assertEqual([facts["unit"] for facts in read["inputs"]], ["sqft", "?", "1 to 12"])
        self.assertAlmostEqual(read["inputs"][2]["missing"], 0.1, delta=0.02)

    def test_prices_that_rose_since_training_are_followed(self) -> None:
        sales = market(300, drift=0.002)
        older, newer = split.by_day(sales, START + np.timedelta64(200, "D"))
        model = learn.learn(older, SMALL)
        late = newer.day >= START + np.timedelta64(240, "D")
        still = np.median(np.exp(model.log_prices(newer)[late, 1]) / newer.price[late] - 1)
        served = np.median(model.prices(newer)[late, 1] / newer.price[late] - 1)
        self.assertLess(still, -0.1)
        self.assertGreater(served, -0.06)

    def test_the_twin_knows_none_of_the_sales_it_is_scored_on(self) -> None:
        model = learn.learn(market(120), SMALL)
        self.assertEqual(len(np.unique(model.twin.sales.day)), learn.TWIN_DAYS)
        seed = learn.level_seed(model.twin)
        self.assertEqual(len(seed), 10 * level.WINDOW_DAYS)
        self.assertAlmostEqual(float(np.mean([s["low_miss"] > 0 for s in seed])), 0.1, delta=0.05)

    def test_one_changed_price_changes_the_fingerprint(self) -> None:
        sales = market(5)
        price = sales.price.copy()
        price[3] += 1
        self.assertEqual(sales.fingerprint(), market(5).fingerprint())
        self.assertNotEqual(sales.fingerprint(), replace(sales, price=price).fingerprint())


class Drift(unittest.TestCase):
    def test_a_level_that_is_off_is_seen_soon_and_one_that_is_right_never(self) -> None:
        random = np.random.default_rng(2)
        self.assertLessEqual(drift.seen_after(random.normal(-0.4, 0.12, 300)) or 300, 15)
        self.assertIsNone(drift.seen_after(random.normal(0.0, 0.12, 300)))


class Versions(unittest.TestCase):
    def test_a_version_is_the_next_number_or_the_given_one_and_never_one_that_is_there(self) -> None:
        with tempfile.TemporaryDirectory() as root:
            registry = Path(root)
            self.assertEqual(train.place(registry, "a", None), registry / "a/1")
            for version in ("2", "10", "2026-11"):
                (registry / "a" / version).mkdir(parents=True)
            self.assertEqual(train.place(registry, "a", None), registry / "a/11")
            self.assertEqual(train.place(registry, "a", "3"), registry / "a/3")
            self.assertEqual(train.place(registry, "b", None), registry / "b/1")
            with self.assertRaisesRegex(SystemExit, "a/2026-11 is there already"):
                train.place(registry, "a", "2026-11")


class Names(unittest.TestCase):
    def test_every_attribute_that_is_a_number_is_found_in_the_names(self) -> None:
        names = [
            "attributes.floors",
            "attributes.zipcode=98178",
            "ratio.living_area_sqft/attributes.sqft_living15",
            "comparables_similar_price.30.grade:0.5+view:.25",
            "ratio.comparables_similar_price_per_sqft.15.Local:Code:1/living_area_sqft",
            "comparables_similar_price",
        ]
        task = Task(names, [], "sale", "USD")
        self.assertEqual(task.numeric_attributes(), ["Local:Code", "floors", "grade", "sqft_living15", "view"])


if __name__ == "__main__":
    unittest.main()
