"""How the command ends: whatever it is given, in one sentence that says which file, where and what to do."""

import contextlib
import io
import json
import sys
import tempfile
import unittest
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

import files  # noqa: E402
import matrix  # noqa: E402
import roost  # noqa: E402
import rows  # noqa: E402
import train  # noqa: E402
from recipe import Task  # noqa: E402

FEATURES = {"features": ["living_area_sqft"], "required": [], "transaction": "sale", "currency": "USD"}
MAP = '[fields]\nListingKey = "id"\nCloseDate = "sold"\nClosePrice = "price"\n'


def end(directory: Path, *more: str) -> tuple[int, str]:
    """The exit code of the command and what it says last, of sales, a map and features in a directory."""
    command = ["train.py", str(directory / "sales.csv"), "--map", str(directory / "map.toml")]
    command += ["--features", str(directory / "features.json"), "--out", str(directory / "registry"), *more]
    said = io.StringIO()
    with mock.patch.object(sys, "argv", command), contextlib.redirect_stderr(said):
        try:
            train.main()
        except SystemExit as error:
            if isinstance(error.code, str):
                return 1, error.code
            return int(error.code or 0), said.getvalue().strip().splitlines()[-1]
    return 0, ""


class Ends(unittest.TestCase):
    def setUp(self) -> None:
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.here = Path(made.name)
        (self.here / "sales.csv").write_text("id;sold;price\n1;2024-01-01;500000\n", encoding="utf-8")
        (self.here / "map.toml").write_text(MAP, encoding="utf-8")
        (self.here / "features.json").write_text(json.dumps(FEATURES), encoding="utf-8")

    def test_arguments_that_roost_would_not_take_are_refused_before_anything_is_read(self) -> None:
        for more in [
            ("--name", "../../x"), ("--version", "../../zz"), ("--version", "a b"), ("--name", ".x"), ("--name", "x" * 65),
            ("--name", ""), ("--name", "ä"), ("--version", "1\n"), ("--countries", "US,usa"), ("--countries", "U1"),
        ]:  # fmt: skip
            code, said = end(self.here / "absent", *more)
            self.assertEqual(code, 2, more)
            self.assertIn(f"argument {more[0]}: ", said)
        self.assertEqual(train.plain_name("my-market_2.0"), "my-market_2.0")
        self.assertEqual(train.countries("US, ca,us"), ("us", "ca"))

    def test_a_features_file_that_cannot_be_used_says_where(self) -> None:
        path = self.here / "features.json"
        cases = {
            "{": "features.json:1: is no JSON",
            "[]": "is no JSON object",
            '{"features": ' + "[" * 100_000: "nested too deep",
            json.dumps({k: v for k, v in FEATURES.items() if k != "required"}): "has no `required`",
            json.dumps({**FEATURES, "require": []}): "`require`, which is unknown",
            json.dumps({**FEATURES, "required": ["x"]}): "required: no feature: x",
            json.dumps({**FEATURES, "required": "x"}): "required: `x` is no list",
            json.dumps({**FEATURES, "features": ["a", "a"]}): "features: a is there twice",
            json.dumps({**FEATURES, "recipe": {"tree": 3}}): "recipe: `tree` is unknown (meant: trees?)",
            json.dumps({**FEATURES, "recipe": {"trees": "many"}}): "recipe.trees: `many`",
            json.dumps({**FEATURES, "recipe": {"trees": 0}}): "recipe.trees: `0`",
            json.dumps({**FEATURES, "currency": "usd"}): "currency: `usd`",
        }
        for content, told in cases.items():
            path.write_text(content, encoding="utf-8")
            code, said = end(self.here)
            self.assertEqual(code, 1)
            self.assertTrue(said.startswith(str(path)) and told in said, said)
        path.unlink()
        self.assertEqual(end(self.here)[1], f"{path}: cannot be read: No such file or directory (is it the right path?)")

    def test_sales_and_maps_that_cannot_be_read_end_in_a_sentence(self) -> None:
        (self.here / "map.toml").write_text("[fields]\nYearBuilt = 5\n", encoding="utf-8")
        code, said = end(self.here)
        self.assertTrue(code == 1 and said.startswith(f"{self.here / 'map.toml'}: fields.YearBuilt: `5`"), said)
        (self.here / "map.toml").write_text(MAP, encoding="utf-8")
        (self.here / "sales.csv").write_text('id;sold\n1;"2\n', encoding="utf-8")
        code, said = end(self.here)
        self.assertTrue(code == 1 and said.startswith(f"{self.here / 'sales.csv'}:2: a quote"), said)
        (self.here / "sales.csv").unlink()
        code, said = end(self.here)
        self.assertTrue(code == 1 and said.startswith(f"{self.here / 'sales.csv'}: cannot be read"), said)

    def test_roost_speaks_of_the_file_of_the_user(self) -> None:
        sales = self.here / "sales.csv"
        sales.write_text("id;sold;price\n1;2024-01-01;\n2;2024-01-01;7\n", encoding="utf-8")

        def refuse(written: Path, *_: object) -> list[str]:
            raise roost.RoostError(f"roost: {written}:2: is bad; {written} has no column 'x'")

        with mock.patch.object(roost, "features", refuse):
            self.assertEqual(end(self.here), (1, f"{sales}:3: is bad; {sales} has no column 'x'"))

        def nothing(_written: Path, _mapping: Path, _names: list[str], output: Path) -> list[str]:
            output.write_text(
                "transaction,currency,close_price,close_date,listing_id,market,living_area_sqft\n", encoding="utf-8"
            )
            return ["rows.csv:2: City: is missing"]

        with mock.patch.object(roost, "features", nothing):
            code, said = end(self.here)
        self.assertEqual((code, said.partition(": 0 usable sales of 2 rows")[0]), (1, str(sales)))
        self.assertIn("price_missing dropped 1; refused dropped 1", said)

    def test_a_roost_that_cannot_be_run_is_named(self) -> None:
        with mock.patch.dict("os.environ", {"ROOST": "/absent/roost"}):
            code, said = end(self.here)
        self.assertEqual((code, said.partition(": ")[0]), (1, "/absent/roost"))


