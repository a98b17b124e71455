"""The report of a training: one HTML page that needs nothing beside it. Draws what it is given; computes no model."""

import base64
import html
import io
from typing import TYPE_CHECKING, Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402

from files import Finding  # noqa: E402
from matrix import Floats, Mask  # noqa: E402
from rows import RULES  # noqa: E402

if TYPE_CHECKING:
    from train import Judged

INK, GREEN, RED, GREY = "#1c2a33", "#0b6e4f", "#c8463d", "#8a979e"
PERCENT = {
    "median_absolute_error": "median absolute error",
    "mean_absolute_error": "mean absolute error",
    "within_5_percent": "within 5 %",
    "within_10_percent": "within 10 %",
    "within_20_percent": "within 20 %",
    "bias": "bias (median error)",
    "interval_coverage": "interval: inside (80 % promised)",
    "interval_below": "interval: sold below (10 %)",
    "interval_above": "interval: sold above (10 %)",
    "interval_width": "interval: median width, of the price",
}
# Fewest sales that make a point of a plot.
FEWEST = 15
# Most findings that the page lists.
LISTED = 5_000

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2a33; max-width: 1080px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .4rem; }
table { border-collapse: collapse;
  font-variant-numeric: tabular-nums; } td, th { padding: .2rem .8rem .2rem 0; text-align: left; }
