"""The rules on rows: each bad row is named by its line, and dropped or mended as its rule says."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import files  # noqa: E402
import rows  # noqa: E402

FIELDS = {
    "ListingKey": "id",
    "CloseDate": {"column": "sold", "date": "%Y-%m-%d"},
    "ClosePrice": {"column": "price", "unless": {"status": ["for sale"]}},
    "LivingArea": "area",
    "BedroomsTotal": "beds",
    "PropertyType": {"column": "status", "values": {"let": "Residential Lease"}, "keep_others": True},
}
MAPPING = rows.Mapping({"fields": FIELDS, "attributes": {"grade": "grade"}})
COLUMNS = ["id", "sold", "price", "area", "beds", "grade", "status"]


def table(*more: dict[str, str]) -> files.Table:
    """Twenty usual sales in lines 2 to 21, and behind them some others."""
    usual = {"sold": "2024-03-01", "price": "500000", "area": "2000", "beds": "3", "grade": "7", "status": ""}
    lines = [{**usual, "id": f"u{i}"} for i in range(20)] + [{**usual, **row} for row in more]
    return files.Table(COLUMNS, list(enumerate(lines, 2)))


def check(*more: dict[str, str]) -> tuple[list[tuple[str, int]], list[files.Row]]:
    """Rules and lines found, and the rows behind the usual ones that are left."""
    checked = rows.check(table(*more), MAPPING, ["grade"])
    return [(f.rule, f.line) for f in checked.findings], [row for line, row in checked.rows if line > 21]


class Rules(unittest.TestCase):
    def test_usual_sales_pass_untouched(self) -> None:
        before = table({"id": "a"})
        checked = rows.check(table({"id": "a"}), MAPPING, ["grade"])
        self.assertEqual(checked.rows, before.rows)
        self.assertEqual(checked.findings, [])

    def test_a_text_where_a_number_belongs_counts_as_missing(self) -> None:
        found, left = check({"id": "a", "beds": "three", "grade": "good"}, {"id": "b", "area": "$1,900.00"})
        self.assertEqual(found, [("text_in_number", 22), ("text_in_number", 22)])
        self.assertEqual([(row["beds"], row["grade"], row["area"]) for row in left], [("", "", "2000"), ("3", "7", "$1,900.00")])

    def test_a_sale_without_a_price_that_can_be_read_is_dropped(self) -> None:
        found, left = check({"id": "a", "price": "on request"}, {"id": "b", "price": "310"}, {"id": "c", "price": "9.9e7"})
        self.assertEqual(found, [("price_unreadable", 22), ("price_out_of_range", 23), ("price_out_of_range", 24)])
        self.assertEqual(left, [])

    def test_square_metres_become_square_feet(self) -> None:
        found, left = check({"id": "a", "area": "186"}, {"id": "b", "area": "900", "beds": "2"})
        self.assertEqual(found, [("area_in_m2", 22)])
        self.assertEqual([row["area"] for row in left], ["2002", "900"])

    def test_33_bedrooms_in_1620_sqft_are_a_typing_error(self) -> None:
        found, left = check({"id": "a", "beds": "33", "area": "1620"}, {"id": "b", "beds": "11", "area": "3000"})
        self.assertEqual(found, [("impossible_rooms", 22)])
        self.assertEqual([row["beds"] for row in left], ["", "11"])

    def test_dates_in_other_forms_are_written_in_that_of_the_mapping(self) -> None:
        sold = ["03/14/2024", "20240314T000000", "14.3.2024", "2024-03-14T00:00:00", "soon"]
        found, left = check(*({"id": f"d{i}", "sold": text} for i, text in enumerate(sold)))
        self.assertEqual(found, [*(("date_form", line) for line in range(22, 26)), ("date_unreadable", 26)])
        self.assertEqual([row["sold"] for row in left], ["2024-03-14"] * 4)

    def test_of_a_home_that_is_twice_in_the_file_the_last_row_counts(self) -> None:
        found, left = check(
            {"id": "a", "price": "400000"},
            {"id": "a", "price": "410000", "sold": "03/01/2024"},
            {"id": "a", "sold": "2024-09-01"},
        )
        self.assertEqual(sorted(found), [("date_form", 23), ("duplicate_home", 22)])
        self.assertEqual([row["price"] for row in left], ["410000", "500000"])

    def test_a_closing_without_a_price_is_named(self) -> None:
        found, left = check(
            {"id": "a", "price": ""}, {"id": "b", "price": "", "sold": ""}, {"id": "c", "price": "", "status": "let"}
        )
        self.assertEqual(found, [("price_missing", 22)])
        self.assertEqual([row["id"] for row in left], ["b", "c"])

    def test_50_bathrooms_are_a_typing_error(self) -> None:
        with_baths = rows.Mapping({"fields": {**FIELDS, "BathroomsFull": "grade"}})
        more = [
            {"id": "a", "grade": "50"},
            {"id": "b", "grade": "50", "area": "6000"},
            {"id": "c", "grade": "12", "area": "", "beds": ""},
        ]
        checked = rows.check(table(*more, {"id": "d", "grade": "12", "beds": "10", "area": "9000"}), with_baths)
        self.assertEqual([(f.rule, f.line) for f in checked.findings], [("impossible_bathrooms", line) for line in (22, 23, 24)])
        self.assertEqual(checked.rows[-1][1]["id"], "d")

    def test_a_longitude_without_its_minus_is_found(self) -> None:
        placed = rows.Mapping({"fields": {**FIELDS, "Latitude": "lat", "Longitude": "lon"}})
        usual = files.Table([], [(n, {**row, "lat": "47.5", "lon": str(-122 - n / 100)}) for n, row in table({}).rows])
        for line, (lat, lon) in enumerate([("47.6", "122.2"), ("0", "0"), ("45", "-120"), ("", "")], 30):
            usual.rows.append((line, {**usual.rows[0][1], "id": str(line), "lat": lat, "lon": lon}))
        checked = rows.check(usual, placed)
        found = [(f.rule, f.line) for f in checked.findings if f.rule != "duplicate_home"]
        self.assertEqual(found, [("place_far_off", 30), ("place_far_off", 31)])

    def test_what_is_no_sale_is_nobodys_business(self) -> None:
        found, left = check({"id": "a", "status": "For Sale", "beds": "x"}, {"id": "b", "status": "Let", "price": "2100"})
        self.assertEqual((found, len(left)), ([], 2))


class Mappings(unittest.TestCase):
    def test_what_is_wrong_with_a_mapping_is_told_by_its_key(self) -> None:
        wrong = {
            'LivingArea = { column = "a", unit = "yards" }': "fields.LivingArea: `yards` is no unit",
            "YearBuilt = 5": "fields.YearBuilt: `5` is no rule",
            'YearBuilt = { unit = "m2" }': "fields.YearBuilt: names no column",
            'YearBuilt = { column = "a", when = { b = 3 } }': "fields.YearBuilt.when: ",
            'CloseDate = { column = "a", date = 7 }': "fields.CloseDate.date: `7`",
            "[": "at line 2",
        }
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "map.toml"
            for line, told in wrong.items():
                path.write_text(f"[fields]\n{line}\n", encoding="utf-8")
                with self.assertRaises(files.InputError) as refused:
                    rows.Mapping.read(path)
                self.assertTrue(str(refused.exception).startswith(f"{path}: "), refused.exception)
                self.assertIn(told, str(refused.exception))
            with self.assertRaisesRegex(files.InputError, "absent.toml: cannot be read"):
                rows.Mapping.read(Path(directory) / "absent.toml")


if __name__ == "__main__":
    unittest.main()
