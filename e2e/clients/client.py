"""What a client in Python does with a live API, through the package that openapi-python-client generated of its document.

    client.py URL     with the directory of the generated package `roost_client` in PYTHONPATH

Ends with 0 when everything was answered with the types that the document promises.
"""

import sys
import time

from roost_client import AuthenticatedClient, Client
from roost_client.api.markets import list_markets
from roost_client.api.models import model_info, predict_price
from roost_client.api.properties import browse_properties, read_property, read_property_history
from roost_client.api.sessions import (
    erase_session,
    explain_recommendation,
    read_recommendations,
    record_interactions,
    state_preferences,
)
from roost_client.models import (
    Accepted,
    AmenitySetItem,
    EventType,
    History,
    Markets,
    ModelInfo,
    Page,
    Pick,
    Place,
    Prediction,
    Preferences,
    Problem,
    Property,
    Recommendations,
    Recorded,
    Reported,
    ResoProperty,
)

# Seconds until a new session must have its three homes.
PATIENCE = 30


def expect(answer, kind, status):
    """The parsed answer, which must be of this type and status."""
    assert answer.status_code == status, f"{answer.status_code}, expected {status}: {answer.content!r}"
    assert isinstance(answer.parsed, kind), f"{type(answer.parsed).__name__}, expected {kind.__name__}"
    return answer.parsed


def main(url):
    anyone = Client(base_url=url)

    markets = expect(list_markets.sync_detailed(client=anyone, country="us", limit=10), Markets, 200)
    market = next(one.market for one in markets.items if one.sale)

    wish = Preferences(
        budget=2_000_000,
        place=Place(cities=[market]),
        preferred_amenities=[AmenitySetItem.GARAGE],
    )
    accepted = expect(state_preferences.sync_detailed(client=anyone, body=wish), Accepted, 202)
    assert accepted.preferences.currency == "USD", accepted
    session = AuthenticatedClient(base_url=url, token=accepted.token)

    until = time.monotonic() + PATIENCE
    while True:
        answer = read_recommendations.sync_detailed(client=session, min_version=accepted.version, wait="5s")
        if answer.status_code == 200:
            break
        assert answer.status_code == 202 and time.monotonic() < until, answer
    best = expect(answer, Recommendations, 200)
    assert best.session_id == accepted.session_id and len(best.items) == 3, best
    assert all(item.list_price <= wish.budget for item in best.items), best
    first = best.items[0].listing_id

    again = read_recommendations.sync_detailed(client=session, if_none_match=answer.headers["etag"])
    assert again.status_code in (200, 304), again
    # The market moves: what was the best a moment ago may be none of the three by now.
    pick = explain_recommendation.sync_detailed(first, client=session)
    if pick.status_code == 404:
        assert expect(pick, Problem, 404).type_ == "/problems/not-recommended", pick
    else:
        assert sum(part.points for part in expect(pick, Pick, 200).item.components) > 0, pick

    page = expect(browse_properties.sync_detailed(client=anyone, market=market, limit=5), Page, 200)
    assert len(page.items) == 5 and isinstance(page.next_cursor, str), page
    following = browse_properties.sync_detailed(client=anyone, market=market, limit=5, cursor=page.next_cursor)
    assert {one.listing_id for one in expect(following, Page, 200).items}.isdisjoint(one.listing_id for one in page.items)
    home = expect(read_property.sync_detailed(page.items[0].listing_id, client=anyone), Property, 200)
    assert home.market == market, home
    assert expect(read_property_history.sync_detailed(home.listing_id, client=anyone), History, 200).items

    described = ResoProperty(
        country=home.country.upper(), state_or_province=home.state_or_province, city=home.city, property_type="Residential",
        property_sub_type="SingleFamilyResidence", latitude=home.position.latitude, longitude=home.position.longitude, living_area=1800, bedrooms_total=3,
        bathrooms_total_decimal=2.5, year_built=1962,
    )
    prediction = expect(predict_price.sync_detailed(client=anyone, body=described, explain=True), Prediction, 200)
    assert prediction.valuation.p10 <= prediction.valuation.p50 <= prediction.valuation.p90, prediction
    assert prediction.explanation.features, prediction
    assert expect(model_info.sync_detailed(client=anyone), ModelInfo, 200).model == prediction.valuation.model

    seen = [Reported(listing_id=first, event_type=EventType.DETAILEDVIEW)]
    # The client names itself python-httpx, which the API takes for a program and does not record.
    assert expect(record_interactions.sync_detailed(client=session, body=seen), Recorded, 202).recorded in (0, 1)

    refused = state_preferences.sync_detailed(client=anyone, body=Preferences(budget=0, place=Place(cities=["x"])))
    problem = expect(refused, Problem, 422)
    assert problem.type_ == "/problems/validation-failed", problem
    assert {one.pointer for one in problem.errors} == {"/budget", "/place/cities/0"}, problem

    assert erase_session.sync_detailed(accepted.session_id, client=session).status_code == 204
    gone = expect(read_recommendations.sync_detailed(client=session), Problem, 404)
    assert gone.type_ == "/problems/session-not-found", gone


main(sys.argv[1])
print("the client in Python did everything")
