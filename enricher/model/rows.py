"""Mends or drops the rows of a file of sales that would teach a model nonsense; each by a named rule.

Sees the file as its maker wrote it, through the same mapping file as `roost publish`: what a column means, not what a
feature is. Knows nothing of models. The rules are `RULES`; every use of one is a `Finding`, with the line it is about.
"""

import math
import re
import statistics
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from files import Finding, InputError, Row, Table, read_text, shown

RULES = {
    "unreadable_line": "dropped: the line is no JSON object, or has another number of cells than the header",
    "date_unreadable": "dropped: the closing date is in no known form",
    "date_form": "mended: the closing date is in another form than the mapping says; slashes are month first, dots are day first",
    "price_missing": "dropped: a closing without a closing price",
    "price_unreadable": "dropped: the closing price is no number",
    "price_out_of_range": "dropped: below a 25th or above 50 times the file's median price",
    "text_in_number": "mended: a text where a number belongs counts as missing",
    "area_in_m2": "mended: the area is a tenth of what its rooms need and usual in square metres; taken times 10.764",
    "impossible_rooms": "mended: less than 100 sqft per bedroom; the number of bedrooms counts as missing",
    "impossible_bathrooms": "dropped: less than 50 sqft per bathroom, or more than ten of them and more than two per bedroom",
    "place_far_off": "dropped: more than 5 degrees outside of where all rows but a thousandth (at least five) lie",
    "duplicate_home": "dropped: the same home, closed on the same day, is in the file again further down",
    "refused": "dropped: roost itself refuses the row (its own words)",
    "required_missing": "dropped: a feature is missing without which there is no valuation",
}

# No habitable room is below 70 sqft (International Residential Code, R304.1), and a home is more than bedrooms. The least that
# King County has, but for one typing error, is 163.
LEAST_SQFT_PER_BEDROOM = 100.0
SQFT_PER_M2 = 10.763_910_4
UNITS = {"sqft": 1.0, "m2": SQFT_PER_M2, "acres": 43_560.0, "ha": 107_639.104}
# How far a price may be from the median of the file: a parking lot, a dollar between relatives, a slipped comma.
CHEAPEST, DEAREST = 1 / 25, 50.0
# A bathroom is at least 5 feet by 6, and a home is more than bathrooms; King County has no less than 265 sqft each.
LEAST_SQFT_PER_BATHROOM = 50.0
# Homes with more bathrooms than this have at most so many per bedroom.
MANY_BATHROOMS, MOST_PER_BEDROOM = 10.0, 2.0
# How far a place may be from where the others are. Of the least and the greatest, this share counts for nothing: a minus that was
# forgotten or 0, 0 must not widen it. At least so many are left out, of a small file.
FAR_OFF_DEGREES, FAR_OFF_SHARE, FAR_OFF_FEWEST = 5.0, 0.001, 5
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


class Mapping:
    """What the columns of a file mean: the part of a mapping file that the rules need."""

    def __init__(self, mapping: dict[str, Any]) -> None:
        """Raises `ValueError` with the key that is wrong."""
        self._rules: dict[str, list[dict[str, Any]]] = {}
        for table in ("fields", "attributes"):
            members = mapping.get(table, {})
            if not isinstance(members, dict):
                raise ValueError(f"{table}: `{shown(members)}` is no table (expected [{table}] and names of columns)")
            for member, rule in members.items():
                self._rules[member] = _rules(f"{table}.{member}", rule)
        self.attributes = list(mapping.get("attributes", {}))

    @classmethod
    def read(cls, path: Path | None) -> "Mapping":
        """A mapping file; without one, canonical listings."""
        if path is None:
            return cls(CANONICAL)
        try:
            return cls(tomllib.loads(read_text(path)))
        except InputError:
            raise
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise InputError(f"{path}: is no TOML: {error} (docs/mapping.md says what a mapping may hold)") from None
        except ValueError as error:
            raise InputError(f"{path}: {error}") from None

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
        return None if value is None else value * UNITS[unit]

    def lacks_price(self, row: Row) -> bool:
        """Whether a row tells a closing, and the cell that its price should be in is empty."""
        if self.value("ClosePrice", row) or not self.value("CloseDate", row):
            return False
        is_let = "lease" in self.value("PropertyType", row).lower()
        return not is_let and any(_holds(rule, row) for rule in self._rules.get("ClosePrice", []))

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


def _rules(key: str, value: Any) -> list[dict[str, Any]]:
    """The rules of a member, each a table; in a form that roost itself would refuse they are told by their key."""
    rules = [{"column": r} if isinstance(r, str) else r for r in (value if isinstance(value, list) else [value])]
    for rule in rules:
        if not isinstance(rule, dict):
            raise ValueError(f"{key}: `{shown(rule)}` is no rule (expected the name of a column, a table, or a list of tables)")
        if "constant" not in rule and not isinstance(rule.get("column"), str):
            raise ValueError(f"{key}: names no column (expected `column` or `constant`)")
        if rule.get("unit", "sqft") not in UNITS:
            raise ValueError(f"{key}: `{shown(rule['unit'])}` is no unit (expected one of {', '.join(UNITS)})")
        forms = rule.get("date", [])
        if not all(isinstance(form, str) for form in (forms if isinstance(forms, list) else [forms])):
            raise ValueError(f"{key}.date: `{shown(forms)}` is no form of a date (expected one as %Y-%m-%d, or a list)")
        if not isinstance(rule.get("digits_after", ""), str):
            raise ValueError(f"{key}.digits_after: `{shown(rule['digits_after'])}` is no text (expected one)")
        if not isinstance(rule.get("values", {}), dict):
            raise ValueError(f"{key}.values: `{shown(rule['values'])}` is no table (expected words and what they mean)")
        for name in ("when", "unless"):
            tables = rule.get(name, {})
            if not all(_is_condition(one) for one in (tables if isinstance(tables, list) else [tables])):
                raise ValueError(f"{key}.{name}: `{shown(tables)}` is no condition (expected columns, each with a list of words)")
    return rules


