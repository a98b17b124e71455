"""The two tables of the classic build, the queries that a recommendation needs, and the connection to PostgreSQL.

Amounts are whole cents, school ratings tenths, so that the filters compare exactly what roost's compare.
"""
import os

from sqlalchemy import (
    BigInteger, Boolean, Column, DateTime, Double, Index, Integer, MetaData, SmallInteger, Table, Text,
    and_, bindparam, case, func, literal, or_, select,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import create_async_engine

metadata = MetaData()

listings = Table(
    "listings", metadata,
    Column("listing_id", Text, primary_key=True),
    Column("transaction", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("display_allowed", Boolean, nullable=False),
    Column("market", Text, nullable=False),
    Column("country", Text, nullable=False),
    Column("postal", Text),
    Column("latitude", Double),
    Column("longitude", Double),
    Column("currency", Text, nullable=False),
    Column("price_cents", BigInteger, nullable=False),
    Column("bedrooms", SmallInteger),
    Column("bathrooms", Double),
    Column("living_area_sqft", Integer),
    Column("lot_size_sqft", Integer),
    Column("year_built", SmallInteger),
    Column("sub_type", Text),
    Column("commute_minutes", SmallInteger),
    Column("school_tenths", SmallInteger),
    Column("amenities", ARRAY(Text), nullable=False),
    Column("address", Text),
    Column("remarks", Text),
    Column("listing_url", Text),
    Column("photo_url", Text),
    Column("updated_at", DateTime(timezone=True), server_default=func.now()),
    # One per way to name a place; equality first, then what is ranged over.
    Index("listings_by_market", "market", "transaction", "price_cents"),
    Index("listings_by_postal", "postal", "transaction", "price_cents"),
    Index("listings_by_country", "country", "transaction", "price_cents"),
    Index("listings_by_latitude", "transaction", "latitude"),
)

preferences = Table(
    "preferences", metadata,
    Column("session_id", Text, primary_key=True),
    Column("transaction", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("budget_cents", BigInteger, nullable=False),
    Column("cities", ARRAY(Text), nullable=False),
    Column("postal_codes", ARRAY(Text), nullable=False),
    Column("latitude", Double),
    Column("longitude", Double),
    Column("radius_km", Double),
    Column("country", Text),
    Column("min_bedrooms", SmallInteger),
    Column("min_bathrooms", Double),
    Column("min_living_area_sqft", Integer),
    Column("sub_types", ARRAY(Text), nullable=False),
    Column("max_commute_minutes", SmallInteger),
    Column("min_school_tenths", SmallInteger),
    Column("required_amenities", ARRAY(Text), nullable=False),
    Column("preferred_amenities", ARRAY(Text), nullable=False),
    Column("dismissed", ARRAY(Text), nullable=False),
    Column("statuses", ARRAY(Text), nullable=False),
    Column("stated_at", DateTime(timezone=True), server_default=func.now()),
)

L = listings.c
# Mean radius of the earth in km, and of one degree of latitude.
EARTH_KM, DEGREE_KM = 6_371.0088, 111.195


def engine():
    """A pool per worker. Reads and single writes need no BEGIN and COMMIT around them: one round trip each."""
    made = create_async_engine(os.environ["DATABASE_URL"], pool_size=10, max_overflow=6)
    return made, made.execution_options(isolation_level="AUTOCOMMIT")


def place_of(wish):
    """The union of what a session names."""
    parts = []
    if wish.cities:
        parts.append(L.market.in_(wish.cities))
    if wish.postal_codes:
        parts.append(L.postal.in_(wish.postal_codes))
    if wish.country:
        parts.append(L.country == wish.country)
    if wish.radius_km is not None:
        north = wish.radius_km / DEGREE_KM
        north_south = func.radians(L.latitude - wish.latitude)
        east_west = func.radians(L.longitude - wish.longitude) * func.cos(func.radians((L.latitude + wish.latitude) / 2))
        # Flat at the scale of a city; the box in front of it is what the index finds.
        away = EARTH_KM * func.sqrt(north_south * north_south + east_west * east_west)
        parts.append(and_(L.latitude.between(wish.latitude - north, wish.latitude + north), away <= wish.radius_km))
    return or_(*parts)


def candidates_of(wish):
    """Everything that passes the hard filters, as narrow rows: what the score needs and no more."""
    wanted = [
        L.transaction == wish.transaction, L.currency == wish.currency, L.price_cents <= wish.budget_cents,
        L.status.in_(wish.statuses), L.display_allowed, place_of(wish),
    ]
    for column, least in [(L.bedrooms, wish.min_bedrooms), (L.bathrooms, wish.min_bathrooms),
                          (L.living_area_sqft, wish.min_living_area_sqft), (L.school_tenths, wish.min_school_tenths)]:
        if least is not None:
            wanted.append(column >= least)
    if wish.max_commute_minutes is not None:
        wanted.append(L.commute_minutes <= wish.max_commute_minutes)
    if wish.sub_types:
        wanted.append(L.sub_type.in_(wish.sub_types))
    if wish.required_amenities:
        wanted.append(L.amenities.contains(wish.required_amenities))
    if wish.dismissed:
        wanted.append(L.listing_id.not_in(wish.dismissed))
    liked = sum((case((L.amenities.contains([word]), 1), else_=0) for word in wish.preferred_amenities), literal(0))
    columns = [L.listing_id, L.market, L.price_cents, L.bedrooms, L.bathrooms, L.living_area_sqft, L.year_built,
               L.school_tenths, L.commute_minutes, func.cardinality(L.amenities).label("amenities"), liked.label("liked")]
    return select(*columns).where(*wanted)


STATEMENT_OF = select(preferences).where(preferences.c.session_id == bindparam("session_id"))
FULL_ROWS = select(listings).where(L.listing_id.in_(bindparam("ids", expanding=True)))
