"""The classic build of what roost does: scores are computed when a client asks, and kept in a cache until they time out.

FastAPI, SQLAlchemy on asyncpg, PostgreSQL, Redis, LightGBM in process. DATABASE_URL, REDIS_URL and MODEL_DIR say where;
CACHE_SECONDS=0 switches the cache off.
"""
import gc
import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import numpy
import orjson
from fastapi import FastAPI, HTTPException, Query, Request, Response
from redis.asyncio import Redis
from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert

from model import FEATURES, Model
from tables import FULL_ROWS, STATEMENT_OF, L, candidates_of, engine, listings, preferences
from wire import Home, Preferences, Price

CACHE_SECONDS = int(os.environ.get("CACHE_SECONDS", "60"))
# Affordability, value, schools, commute, amenities.
WEIGHTS = numpy.array([0.30, 0.25, 0.15, 0.15, 0.15])


@asynccontextmanager
async def lifespan(app: FastAPI):
    state = app.state
    state.pool, state.db = engine()
    state.cache = Redis.from_url(os.environ["REDIS_URL"], max_connections=32) if CACHE_SECONDS else None
    state.model = Model(Path(os.environ["MODEL_DIR"]))
    # What is there now stays: collections need not look at it again.
    gc.collect()
    gc.freeze()
    yield
    if state.cache:
        await state.cache.aclose()
    await state.pool.dispose()


app = FastAPI(title="The classic build", lifespan=lifespan)


def answer(body, status: int = 200) -> Response:
    """JSON without a second validation: what goes out was made here."""
    return Response(body if isinstance(body, bytes) else orjson.dumps(body), status, media_type="application/json")


# Plain texts: SQLAlchemy's own names are a subclass, which orjson refuses as keys.
COLUMNS = [str.__str__(column.name) for column in listings.columns]


def shown(row) -> dict:
    """A listing as clients see it."""
    body = dict(zip(COLUMNS, row))
    body["list_price"] = body.pop("price_cents") / 100
    tenths = body.pop("school_tenths")
    body["school_rating"] = None if tenths is None else tenths / 10
    return body


@app.get("/api/health")
async def health():
    return answer({"status": "ok"})


@app.post("/api/preferences", status_code=201)
async def state_preferences(body: Preferences, session_id: Annotated[str, Query(min_length=1, max_length=64)], request: Request):
    state, row = request.app.state, body.row(session_id)
    statement = insert(preferences).values(row)
    newer = {name: statement.excluded[name] for name in row if name != "session_id"} | {"stated_at": func.now()}
    async with state.db.connect() as db:
        await db.execute(statement.on_conflict_do_update(index_elements=["session_id"], set_=newer))
    if state.cache:
        await state.cache.delete(f"top3:{session_id}")
    return answer({"session_id": session_id}, 201)


def rank(wish, rows, model: Model):
    """Indices of the best three, what each candidate is worth, and its score from 0 to 100."""
    # Columns of `candidates_of` from the price on; what a listing does not say becomes NaN.
    table = numpy.array([tuple(row)[2:] for row in rows], dtype=numpy.float64)
    price, schools, commute, liked = table[:, 0] / 100, table[:, 5], table[:, 6], table[:, 8]
    features = numpy.empty((len(rows), FEATURES))
    features[:, 0] = [model.code(row[1], wish.transaction) for row in rows]
    features[:, 1:] = table[:, 1:8]
    worth = model.value(features)
    parts = numpy.nan_to_num(numpy.stack([
        numpy.minimum(1, (1 - price / (wish.budget_cents / 100)) * 2.5),
        numpy.clip(0.5 + (worth - price) / worth * 2, 0, 1),
        schools / 100,
        numpy.clip(1 - commute / (wish.max_commute_minutes or 90), 0, 1),
        liked / max(1, len(wish.preferred_amenities)),
    ]), nan=0.5)
    score = WEIGHTS @ parts * 100
    # The few best first, then in full order: a tie goes to the smaller id.
    few = numpy.argpartition(-score, 3)[:3] if len(rows) > 3 else numpy.arange(len(rows))
    best = sorted(few, key=lambda at: (-score[at], rows[at].listing_id))
    return best, worth, score


