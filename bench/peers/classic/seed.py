"""Fills PostgreSQL with the listings and sessions that `bench api` wrote as JSON lines, and trains the model on them.

    seed.py DIRECTORY     with listings.jsonl (canonical listings) and sessions.jsonl
"""
import asyncio
import os
import sys
from pathlib import Path

import numpy
import orjson
from sqlalchemy import text

from model import train
from tables import engine, listings, metadata, preferences
from wire import Preferences


def lines(path: Path):
    with path.open("rb") as file:
        for line in file:
            yield orjson.loads(line)


def listing(said: dict) -> dict:
    """A row of what a canonical listing says."""
    position, rating, code = said.get("position") or {}, said.get("school_rating"), said.get("postal_code")
    return {
        "listing_id": said["listing_id"], "transaction": said["transaction"], "status": said["standard_status"],
        "display_allowed": said.get("display_allowed", True), "market": said["market"], "country": said["country"],
        "postal": code and f"{said['country']}/{code}", "latitude": position.get("latitude"),
        "longitude": position.get("longitude"), "currency": said["currency"],
        "price_cents": round(said["list_price"] * 100), "bedrooms": said.get("bedrooms_total"),
        "bathrooms": said.get("bathrooms_total"), "living_area_sqft": said.get("living_area_sqft"),
        "lot_size_sqft": said.get("lot_size_sqft"), "year_built": said.get("year_built"),
        "sub_type": said.get("property_sub_type"), "commute_minutes": said.get("commute_minutes"),
        "school_tenths": None if rating is None else round(rating * 10), "amenities": said.get("amenities") or [],
        "address": said.get("unparsed_address"), "remarks": said.get("public_remarks"),
        "listing_url": said.get("listing_url"), "photo_url": said.get("photo_url"),
    }


def number(value) -> float:
    return numpy.nan if value is None else value


def features(rows: list[dict], codes: dict) -> numpy.ndarray:
    columns = ["bedrooms", "bathrooms", "living_area_sqft", "year_built", "school_tenths", "commute_minutes"]
    return numpy.array([[codes[row["market"], row["transaction"]], *(number(row[name]) for name in columns), len(row["amenities"])] for row in rows])


async def copy(connection, table, rows: list[dict]):
    names = list(rows[0])
    raw = await connection.get_raw_connection()
    await raw.driver_connection.copy_records_to_table(table.name, columns=names, records=[[row[name] for name in names] for row in rows])


async def main(directory: Path):
    homes = [listing(said) for said in lines(directory / "listings.jsonl") if said.get("list_price")]
    wishes = [Preferences.model_validate(said["preferences"]).row(said["session_id"]) for said in lines(directory / "sessions.jsonl")]
    pool, _ = engine()
    async with pool.begin() as connection:
        await connection.run_sync(metadata.drop_all)
        await connection.run_sync(metadata.create_all)
        await copy(connection, listings, homes)
        await copy(connection, preferences, wishes)
    async with pool.connect() as connection:
        connection = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("VACUUM ANALYZE"))
    await pool.dispose()
    markets = sorted({(home["market"], home["transaction"]) for home in homes})
    codes = {market: code for code, market in enumerate(markets)}
    prices = numpy.array([home["price_cents"] / 100 for home in homes])
    error = train(features(homes, codes), prices, markets, Path(os.environ["MODEL_DIR"]))
    print(f"{len(homes)} listings, {len(wishes)} sessions; median error of the model {error * 100:.1f} %")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