def _is_condition(table: Any) -> bool:
    def words(value: Any) -> bool:
        return isinstance(value, list) and all(isinstance(word, str) for word in value)

    return isinstance(table, dict) and all(words(value) for value in table.values())


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
            if isinstance(holder, list) and step.isdecimal():
                holder = dict(enumerate(holder)).get(int(step))
            else:
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
        if mapping.lacks_price(row):
            what = f"closed `{shown(mapping.value('CloseDate', row))}`, no closing price"
            checked.findings.append(Finding("price_missing", line, shown(mapping.value("ListingKey", row)), what))
            continue
        if mapping.is_sale(row):
            found = _check_sale(row, mapping, numbers, usual)
            home = _home(mapping, row)
            if last.get(home, line) != line:
                found.append(("duplicate_home", f"again in line {last[home]}"))
            listing = shown(mapping.value("ListingKey", row))
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
    # Of the latitude and the longitude: between which two numbers nearly all lie.
    places: dict[str, tuple[float, float]]

    @classmethod
    def of(cls, sales: list[Row], mapping: Mapping) -> "_Usual":
        prices = [p for row in sales if (p := mapping.number("ClosePrice", row))]
        rooms = [r for row in sales if (r := _per_room(mapping, row))]
        places = {}
        for member in ("Latitude", "Longitude"):
            there = sorted(v for row in sales if (v := mapping.number(member, row)) is not None)
            apart = max(FAR_OFF_FEWEST, int(len(there) * FAR_OFF_SHARE))
            if len(there) > 4 * apart:
                places[member] = there[apart], there[-1 - apart]
        return cls(statistics.median(prices) if prices else 0.0, statistics.median(rooms) if rooms else 0.0, places)


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
        lambda: _bathrooms(row, mapping),
        lambda: _place_far_off(row, mapping, usual),
    ]
    return [found for step in steps if (found := step()) is not None]


def _date(row: Row, mapping: Mapping) -> tuple[str, str] | None:
    value, forms = mapping.value("CloseDate", row), mapping.date_forms("CloseDate", row)
    if day(value, forms) or (not forms and _iso(value)):
        return None
    meant = day(value, DATE_FORMS) or _iso(value)
    if meant is None:
        return "date_unreadable", f"closing date `{shown(value)}`"
    written = meant.strftime(forms[0]) if forms else meant.isoformat()
    mapping.put("CloseDate", row, written)
    return "date_form", f"closing date `{shown(value)}` taken for {meant.isoformat()}"


def _price(row: Row, mapping: Mapping, usual: _Usual) -> tuple[str, str] | None:
    price = mapping.number("ClosePrice", row)
    if price is None:
        return "price_unreadable", f"closing price `{shown(mapping.value('ClosePrice', row))}`"
    if not usual.price * CHEAPEST <= price <= usual.price * DEAREST:
        return "price_out_of_range", f"closing price {price:g}, the median is {usual.price:g}"
    return None


def _number(row: Row, mapping: Mapping, member: str) -> tuple[str, str] | None:
    value = mapping.value(member, row)
    if not value or value in ("True", "False") or number(value) is not None:
        return None
    mapping.put(member, row, "")
    return "text_in_number", f"{member} `{shown(value)}`"


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


def _bathrooms(row: Row, mapping: Mapping) -> tuple[str, str] | None:
    parts = [mapping.number(member, row) for member in ("BathroomsFull", "BathroomsHalf")]
    baths = mapping.number("BathroomsTotalDecimal", row) or (parts[0] or 0.0) + (parts[1] or 0.0) / 2.0
    area, beds = mapping.number("LivingArea", row), mapping.number("BedroomsTotal", row)
    is_crowded = area is not None and baths >= 2.0 and area / baths < LEAST_SQFT_PER_BATHROOM
    is_many = baths > MANY_BATHROOMS and (beds is None or baths > MOST_PER_BEDROOM * beds)
    if not is_crowded and not is_many:
        return None
    said = [f"{beds:g} bedrooms" if beds is not None else "", f"{area:g} sqft" if area is not None else ""]
    return "impossible_bathrooms", f"{baths:g} bathrooms; {', '.join(filter(None, said)) or 'no bedrooms and no area are told'}"


def _place_far_off(row: Row, mapping: Mapping, usual: _Usual) -> tuple[str, str] | None:
    for member, (least, greatest) in usual.places.items():
        value = mapping.number(member, row)
        if value is not None and not least - FAR_OFF_DEGREES <= value <= greatest + FAR_OFF_DEGREES:
            return "place_far_off", f"{member} {value:g}, nearly all others lie between {least:g} and {greatest:g}"
    return None
