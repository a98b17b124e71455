// What a client in TypeScript does with a live API, through the types that openapi-typescript generated of its document and
// openapi-fetch. `tsc --strict` checks that the document says what is used here; running it, that the API does.
//
//     node client.js URL

import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "./roost.js";

type Item = components["schemas"]["RecommendedItem"];
type Problem = components["schemas"]["Problem"];

// Milliseconds until a new session must have its three homes.
const PATIENCE = 30_000;

const api = createClient<paths>({ baseUrl: process.argv[2] });

function must<T>(answer: { data?: T; error?: unknown; response: Response }, status: number): NonNullable<T> {
  assert.equal(answer.response.status, status, JSON.stringify(answer.error ?? answer.data));
  assert.ok(answer.data !== undefined && answer.data !== null);
  return answer.data;
}

function refused(answer: { error?: Problem; response: Response }, status: number, slug: string): Problem {
  assert.equal(answer.response.status, status);
  assert.ok(answer.error);
  assert.equal(answer.error.type, `/problems/${slug}`);
  return answer.error;
}

const markets = must(await api.GET("/api/v1/markets", { params: { query: { country: "us", limit: 10 } } }), 200);
const market = markets.items.find((one) => one.sale)?.market;
assert.ok(market);

const budget = 2_000_000;
const accepted = must(
  await api.POST("/api/v1/preferences", {
    body: { budget, place: { cities: [market] }, preferred_amenities: ["garage"], profile: "family" },
  }),
  202,
);
const headers = { authorization: `Bearer ${accepted.token}` };

const until = Date.now() + PATIENCE;
let items: Item[] | undefined;
let tag: string | null = null;
while (items === undefined) {
  const query = { min_version: accepted.version, wait: "5s" };
  const answer = await api.GET("/api/v1/recommendations", { params: { query }, headers });
  assert.ok(answer.data, JSON.stringify(answer.error));
  // 200 and 202 have different bodies: `items` tells them apart, for the compiler too.
  if ("items" in answer.data) {
    assert.equal(answer.data.session_id, accepted.session_id);
    items = answer.data.items;
    tag = answer.response.headers.get("etag");
  }
  assert.ok(Date.now() < until, "no recommendation in time");
}
assert.equal(items.length, 3);
assert.ok(items.every((item) => item.list_price <= budget && item.components.length > 0));
assert.ok(tag);
const again = await api.GET("/api/v1/recommendations", { params: { header: { "If-None-Match": tag } }, headers });
assert.ok([200, 304].includes(again.response.status));

const page = must(await api.GET("/api/v1/properties", { params: { query: { market, limit: 5, beds_min: 2 } } }), 200);
assert.ok("items" in page && page.items.length === 5 && page.next_cursor);
const query = { market, limit: 5, beds_min: 2, cursor: page.next_cursor };
const following = must(await api.GET("/api/v1/properties", { params: { query } }), 200);
assert.ok("items" in following && following.items[0].listing_id !== page.items[0].listing_id);
const id = page.items[0].listing_id;
const home = must(await api.GET("/api/v1/properties/{id}", { params: { path: { id } } }), 200);
assert.equal(home.market, market);
assert.ok(must(await api.GET("/api/v1/properties/{id}/history", { params: { path: { id } } }), 200).items.length > 0);

const described = {
  Country: home.country.toUpperCase(), StateOrProvince: home.state_or_province ?? "", City: home.city ?? "",
  PropertyType: "Residential", PropertySubType: "SingleFamilyResidence", Latitude: home.position?.latitude,
  Longitude: home.position?.longitude, LivingArea: 1800, BedroomsTotal: 3, BathroomsTotalDecimal: 2.5, YearBuilt: 1962,
};
const prediction = must(
  await api.POST("/api/v1/ml/predict-price", { params: { query: { explain: true } }, body: described }),
  200,
);
assert.ok(prediction.valuation.p10 <= prediction.valuation.p50 && prediction.valuation.p50 <= prediction.valuation.p90);
assert.ok(prediction.explanation);

const lines = must(
  await api.POST("/api/v1/ml/predict-price/batch", {
    body: `${JSON.stringify(described)}\n{"Country": "US"}\n`,
    bodySerializer: (body) => body,
    headers: { "content-type": "application/x-ndjson" },
    parseAs: "text",
  }),
  200,
);
type Line = components["schemas"]["BatchLine"];
const [valued, wrong] = lines.trim().split("\n").map((line) => JSON.parse(line) as Line);
assert.ok(valued.prediction && wrong.problem && wrong.line === 2);

const seen = [{ listing_id: items[0].listing_id, event_type: "DetailedView" as const }];
assert.ok(must(await api.POST("/api/v1/interactions", { body: seen, headers }), 202).recorded >= 0);

const problem = refused(
  await api.POST("/api/v1/preferences", { body: { budget: 0, place: { cities: ["x"] } } }),
  422,
  "validation-failed",
);
assert.deepEqual(new Set(problem.errors?.map((one) => one.pointer)), new Set(["/budget", "/place/cities/0"]));

const session = { params: { path: { id: accepted.session_id } }, headers };
assert.equal((await api.DELETE("/api/v1/sessions/{id}", session)).response.status, 204);
refused(await api.GET("/api/v1/recommendations", { headers }), 404, "session-not-found");
console.log("the client in TypeScript did everything");
