"""Reads a file of sales into rows, each with its line, and writes rows back. Knows forms of files, and nothing of sales.

A file is read as roost reads it (`ingest/src/publish`): the same separators, the same lines, the same refusal of what is cut off.
"""

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard

Row = dict[str, Any]

# The longest cell: roost holds no longer row.
MOST_BYTES = 2 * 1024 * 1024
# Objects and lists within each other in JSON: what roost's reader follows.
MOST_NESTED = 128
# What a message shows of a cell.
SHOWN = 60


class InputError(ValueError):
    """A file that a person must mend: one sentence with the file, the line or key, and what to do."""


@dataclass(frozen=True)
class Finding:
    """One use of a rule."""

    rule: str
    # 0 where none is known.
    line: int
    listing: str
    what: str

    def __str__(self) -> str:
        place = f"line {self.line}: " if self.line else ""
        return f"{place}{self.rule}: {self.what}" + (f" (listing {self.listing})" if self.listing else "")


@dataclass
class Table:
    """The rows of a file, each with the line it starts on."""

    columns: list[str] | None
    rows: list[tuple[int, Row]]
    findings: list[Finding] = field(default_factory=list)

    def lines(self) -> dict[int, int]:
        """Of each line that `write` starts a row on, the line of the file it was read from."""
        if self.columns is None:
            return {number: line for number, (line, _) in enumerate(self.rows, 1)}
        number = 2 + _line_feeds(self.columns)
        result = {}
        for line, row in self.rows:
            result[number] = line
            number += 1 + _line_feeds(row.values())
        return result


def _line_feeds(cells: Any) -> int:
    return sum(str(cell).count("\n") for cell in cells)


def shown(value: object) -> str:
    """A cell as a message shows it: on one line, and no more than its beginning."""
    text = " ".join(str(value)[: SHOWN + 1].split())
    return text if len(str(value)) <= SHOWN else text[:SHOWN] + "…"


def read(path: Path) -> Table:
    """A CSV file or JSON lines, either also compressed (`.zst`)."""
    name = path.name.lower()
    form = Path(name.removesuffix(".zst")).suffix.removeprefix(".")
    if form not in ("csv", "tsv", "jsonl", "ndjson"):
        forms = "expected .csv, .tsv, .jsonl or .ndjson, each also with .zst"
        raise InputError(f"{path}: its name does not say how it is written ({forms}; a JSON array must become JSON lines)")
    data = _bytes(path)
    if name.endswith(".zst"):
        data = _unpacked(data, path)
    try:
        content = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # A mark at the beginning is taken off before positions are counted.
        start = error.start + (3 if data.startswith(b"\xef\xbb\xbf") else 0)
        line, byte = data.count(b"\n", 0, start) + 1, data[start]
        raise InputError(f"{path}:{line}: the byte 0x{byte:02X} is not UTF-8 (save the file as UTF-8)") from None
    if form in ("jsonl", "ndjson"):
        return json_lines(content)
    return csv_rows(content, "\t" if form == "tsv" else ",", str(path))


def read_text(path: Path) -> str:
    """A small file of settings."""
    try:
        return _bytes(path).decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not UTF-8 (save the file as UTF-8)") from None


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror} (is it the right path?)") from None


def _unpacked(data: bytes, path: Path) -> bytes:
    """All frames of a compressed file. The library takes one that stops for one that ends, so each is asked."""
    parts = []
    while data:
        frame = zstandard.ZstdDecompressor().decompressobj()
        try:
            parts.append(frame.decompress(data))
        except zstandard.ZstdError as error:
            why = "compress it with zstd, or name it without .zst"
            raise InputError(f"{path}: is no Zstandard data, or is damaged: {error} ({why})") from None
        if not frame.eof:
            raise InputError(f"{path}: the compressed data has no end: the file is cut off (fetch it again)")
        data = frame.unused_data
    return b"".join(parts)


def separator_of(content: str, by_name: str) -> str:
    """What separates the cells: as the name says, unless the first line has none of it."""
    header = content.partition("\n")[0]
    return next((mark for mark in (by_name, ";", "\t") if mark in header), by_name)