th { border-bottom: 1px solid #8a979e; } td.n { text-align: right; } p, .note { color: #4a5860; max-width: 70ch; }
figure { margin: 0; } img { max-width: 100%; } .pair { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; }
code { font-size: .9em; } .scroll { max-height: 24rem; overflow-y: auto; }
"""


def page(manifest: dict[str, Any], judged: "Judged", findings: list[Finding]) -> str:
    """The whole page. All plots but the importance are of the judged sales, which the judged model had not seen."""
    price, p50 = judged.sales.price, judged.prices[:, 1]
    error = p50 / price - 1.0
    title = f"{manifest['name']}/{manifest['version']}"
    parts = [
        f"<h1>{html.escape(title)}</h1><p>{_facts(manifest)}</p>",
        "<h2>How good it is</h2>",
        "<p>The newest sales, scored in the order of time by the same procedure trained on what was known before the "
        "first of them, with the online level, as they would have been served. ± is one standard deviation over "
        "resamples.</p>",
        _metrics(manifest),
        '<div class="pair">',
        _figure("Paid and predicted", lambda axes: _scatter(axes, price, p50)),
        _figure("Error", lambda axes: _histogram(axes, error)),
        "</div><h2>Error by price tier, by area, over time</h2><div class='pair'>",
        _figure("By price tier (tenths of the sales)", lambda axes: _tiers(axes, price, error)),
        _figure("Over time", lambda axes: _weeks(axes, judged)),
        "</div>",
        _figure("By area: the largest", lambda axes: _areas(axes, judged, error), size=(10, 4)),
        "<h2>Calibration of the interval</h2><div class='pair'>",
        _figure("Share of sales inside, by price tier", lambda axes: _coverage(axes, judged)),
        _figure("Promised and seen", lambda axes: _reliability(axes, judged)),
        "</div><h2>What the median learns from</h2>",
        _figure("Feature importance: share of the gain", lambda axes: _importance(axes, manifest["gain"]), size=(10, 7)),
        "<h2>Where it misses</h2>",
        _map(judged),
        "<h2>The rows</h2>",
        _rules(manifest, findings),
        "<h2>The features in training</h2>",
        _inputs(manifest),
    ]
    head = f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{html.escape(title)}</title><style>{STYLE}</style>"
    return head + "\n".join(parts) + "</html>\n"


def _facts(manifest: dict[str, Any]) -> str:
    sold = f"{manifest['rows']:,} sales, {manifest['trained_from']} to {manifest['trained_through']}"
    facts = [
        html.escape(str(manifest["trained_on"])),
        f"{sold}; judged on {manifest['judged_rows']:,} of them since {manifest['judged_from']}",
        html.escape(manifest["algorithm"]),
        f"rows <code>{manifest['data_sha256'][:16]}…</code>, network <code>{manifest['sha256'][:16]}…</code>",
    ]
    return "<br>".join(facts)


def _metrics(manifest: dict[str, Any]) -> str:
    spread = manifest["metrics_spread"]
    lines = [
        f"<tr><td>{label}<td class=n>{value * 100:.2f} %<td class=n>± {spread[name] * 100:.2f}"
        for name, label in PERCENT.items()
        if (value := manifest["metrics"].get(name)) is not None
    ]
    r_squared = manifest["metrics"]["r_squared"]
    lines.append(f"<tr><td>R²<td class=n>{r_squared:.4f}<td class=n>± {spread['r_squared']:.4f}")
    return "<table>" + "".join(lines) + "</table>"


def _figure(title: str, draw: Any, size: tuple[float, float] = (5.2, 3.8)) -> str:
    figure, axes = plt.subplots(figsize=size, layout="constrained")
    axes.set_title(title, fontsize=11, loc="left", color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, alpha=0.2)
    axes.tick_params(labelsize=8)
    draw(axes)
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=130)
    plt.close(figure)
    data = base64.b64encode(image.getvalue()).decode()
    return f"<figure><img alt='{html.escape(title)}' src='data:image/png;base64,{data}'></figure>"


def _scatter(axes: Axes, price: Floats, p50: Floats) -> None:
    ends = [min(price.min(), p50.min()), max(price.max(), p50.max())]
    axes.plot(ends, ends, color=INK, linewidth=1)
    axes.fill_between(ends, [0.8 * e for e in ends], [1.2 * e for e in ends], color=GREEN, alpha=0.12, label="within 20 %")
    axes.scatter(price, p50, s=3, alpha=0.35, color=GREEN, linewidths=0)
    axes.set(xscale="log", yscale="log", xlabel="paid", ylabel="predicted")
    axes.legend(fontsize=8)


def _histogram(axes: Axes, error: Floats) -> None:
    axes.hist(np.clip(error, -0.5, 0.5), bins=50, color=GREEN, alpha=0.8)
    axes.axvline(float(np.median(error)), color=RED, linewidth=1.5, label=f"median {np.median(error) * 100:.1f} %")
    axes.xaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0))
    axes.set(xlabel="error (cut at ± 50 %)", ylabel="sales")
    axes.legend(fontsize=8)


def _tier_masks(price: Floats) -> list[tuple[str, Mask]]:
    edges = np.quantile(price, np.arange(0, 11) / 10)
    which = np.clip(np.searchsorted(edges, price, side="right") - 1, 0, 9)
    return [(f"{edges[tier] / 1000:.0f}k", which == tier) for tier in range(10) if (which == tier).sum() >= FEWEST]


def _tiers(axes: Axes, price: Floats, error: Floats) -> None:
    tiers = _tier_masks(price)
    _bars(axes, [name for name, _ in tiers], [error[mask] for _, mask in tiers])
    axes.set_xlabel("paid, from")


def _bars(axes: Axes, names: list[str], errors: list[Floats]) -> None:
    places = np.arange(len(names))
    axes.bar(places, [float(np.median(np.abs(e))) for e in errors], color=GREEN, alpha=0.75, label="median absolute error")
    axes.plot(places, [float(np.median(e)) for e in errors], "o", color=RED, markersize=4, label="bias")
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set_xticks(places, names, rotation=45 if len(names) < 15 else 90, ha="center")
    axes.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0))
    axes.legend(fontsize=8)


def _weeks(axes: Axes, judged: "Judged") -> None:
    price = judged.sales.price
    week = (judged.sales.day - judged.sales.day[0]).astype(int) // 7
    lines: dict[str, list[tuple[Any, float]]] = {"served": [], "bias": [], "bias without the level": []}
    for number in np.unique(week):
        mask = week == number
        if mask.sum() < FEWEST:
            continue
        at = judged.sales.day[mask][0].astype("datetime64[D]").astype(object)
        error = judged.prices[mask, 1] / price[mask] - 1.0
        still = np.exp(judged.log_prices[mask, 1]) / price[mask] - 1.0
        lines["served"].append((at, float(np.median(np.abs(error)))))
        lines["bias"].append((at, float(np.median(error))))
        lines["bias without the level"].append((at, float(np.median(still))))
    label = "median absolute error"
    styles = {"served": (GREEN, "-"), "bias": (RED, "-"), "bias without the level": (GREY, "--")}
    for name, points in lines.items():
        color, style = styles[name]
        axes.plot(*zip(*points, strict=True), color=color, linestyle=style, marker=".", label=label if name == "served" else name)
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0))
    axes.tick_params(axis="x", rotation=45)
    axes.set_xlabel("week of the closing")
    axes.legend(fontsize=8)


def _areas(axes: Axes, judged: "Judged", error: Floats) -> None:
    area = _area_of(judged)
    names, counts = np.unique(area, return_counts=True)
    largest = [str(name) for name in names[np.argsort(-counts)] if (area == name).sum() >= FEWEST][:30]
    errors = [error[area == name] for name in largest]
    order = np.argsort([np.median(np.abs(e)) for e in errors])
    _bars(axes, [f"{largest[i]} ({len(errors[i])})" for i in order], [errors[i] for i in order])


def _area_of(judged: "Judged") -> Any:
    """The market; where there is one only, squares of a tenth of a degree."""
    if len(np.unique(judged.sales.market)) > 1 or judged.place is None:
        return judged.sales.market
    corner = np.floor(judged.place * 10) / 10
    return np.array([f"{lat:.1f}, {lon:.1f}" for lat, lon in corner])


def _coverage(axes: Axes, judged: "Judged") -> None:
    tiers = _tier_masks(judged.sales.price)
    places = np.arange(len(tiers))
    price, (p10, _, p90) = judged.sales.price, judged.prices.T
    inside = [float(np.mean((p10 <= price)[mask] & (price <= p90)[mask])) for _, mask in tiers]
    axes.bar(places, inside, color=GREEN, alpha=0.75)
    axes.axhline(0.8, color=RED, linewidth=1.5, label="promised")
    axes.set_xticks(places, [name for name, _ in tiers], rotation=45)
    axes.set(ylim=(0.4, 1.0), xlabel="paid, from")
    axes.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0))
    axes.legend(fontsize=8)


def _reliability(axes: Axes, judged: "Judged") -> None:
    """Between and beyond p10, p50 and p90 the log price is taken for straight: what share lies below each level."""
    logs, paid = np.log(judged.prices), np.log(judged.sales.price)
    levels = np.arange(1, 20) / 20
    knots = np.array([0.1, 0.5, 0.9])
    seen = []
    for wanted in levels:
        left = int(wanted > 0.5)
        low, high = logs[:, left], logs[:, left + 1]
        at = low + (high - low) * (wanted - knots[left]) / (knots[left + 1] - knots[left])
        seen.append(float(np.mean(paid <= at)))
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1)
    axes.plot(levels, seen, color=GREEN, marker=".", label="interpolated")
    axes.plot(knots, [float(np.mean(paid <= logs[:, i])) for i in range(3)], "o", color=RED, label="p10, p50, p90")
    axes.set(xlabel="share promised below", ylabel="share sold below")
    axes.legend(fontsize=8)


def _importance(axes: Axes, gain: dict[str, float]) -> None:
    top = list(gain.items())[:25][::-1]
    axes.barh([name for name, _ in top], [share for _, share in top], color=GREEN, alpha=0.8)
    axes.xaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0))


def _map(judged: "Judged") -> str:
    if judged.place is None:
        return "<p>No map: latitude and longitude are not among the features.</p>"
    residual = np.log(judged.sales.price / judged.prices[:, 1])
    place = judged.place

    def draw(axes: Axes) -> None:
        shown = axes.scatter(place[:, 1], place[:, 0], c=residual, s=9, cmap="RdBu", vmin=-0.3, vmax=0.3, linewidths=0)
        axes.set(xlabel="longitude", ylabel="latitude")
        axes.set_aspect(1 / np.cos(np.radians(float(np.nanmean(place[:, 0])))), adjustable="datalim")
        axes.figure.colorbar(shown, ax=axes, label="log residual: red was overpriced, blue sold for more")

    return _figure("Residuals of the judged sales", draw, size=(10, 7))


def _rules(manifest: dict[str, Any], findings: list[Finding]) -> str:
    lines = "".join(
        f"<tr><td><code>{used['rule']}</code><td class=n>{used['rows']:,}<td>{html.escape(used['does'])}"
        for used in manifest["rules"]
    )
    unused = ", ".join(f"<code>{rule}</code>" for rule in RULES if not any(f.rule == rule for f in findings))
    named = "".join(f"<li>{html.escape(str(finding))}" for finding in findings[:LISTED])
    more = f"<p>… and {len(findings) - LISTED:,} more.</p>" if len(findings) > LISTED else ""
    table = f"<table><tr><th>rule<th>rows<th>what it did{lines}</table>" if lines else "<p>No rule found anything.</p>"
    rest = f"<p>Found nothing: {unused}.</p>" if unused else ""
    return f"{table}{rest}<div class=scroll><ul>{named}</ul>{more}</div>"


def _inputs(manifest: dict[str, Any]) -> str:
    head = "<tr><th>feature<th>unit<th>meaning<th>missing<th>least<th>10 %<th>median<th>90 %<th>greatest"
    lines = []
    for facts in manifest["inputs"]:
        cells = [f"<td><code>{html.escape(facts['feature'])}</code><td>{facts['unit']}<td>{html.escape(facts['meaning'])}"]
        cells.append(f"<td class=n>{facts['missing'] * 100:.1f} %")
        if "deciles" in facts:
            deciles = facts["deciles"]
            numbers = [facts["least"], deciles[0], deciles[4], deciles[8], facts["greatest"]]
            cells += [f"<td class=n>{number:,.6g}" for number in numbers]
        lines.append("<tr>" + "".join(cells))
    return f"<div class=scroll><table>{head}{''.join(lines)}</table></div>"
