"""Reads a file of sales and mends or drops the rows that would teach a model nonsense; each by a named rule.

Sees the file as its maker wrote it, through the same mapping file as `roost publish`: what a column means, not what a
feature is. Knows nothing of models. The rules are `RULES`; every use of one is a `Finding`, with the line it is about.
"""

import csv
import io
import json
import math
import re
import statistics
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import zstandard

RULES = {
    "unreadable_line": "dropped: the line is no JSON object, or has another number of cells than the header",
    "date_unreadable": "dropped: the closing date is in no known form",
    "date_form": "mended: the closing date is in another form than the mapping says; slashes are month first, dots are day first",
    "price_unreadable": "dropped: the closing price is no number",
    "price_out_of_range": "dropped: below a 25th or above 50 times the file's median price",
    "text_in_number": "mended: a text where a number belongs counts as missing",
    "area_in_m2": "mended: the area is a tenth of what its rooms need and usual in square metres; taken times 10.764",
    "impossible_rooms": "mended: less than 100 sqft per bedroom; the number of bedrooms counts as missing",
    "duplicate_home": "dropped: the same home, closed on the same day, is in the file again further down",
    "refused": "dropped: roost itself refuses the row (its own words)",
    "required_missing": "dropped: a feature is missing without which there is no valuation",
}

# No habitable room is below 70 sqft (International Residential Code, R304.1), and a home is more than bedrooms. The least that
# King County has, but for one typing error, is 163.
LEAST_SQFT_PER_BEDROOM = 100.0
SQFT_PER_M2 = 10.763_910_4
# How far a price may be from the median of the file: a parking lot, a dollar between relatives, a slipped comma.
CHEAPEST, DEAREST = 1 / 25, 50.0
# An area per room this far below the median is in m² (a tenth) if it is usual once it is taken times 10.764.
M2_BELOW, M2_USUAL = 1 / 4, 2.5

NUMBERS = (
    "ClosePrice", "LivingArea", "LotSizeArea", "LotSizeSquareFeet", "BedroomsTotal", "BathroomsTotalDecimal", "BathroomsFull",
    "BathroomsHalf", "YearBuilt", "Latitude", "Longitude", "AssociationFee",
)  # fmt: skip
# What roost's front door reads as a number.
NUMBER = re.compile(r"[$€£]?\s*[-+]?(\d{1,3}(,\d{3})+|\d+)?(\.\d*)?([eE][-+]?\d+)?")
DATE_FORMS = ("%Y-%m-%d", "%Y%m%d", "%m/%d/%Y", "%d.%m.%Y", "%B-%d-%Y", "%d-%b-%Y", "%Y/%m/%d", "%b %d, %Y", "%B %d, %Y")

# The members of canonical listings, for files that need no mapping.
CANONICAL = {
    "fields": {
        "PropertyType": "property_type",
        "ListingKey": "listing_id",
        "CloseDate": "close_date",
        "ClosePrice": "close_price",
        "LivingArea": "living_area_sqft",
        "LotSizeArea": "lot_size_sqft",
        "BedroomsTotal": "bedrooms_total",
        "BathroomsTotalDecimal": "bathrooms_total",
        "YearBuilt": "year_built",
        "Latitude": "position.latitude",
        "Longitude": "position.longitude",
    }
}

Row = dict[str, Any]


@dataclass(frozen=True)
class Finding:
    """One use of a rule."""

    rule: str
    line: int
    listing: str
    what: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.rule}: {self.what} (listing {self.listing})"


@dataclass
class Table:
    """The rows of a file, each with the line it stands on."""

    columns: list[str] | None
    rows: list[tuple[int, Row]]
    findings: list[Finding] = field(default_factory=list)


class Mapping:
    """What the columns of a file mean: the part of a mapping file that the rules need."""

    def __init__(self, mapping: dict[str, Any]) -> None:
        self._rules: dict[str, list[dict[str, Any]]] = {}
        for table in ("fields", "attributes"):
            for member, rule in mapping.get(table, {}).items():
                rules = rule if isinstance(rule, list) else [rule]
                self._rules[member] = [{"column": r} if isinstance(r, str) else r for r in rules]

    @classmethod
    def read(cls, path: Path | None) -> "Mapping":
        """A mapping file; without one, canonical listings."""
        return cls(CANONICAL if path is None else tomllib.loads(path.read_text(encoding="utf-8")))

    def rule(self, member: str, row: Row) -> dict[str, Any] | None:
        """The rule that says what a member is in this row, if one does."""
        for rule in self._rules.get(member, []):
            if _holds(rule, row) and ("constant" in rule or text(row, rule["column"])):
                return rule
        return None

    def value(self, member: str, row: Row) -> str:
        """What the file says of a member; empty when nothing."""
        rule = self.rule(member, row)
        if rule is None:
            return ""
        value = str(rule["constant"]) if "constant" in rule else text(row, rule["column"])
        if "values" in rule:
            words = {word.lower(): meant for word, meant in rule["values"].items()}
            return str(words.get(value.lower(), rule.get("otherwise", value)))
        if "digits_after" in rule:
            found = re.search(re.escape(rule["digits_after"]) + r"(\d+)", value)
            return found.group(1) if found else ""
        return value

    def number(self, member: str, row: Row) -> float | None:
        """A member that is a number, in the unit that roost keeps."""
        value = number(self.value(member, row))
        unit = (self.rule(member, row) or {}).get("unit", "sqft")
        factor = {"sqft": 1.0, "m2": SQFT_PER_M2, "acres": 43_560.0, "ha": 107_639.104}[unit]
        return None if value is None else value * factor

    def is_sale(self, row: Row) -> bool:
        """Whether a row says what was paid for a home; a rent is no price."""
        return bool(self.value("ClosePrice", row)) and "lease" not in self.value("PropertyType", row).lower()

    def date_forms(self, member: str, row: Row) -> list[str]:
        """The forms in which the mapping expects a date; none: ISO 8601."""
        forms = (self.rule(member, row) or {}).get("date", [])
        return forms if isinstance(forms, list) else [forms]

    def put(self, member: str, row: Row, value: str) -> None:
        """Writes another value where the member was read."""
        rule = self.rule(member, row)
        if rule is not None and "column" in rule:
            put(row, rule["column"], value)


