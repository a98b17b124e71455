"""What clients of the classic build send: the bodies that roost's API takes, so that both are asked the same."""
from pydantic import BaseModel, ConfigDict, Field


class Circle(BaseModel):
    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)
    radius_km: float = Field(gt=0, le=500)


class Place(BaseModel):
    model_config = ConfigDict(extra="forbid")
    cities: list[str] = Field(default=[], max_length=20)
    postal_codes: list[str] = Field(default=[], max_length=50)
    within: Circle | None = None
    country: str | None = None


class Preferences(BaseModel):
    model_config = ConfigDict(extra="forbid")
    transaction: str = "sale"
    budget: float = Field(gt=0)
    currency: str
    place: Place
    min_bedrooms: int | None = Field(None, ge=0, le=50)
    min_bathrooms: float | None = Field(None, ge=0, le=50)
    min_living_area_sqft: int | None = Field(None, ge=0)
    property_sub_types: list[str] = []
    max_commute_minutes: int | None = Field(None, gt=0)
    min_school_rating: float | None = Field(None, ge=0, le=10)
    required_amenities: list[str] = []
    preferred_amenities: list[str] = []
    dismissed: list[str] = Field(default=[], max_length=500)
    include_coming_soon: bool = False
    include_under_contract: bool = False
    profile: str = "balanced"

    def row(self, session_id: str) -> dict:
        """As the table has it."""
        circle, rating = self.place.within, self.min_school_rating
        statuses = ["Active"]
        statuses += ["ComingSoon"] if self.include_coming_soon else []
        statuses += ["ActiveUnderContract"] if self.include_under_contract else []
        return {
            "session_id": session_id, "transaction": self.transaction, "currency": self.currency,
            "budget_cents": round(self.budget * 100), "cities": self.place.cities,
            "postal_codes": self.place.postal_codes, "country": self.place.country,
            "latitude": circle and circle.latitude, "longitude": circle and circle.longitude,
            "radius_km": circle and circle.radius_km, "min_bedrooms": self.min_bedrooms,
            "min_bathrooms": self.min_bathrooms, "min_living_area_sqft": self.min_living_area_sqft,
            "sub_types": self.property_sub_types, "max_commute_minutes": self.max_commute_minutes,
            "min_school_tenths": None if rating is None else round(rating * 10),
            "required_amenities": self.required_amenities, "preferred_amenities": self.preferred_amenities,
            "dismissed": self.dismissed, "statuses": statuses,
        }


class Home(BaseModel):
    """A home to be valued."""
    market: str
    bedrooms: int = Field(ge=0, le=50)
    bathrooms: float = Field(ge=0, le=50)
    living_area_sqft: int = Field(gt=0, le=1_000_000)
    year_built: int = Field(ge=1600, le=2100)
    school_rating: float = Field(5, ge=0, le=10)
    commute_minutes: int = Field(30, ge=0, le=600)
    amenities: list[str] = []


class Price(BaseModel):
    list_price: float = Field(gt=0)