def reasons(wish, row, worth: float, liked: int) -> list[str]:
    price, budget = row.price_cents / 100, wish.budget_cents / 100
    said = [f"{(1 - price / budget) * 100:.0f} % below your budget of {budget:,.0f}",
            f"{abs(worth - price) / worth * 100:.0f} % {'below' if price <= worth else 'above'} what it is worth, {worth:,.0f}"]
    if row.school_tenths is not None:
        said.append(f"schools rated {row.school_tenths / 10:.1f}")
    if row.commute_minutes is not None:
        said.append(f"{row.commute_minutes} minutes to the centre")
    if liked:
        said.append(f"{liked} of {len(wish.preferred_amenities)} things that you like")
    return said


async def top_three(state, session_id: str) -> bytes:
    async with state.db.connect() as db:
        wish = (await db.execute(STATEMENT_OF, {"session_id": session_id})).first()
        if wish is None:
            raise HTTPException(404, "no such session")
        rows = (await db.execute(candidates_of(wish))).all()
        items = []
        if rows:
            best, worth, score = rank(wish, rows, state.model)
            found = await db.execute(FULL_ROWS, {"ids": [rows[at].listing_id for at in best]})
            full = {row.listing_id: row for row in found}
            for at in best:
                row, value = full.get(rows[at].listing_id), float(worth[at])
                # Gone between the two reads: a list of two is true, too.
                if row is not None:
                    items.append({"listing": shown(row), "score": round(float(score[at]), 1), "valuation": round(value),
                                  "reasons": reasons(wish, row, value, rows[at].liked)})
    return orjson.dumps({"session_id": session_id, "candidates": len(rows), "items": items})


@app.get("/api/recommendations")
async def recommendations(session_id: Annotated[str, Query(min_length=1, max_length=64)], request: Request):
    state, key = request.app.state, f"top3:{session_id}"
    if state.cache and (known := await state.cache.get(key)):
        return answer(known)
    body = await top_three(state, session_id)
    if state.cache:
        await state.cache.set(key, body, ex=CACHE_SECONDS)
    return answer(body)


@app.get("/api/properties")
async def browse(request: Request, market: str, transaction: str = "sale", max_price: float | None = None,
                 beds_min: int | None = None, limit: Annotated[int, Query(ge=1, le=100)] = 20,
                 page: Annotated[int, Query(ge=1, le=10_000)] = 1):
    wanted = [L.market == market, L.transaction == transaction, L.status == "Active", L.display_allowed]
    if max_price is not None:
        wanted.append(L.price_cents <= round(max_price * 100))
    if beds_min is not None:
        wanted.append(L.bedrooms >= beds_min)
    rows = select(listings).where(*wanted).order_by(L.price_cents, L.listing_id).limit(limit).offset((page - 1) * limit)
    async with request.app.state.db.connect() as db:
        items = [shown(row) for row in await db.execute(rows)]
        total = (await db.execute(select(func.count()).select_from(listings).where(*wanted))).scalar_one()
    return answer({"items": items, "total": total, "page": page})


@app.get("/api/properties/{listing_id}")
async def read(listing_id: str, request: Request):
    async with request.app.state.db.connect() as db:
        row = (await db.execute(select(listings).where(L.listing_id == listing_id))).first()
    if row is None:
        raise HTTPException(404, "no such listing")
    return answer(shown(row))


@app.put("/api/properties/{listing_id}/price")
async def change(listing_id: str, body: Price, request: Request):
    """What the feed does. Whose cached three it is in, nobody knows: they go when their time is over."""
    changed = update(listings).where(L.listing_id == listing_id).values(price_cents=round(body.list_price * 100), updated_at=func.now())
    async with request.app.state.db.connect() as db:
        if (await db.execute(changed)).rowcount == 0:
            raise HTTPException(404, "no such listing")
    return answer({"listing_id": listing_id})


@app.post("/api/ml/predict-price")
async def predict(home: Home, request: Request):
    model = request.app.state.model
    row = [model.code(home.market, "sale"), home.bedrooms, home.bathrooms, home.living_area_sqft, home.year_built,
           home.school_rating * 10, home.commute_minutes, len(home.amenities)]
    worth = float(model.value(numpy.array([row], dtype=numpy.float64))[0])
    return answer({"predicted_price": round(worth), "low": round(worth * (1 - model.error)), "high": round(worth * (1 + model.error))})