def _holds(rule: dict[str, Any], row: Row) -> bool:
    def one(table: dict[str, list[str]]) -> bool:
        return all(text(row, column).lower() in [w.lower() for w in words] for column, words in table.items())

    def some(tables: Any) -> bool:
        return any(one(table) for table in (tables if isinstance(tables, list) else [tables]))

    return ("when" not in rule or some(rule["when"])) and ("unless" not in rule or not some(rule["unless"]))


def _place(row: Row, column: str) -> tuple[Any, str]:
    """The object that holds a column, and its name there: `a.b` is a path in JSON, `URL*` a beginning in CSV."""
    if column.endswith("*"):
        column = next((name for name in row if name.startswith(column[:-1])), column)
    holder: Any = row
    if column not in row and "." in column:
        *path, column = column.split(".")
        for step in path:
            holder = holder.get(step) if isinstance(holder, dict) else None
    return holder, column


def text(row: Row, column: str) -> str:
    """What stands in a column, without blanks around it."""
    holder, name = _place(row, column)
    value = holder.get(name) if isinstance(holder, dict) else None
    return "" if value is None else str(value).strip()


def put(row: Row, column: str, value: str) -> None:
    """Overwrites what stands in a column; an empty text takes it away."""
    holder, name = _place(row, column)
    if isinstance(holder, dict):
        old = holder.get(name)
        new = float(value) if isinstance(old, (int, float)) and value else value
        holder[name] = new if value else ("" if isinstance(old, str) else None)


def number(value: str) -> float | None:
    """A number in a form that roost reads; `None` for anything else."""
    value = value.strip()
    if not value or not any(c.isdigit() for c in value) or not NUMBER.fullmatch(value):
        return None
    result = float(value.lstrip("$€£ ").replace(",", ""))
    return result if math.isfinite(result) else None


def day(value: str, forms: Iterable[str]) -> date | None:
    """The day that a text means in the first of the forms that fits."""
    for form in forms:
        try:
            return datetime.strptime(value, form).date()
        except ValueError:
            continue
    return None


def _iso(value: str) -> date | None:
    try:
        return datetime.fromisoformat(value).date()
    except ValueError:
        return None


def read(path: Path) -> Table:
    """A CSV file or JSON lines, either also compressed (`.zst`)."""
    data = path.read_bytes()
    name = path.name
    if name.endswith(".zst"):
        data = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)).read()
        name = name.removesuffix(".zst")
    content = data.decode("utf-8-sig")
    return _read_json(content) if name.endswith((".jsonl", ".ndjson")) else _read_csv(content)


def _read_csv(content: str) -> Table:
    reader = csv.reader(io.StringIO(content, newline=""))
    columns = next(reader, [])
    table = Table(columns, [])
    for cells in reader:
        if len(cells) == len(columns):
            table.rows.append((reader.line_num, dict(zip(columns, cells, strict=True))))
        elif cells:
            what = f"{len(cells)} cells instead of {len(columns)}: {','.join(cells)[:60]}"
            table.findings.append(Finding("unreadable_line", reader.line_num, "", what))
    return table


def _read_json(content: str) -> Table:
    table = Table(None, [])
    for line, row_text in enumerate(content.splitlines(), 1):
        if not row_text.strip():
            continue
        try:
            row = json.loads(row_text)
        except json.JSONDecodeError as error:
            table.findings.append(Finding("unreadable_line", line, "", str(error)))
            continue
        if isinstance(row, dict):
            table.rows.append((line, row))
        else:
            table.findings.append(Finding("unreadable_line", line, "", "no object"))
    return table


def write(table: Table, directory: Path) -> Path:
    """The rows in the form in which they came, uncompressed."""
    path = directory / ("rows.jsonl" if table.columns is None else "rows.csv")
    with path.open("w", newline="", encoding="utf-8") as file:
        if table.columns is None:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for _, row in table.rows)
        else:
            writer = csv.DictWriter(file, table.columns)
            writer.writeheader()
            writer.writerows(row for _, row in table.rows)
    return path