def csv_rows(content: str, by_name: str = ",", file: str = "the file") -> Table:
    """The rows of a CSV file with a header; `by_name` is the separator that its name says."""
    csv.field_size_limit(MOST_BYTES)
    separator = separator_of(content, by_name)
    taken: list[str] = []
    reader = csv.reader(_kept(content, taken), delimiter=separator)
    columns: list[str] | None = None
    table = Table([], [])
    while True:
        line = reader.line_num + 1
        taken.clear()
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise InputError(_broken("".join(taken), separator, file, line, str(error))) from None
        if cells is None:
            break
        quotes, within = "sound", 0
        # Only a quote leads a row beyond its line, or to the end of the file.
        if len(taken) > 1:
            quotes, within = quotes_of("".join(taken), separator)
        if quotes == "open":
            raise InputError(_never_closed(file, line + within))
        if not cells:
            continue
        if columns is None:
            columns = [name.strip() for name in cells]
            if len(columns) < 2:
                expected = "a header with the names of the columns, separated by commas, semicolons or tabs"
                raise InputError(f"{file}:1: the first line has fewer than two columns (expected {expected})")
            # Of two columns with one name the first counts.
            table.columns = list(dict.fromkeys(columns))
        elif quotes == "ragged":
            what = f"the quote opened at line {line + within} is closed on a later line, in the middle of a cell"
            table.findings.append(Finding("unreadable_line", line, "", what))
        elif len(cells) == len(columns):
            row = dict(zip(columns, cells, strict=True))
            if len(row) < len(columns):
                row = {name: cells[columns.index(name)] for name in row}
            table.rows.append((line, row))
        else:
            what = f"{len(cells)} cells instead of {len(columns)}: {shown(separator.join(cells))}"
            table.findings.append(Finding("unreadable_line", line, "", what))
    if columns is None:
        raise InputError(f"{file}: is empty (expected a header with the names of the columns, and rows)")
    return table


def _kept(content: str, taken: list[str]) -> Iterator[str]:
    """The lines, each also put where the row's own text is looked up, and the end, where a row ran into it."""
    for line in io.StringIO(content, newline=""):
        taken.append(line)
        yield line
    taken.append("")


def _broken(row: str, separator: str, file: str, line: int, error: str) -> str:
    quotes, within = quotes_of(row, separator)
    if quotes == "open":
        return _never_closed(file, line + within)
    return f"{file}:{line}: the row cannot be read: {error} (a cell holds at most {MOST_BYTES} characters: mend or remove it)"


def _never_closed(file: str, line: int) -> str:
    return f"{file}:{line}: a quote opened here is never closed: close it, or fetch the file again if it is cut off"


# A quote, where it opens a cell or stands within one; what ends a cell; and all else.
_MARK = {separator: re.compile(rf'"|{separator}|\r\n|\n|\r|[^"\r\n{separator}]+') for separator in (",", ";", "\t")}


def quotes_of(row: str, separator: str) -> tuple[str, int]:
    """What the quotes of a row say: `sound`; or `open` (never closed) or `ragged` (closed on a later line, with text behind:
    most likely by the quote of another row), and on which of its lines that quote opened, the first being 0.
    """
    at, line, opened, found = "start", 0, 0, ("sound", 0)
    for match in _MARK[separator].finditer(row.removeprefix("\ufeff")):
        mark = match.group()
        is_end, is_quote = mark in (separator, "\n", "\r", "\r\n"), mark == '"'
        if at == "quoted":
            at = "closing" if is_quote else "quoted"
        elif at == "closing" and is_quote:
            at = "quoted"
        elif at == "start" and is_quote:
            at, opened = "quoted", line
        elif is_end:
            at = "start"
        else:
            if at == "closing" and opened < line:
                found = ("ragged", opened)
            at = "plain"
        line += mark in ("\n", "\r", "\r\n")
    return ("open", opened) if at == "quoted" else found


def json_lines(content: str) -> Table:
    """JSON lines: a line ends at a line feed and nowhere else, since a text may hold every other separator."""
    table = Table(None, [])
    for line, row_text in enumerate(content.split("\n"), 1):
        if not row_text.strip():
            continue
        try:
            row = _object(row_text)
        except ValueError as error:
            table.findings.append(Finding("unreadable_line", line, "", str(error)))
        else:
            table.rows.append((line, row))
    return table


def _object(row_text: str) -> Row:
    too_deep = f"more than {MOST_NESTED} objects or lists within each other"
    try:
        row = json.loads(row_text)
    except RecursionError:
        raise ValueError(too_deep) from None
    if not isinstance(row, dict):
        raise ValueError("no object")
    if row_text.count("{") + row_text.count("[") > MOST_NESTED and _is_deeper(row, MOST_NESTED):
        raise ValueError(too_deep)
    if "\\u" in row_text:
        # Half of a pair of surrogates can be written in JSON, and not in UTF-8.
        json.dumps(row, ensure_ascii=False).encode()
    return row


def _is_deeper(value: Any, most: int) -> bool:
    level = [value]
    for _ in range(most):
        holders = [held for held in level if isinstance(held, (dict, list))]
        level = [inner for held in holders for inner in (held.values() if isinstance(held, dict) else held)]
    return any(isinstance(held, (dict, list)) for held in level)


def write(table: Table, directory: Path) -> Path:
    """The rows in the form in which they came, uncompressed and with commas."""
    path = directory / ("rows.jsonl" if table.columns is None else "rows.csv")
    with path.open("w", newline="", encoding="utf-8") as file:
        if table.columns is None:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for _, row in table.rows)
        else:
            writer = csv.DictWriter(file, table.columns)
            writer.writeheader()
            writer.writerows(row for _, row in table.rows)
    return path
