"""Files as roost reads them: what separates cells and lines, and that nothing that is cut off passes for a whole."""

import sys
import tempfile
import unittest
from pathlib import Path

import zstandard

sys.path.insert(0, str(Path(__file__).parents[1]))

import files  # noqa: E402
import rows  # noqa: E402


def read(name: str, data: bytes) -> files.Table:
    """A file of that name and content."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / name
        path.write_bytes(data)
        return files.read(path)


class Csv(unittest.TestCase):
    def test_a_line_with_other_cells_is_named(self) -> None:
        table = files.csv_rows("id,price\n1,2\nDisclaimer\n3,4\n")
        self.assertEqual([(f.rule, f.line) for f in table.findings], [("unreadable_line", 3)])
        self.assertEqual([line for line, _ in table.rows], [2, 4])

    def test_semicolons_and_tabs_separate_where_the_first_line_has_no_comma(self) -> None:
        for name, mark in [("a.csv", ","), ("a.csv", ";"), ("a.CSV", "\t"), ("a.tsv", "\t"), ("a.tsv", ";")]:
            table = read(name, f" id{mark}price\n1{mark}2\n\n3{mark}4\n".encode())
            self.assertEqual(table.columns, ["id", "price"])
            self.assertEqual(table.rows, [(2, {"id": "1", "price": "2"}), (4, {"id": "3", "price": "4"})])
        self.assertEqual(files.csv_rows("a,b;c\n1,2;3\n").rows, [(2, {"a": "1", "b;c": "2;3"})])

    def test_the_rules_find_what_is_wrong_in_a_file_with_semicolons(self) -> None:
        lines = [f"{n};2024-03-01;500000;2000;3" for n in range(20)] + [
            "a;2024-03-01;500000;2000;three",
            "b;2024-03-01;500000;186;3",
        ]
        fields = {"ListingKey": "id", "CloseDate": "d", "ClosePrice": "p", "LivingArea": "a", "BedroomsTotal": "b"}
        checked = rows.check(files.csv_rows("id;d;p;a;b\n" + "\n".join(lines)), rows.Mapping({"fields": fields}))
        self.assertEqual([(f.rule, f.line) for f in checked.findings], [("text_in_number", 22), ("area_in_m2", 23)])

    def test_a_quote_that_is_never_closed_is_named_by_its_line(self) -> None:
        filler = b"3,z\n" * 600_000
        for data, line in [
            (b'a,b\n1,x\n2,"y\n3,z\n', 3),
            (b'a,"b\n1,x\n', 1),
            (b'a,b\n"1\n","""y\n2,z\n', 3),
            (b'a,b\n1,"y\n' + filler, 2),
            (b'a,b\n1,x\n2,"y\n', 3),
            (b'a,b\n1,x\n2,"y', 3),
            (b'a,"b\n', 1),
        ]:
            with self.assertRaisesRegex(files.InputError, rf"a\.csv:{line}: a quote opened here is never closed"):
                read("a.csv", data)

    def test_a_quote_that_another_rows_quote_closes_makes_a_line_that_cannot_be_read(self) -> None:
        table = files.csv_rows('a,b\n1,"x\n2,"y"\n3,"z"\n4,"u\nv"\n')
        self.assertEqual([(f.rule, f.line) for f in table.findings], [("unreadable_line", 2)])
        self.assertEqual(table.rows, [(4, {"a": "3", "b": "z"}), (5, {"a": "4", "b": "u\nv"})])

    def test_a_quote_that_the_end_of_the_file_closes_is_sound(self) -> None:
        for text in ('a,b\n1,"y"', 'a,b\n1,"y"""', 'a,b\n1,5"', 'a,b\n1,"y\nz"\n', "a,b\n1,", "a,b\r1,2"):
            self.assertEqual(len(files.csv_rows(text).rows), 1, text)

    def test_a_long_cell_is_read_and_one_beyond_all_bounds_is_told(self) -> None:
        self.assertEqual(len(read("a.csv", b"a,b\n1," + b"x" * 200_000).rows[0][1]["b"]), 200_000)
        with self.assertRaisesRegex(files.InputError, r"a\.csv:2: .* holds at most"):
            read("a.csv", b"a,b\n1," + b"x" * 3_000_000)

    def test_no_header_is_told(self) -> None:
        with self.assertRaisesRegex(files.InputError, "is empty"):
            read("a.csv", b"")
        with self.assertRaisesRegex(files.InputError, "fewer than two columns"):
            read("a.csv", b"just a line\n")

    def test_what_is_written_is_found_again_by_its_line(self) -> None:
        table = files.csv_rows('a;b\n1;"u\nv"\n\n2;"x,y"\nfoo\n3;z\n')
        with tempfile.TemporaryDirectory() as directory:
            written = files.read(files.write(table, Path(directory)))
        self.assertEqual([row for _, row in written.rows], [row for _, row in table.rows])
        lines = table.lines()
        self.assertEqual([lines[line] for line, _ in written.rows], [2, 5, 7])


