"""The rules on rows: each bad row is named by its line, and dropped or mended as its rule says."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import rows  # noqa: E402

MAPPING = rows.Mapping(
    {
        "fields": {
            "ListingKey": "id",
            "CloseDate": {"column": "sold", "date": "%Y-%m-%d"},
            "ClosePrice": {"column": "price", "unless": {"status": ["for sale"]}},
            "LivingArea": "area",
            "BedroomsTotal": "beds",
            "PropertyType": {"column": "status", "values": {"let": "Residential Lease"}, "keep_others": True},
        },
        "attributes": {"grade": "grade"},
    }
)
COLUMNS = ["id", "sold", "price", "area", "beds", "grade", "status"]


def table(*more: dict[str, str]) -> rows.Table:
    """Twenty usual sales in lines 2 to 21, and behind them some others."""
    usual = {"sold": "2024-03-01", "price": "500000", "area": "2000", "beds": "3", "grade": "7", "status": ""}
    lines = [{**usual, "id": f"u{i}"} for i in range(20)] + [{**usual, **row} for row in more]
    return rows.Table(COLUMNS, list(enumerate(lines, 2)))


def check(*more: dict[str, str]) -> tuple[list[tuple[str, int]], list[rows.Row]]:
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

    def test_what_is_no_sale_is_nobodys_business(self) -> None:
        found, left = check({"id": "a", "status": "For Sale", "beds": "x"}, {"id": "b", "status": "Let", "price": "2100"})
        self.assertEqual((found, len(left)), ([], 2))


class Files(unittest.TestCase):
    def test_a_line_with_other_cells_is_named(self) -> None:
        read = rows._read_csv("id,price\n1,2\nDisclaimer\n3,4\n")
        self.assertEqual([(f.rule, f.line) for f in read.findings], [("unreadable_line", 3)])
        self.assertEqual([line for line, _ in read.rows], [2, 4])

    def test_json_lines_are_mended_in_place(self) -> None:
        read = rows._read_json(
            '{"close_price": 1e6, "close_date": "2024-03-01", "bedrooms_total": 40, '
            '"living_area_sqft": 900, "position": {"latitude": 1.5}}\n[]\n'
        )
        checked = rows.check(read, rows.Mapping.read(None))
        self.assertEqual([(f.rule, f.line) for f in checked.findings], [("unreadable_line", 2), ("impossible_rooms", 1)])
        self.assertEqual(checked.rows[0][1]["bedrooms_total"], None)
        self.assertEqual(checked.rows[0][1]["position"], {"latitude": 1.5})


if __name__ == "__main__":
    unittest.main()