def check(table: Table, mapping: Mapping, attributes: Iterable[str] = ()) -> Table:
    """The rows that may train, mended. Rows that are no sales pass as they are: they only surround the others.

    `attributes` are the names of those that a feature takes for numbers.
    """
    numbers = [*NUMBERS, *attributes]
    checked = Table(table.columns, [], list(table.findings))
    sales = [row for _, row in table.rows if mapping.is_sale(row)]
    usual = _Usual.of(sales, mapping)
    last = {_home(mapping, row): line for line, row in table.rows if mapping.is_sale(row)}
    for line, row in table.rows:
        if mapping.is_sale(row):
            found = _check_sale(row, mapping, numbers, usual)
            home = _home(mapping, row)
            if last.get(home, line) != line:
                found.append(("duplicate_home", f"again in line {last[home]}"))
            listing = mapping.value("ListingKey", row)
            checked.findings += [Finding(rule, line, listing, what) for rule, what in found]
            if any(RULES[rule].startswith("dropped") for rule, _ in found):
                continue
        checked.rows.append((line, row))
    return checked


def _home(mapping: Mapping, row: Row) -> tuple[str, str]:
    closed = mapping.value("CloseDate", row)
    when = day(closed, [*mapping.date_forms("CloseDate", row), *DATE_FORMS]) or _iso(closed)
    return mapping.value("ListingKey", row), str(when)


@dataclass(frozen=True)
class _Usual:
    """What is usual in the file: robust, so that the rows to be found do not move it."""

    price: float
    sqft_per_room: float

    @classmethod
    def of(cls, sales: list[Row], mapping: Mapping) -> "_Usual":
        prices = [p for row in sales if (p := mapping.number("ClosePrice", row))]
        rooms = [r for row in sales if (r := _per_room(mapping, row))]
        return cls(statistics.median(prices) if prices else 0.0, statistics.median(rooms) if rooms else 0.0)


def _per_room(mapping: Mapping, row: Row) -> float | None:
    area = mapping.number("LivingArea", row)
    beds = mapping.number("BedroomsTotal", row)
    return area / (beds + 1.0) if area and beds is not None and 0 <= beds < 20 else None


def _check_sale(row: Row, mapping: Mapping, numbers: list[str], usual: _Usual) -> list[tuple[str, str]]:
    steps: list[Callable[[], tuple[str, str] | None]] = [
        lambda: _date(row, mapping),
        lambda: _price(row, mapping, usual),
        *(lambda member=member: _number(row, mapping, member) for member in numbers if member != "ClosePrice"),
        lambda: _area(row, mapping, usual),
        lambda: _rooms(row, mapping),
    ]
    return [found for step in steps if (found := step()) is not None]


def _date(row: Row, mapping: Mapping) -> tuple[str, str] | None:
    value, forms = mapping.value("CloseDate", row), mapping.date_forms("CloseDate", row)
    if day(value, forms) or (not forms and _iso(value)):
        return None
    meant = day(value, DATE_FORMS) or _iso(value)
    if meant is None:
        return "date_unreadable", f"closing date `{value}`"
    written = meant.strftime(forms[0]) if forms else meant.isoformat()
    mapping.put("CloseDate", row, written)
    return "date_form", f"closing date `{value}` taken for {meant.isoformat()}"


def _price(row: Row, mapping: Mapping, usual: _Usual) -> tuple[str, str] | None:
    price = mapping.number("ClosePrice", row)
    if price is None:
        return "price_unreadable", f"closing price `{mapping.value('ClosePrice', row)}`"
    if not usual.price * CHEAPEST <= price <= usual.price * DEAREST:
        return "price_out_of_range", f"closing price {price:g}, the median is {usual.price:g}"
    return None


def _number(row: Row, mapping: Mapping, member: str) -> tuple[str, str] | None:
    value = mapping.value(member, row)
    if not value or value in ("True", "False") or number(value) is not None:
        return None
    mapping.put(member, row, "")
    return "text_in_number", f"{member} `{value}`"


def _area(row: Row, mapping: Mapping, usual: _Usual) -> tuple[str, str] | None:
    per_room = _per_room(mapping, row)
    if per_room is None or per_room > usual.sqft_per_room * M2_BELOW:
        return None
    if not 1 / M2_USUAL <= per_room * SQFT_PER_M2 / usual.sqft_per_room <= M2_USUAL:
        return None
    area = number(mapping.value("LivingArea", row)) or 0.0
    mapping.put("LivingArea", row, str(round(area * SQFT_PER_M2)))
    return "area_in_m2", f"LivingArea {area:g} taken for m²"


def _rooms(row: Row, mapping: Mapping) -> tuple[str, str] | None:
    area, beds = mapping.number("LivingArea", row), mapping.number("BedroomsTotal", row)
    if not area or not beds or beds < 2 or area / beds >= LEAST_SQFT_PER_BEDROOM:
        return None
    mapping.put("BedroomsTotal", row, "")
    return "impossible_rooms", f"{beds:g} bedrooms in {area:g} sqft"