class Judging(unittest.TestCase):
    def sales(self, days: int, count: int = 2_500) -> matrix.Sales:
        day = np.datetime64("2024-01-01") + np.sort(np.arange(count) % days).astype("timedelta64[D]")
        features = np.ones((count, 3), dtype=np.float32)
        home = np.array([f"h{n}" for n in range(count)])
        return matrix.Sales(features, np.full(count, 5e5), day, np.full(count, "us/wa/x"), home)

    def test_a_feature_that_no_sale_has_is_named_with_the_nearest(self) -> None:
        task = Task(["living_area_sqft", "attributes.grad", "month"], [], "sale", "USD")
        sales = self.sales(9)
        self.assertIsNone(train.nowhere(sales, task, []))
        features = sales.features.copy()
        features[1:, 1] = np.nan
        self.assertIsNone(train.nowhere(replace(sales, features=features), task, []))
        features[0, 1] = np.nan
        told = train.nowhere(replace(sales, features=features), task, ["grade", "view"])
        self.assertIn("attributes.grad is missing in all 2,500 sales; the nearest that they have is attributes.grade", told or "")

    def test_attributes_are_those_that_rows_have(self) -> None:
        mapping = rows.Mapping({"attributes": {"grade": "g", "empty": "e"}})
        table = files.Table(None, [(1, {"g": 7, "e": "", "attributes": {"own": 1}})])
        self.assertEqual(train._attributes(table, mapping), ["grade", "own"])

    def test_sales_of_too_few_days_are_not_judged(self) -> None:
        task = Task(["a", "b", "c"], [], "sale", "USD")
        for days in (1, 20, 50):
            with self.assertRaisesRegex(files.InputError, "lie too close together"):
                train.judge_procedure(self.sales(days), task)


if __name__ == "__main__":
    unittest.main()