class Json(unittest.TestCase):
    def test_a_line_ends_at_a_line_feed_alone(self) -> None:
        table = files.json_lines('{"a": "x\u2028y\u0085z"}\r\n{"a": 2}\n')
        self.assertEqual(table.rows, [(1, {"a": "x\u2028y\u0085z"}), (2, {"a": 2})])

    def test_what_no_reader_follows_is_an_unreadable_line(self) -> None:
        deep = ['{"a":' + "[" * depth + "]" * depth + "}" for depth in (100_000, 128, 127)]
        table = files.json_lines("\n".join([*deep, '{"a": "\\ud800"}', '{"a": ' + "9" * 5000 + "}", "[]", "{"]))
        self.assertEqual([(f.rule, f.line) for f in table.findings], [("unreadable_line", n) for n in (1, 2, 4, 5, 6, 7)])
        self.assertEqual([line for line, _ in table.rows], [3])

    def test_json_lines_are_mended_in_place(self) -> None:
        table = files.json_lines(
            '{"close_price": 1e6, "close_date": "2024-03-01", "bedrooms_total": 40, '
            '"living_area_sqft": 900, "position": {"latitude": 1.5}}\n[]\n'
        )
        checked = rows.check(table, rows.Mapping.read(None))
        self.assertEqual([(f.rule, f.line) for f in checked.findings], [("unreadable_line", 2), ("impossible_rooms", 1)])
        self.assertEqual(checked.rows[0][1]["bedrooms_total"], None)
        self.assertEqual(checked.rows[0][1]["position"], {"latitude": 1.5})


class Whole(unittest.TestCase):
    def test_a_compressed_file_that_is_cut_off_or_none_is_refused(self) -> None:
        lines = b"a,b\n" + b"".join(b"%d,%d\n" % (n, n * 7919 % 1000) for n in range(300_000))
        packed = zstandard.compress(lines)
        self.assertEqual(len(read("a.csv.zst", packed).rows), 300_000)
        self.assertEqual(len(read("a.csv.zst", packed + zstandard.compress(b"1,2\n")).rows), 300_001)
        for data in (packed[: len(packed) // 2], packed[:-1], packed + packed[:9]):
            with self.assertRaisesRegex(files.InputError, r"a\.csv\.zst: .* is cut off"):
                read("a.csv.zst", data)
        with self.assertRaisesRegex(files.InputError, r"a\.csv\.zst: is no Zstandard data"):
            read("a.csv.zst", b"a,b\n1,2\n")

    def test_another_character_set_is_named_by_its_line(self) -> None:
        for mark in (b"", b"\xef\xbb\xbf"):
            with self.assertRaisesRegex(files.InputError, r"a\.csv:3: the byte 0xFC is not UTF-8"):
                read("a.csv", mark + b"city,b\nx,1\nM\xfcnchen,1\n")

    def test_a_name_that_says_no_form_is_refused(self) -> None:
        for name in ("a.json", "a.xlsx", "a.zst", "csv"):
            with self.assertRaisesRegex(files.InputError, "does not say how it is written"):
                read(name, b"a,b\n1,2\n")


if __name__ == "__main__":
    unittest.main()
