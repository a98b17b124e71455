"""What is to be learnt and how: the task (a JSON file) and the recipe (the numbers of the training). Plain values."""

import difflib
import json
import re
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from files import InputError, read_text, shown

# What the names of the features begin with that compare sales by the feed's own numbers.
SIMILAR_PRICE = ("comparables_similar_price.", "comparables_similar_price_per_sqft.")
# No number of a recipe is as large: hours of training lie before it.
MOST = 100_000
# Without these there would be no trees.
AT_LEAST_ONE = ("seeds", "interval_seeds", "trees", "interval_trees")


@dataclass(frozen=True)
class Recipe:
    """The numbers of the training. The defaults were chosen on the last quarter of King County's sales (README.md)."""

    # Boosters of the median; the model says their mean. Some split at the best threshold, some at the best of one random
    # threshold per feature: each kind errs elsewhere.
    seeds: int = 2
    random_seeds: int = 2
    trees: int = 800
    num_leaves: int = 48
    learning_rate: float = 0.035
    random_learning_rate: float = 0.05
    min_data_in_leaf: int = 10
    feature_fraction: float = 0.3
    bagging_fraction: float = 0.8
    lambda_l2: float = 3.0
    # How many sales of its own weigh as much in a leaf as what the branch above says.
    path_smooth: float = 5.0
    # Errors of the log price above this count linearly: a sale between relatives says little about any other.
    huber: float = 0.2
    # The ends of the interval need less: calibration moves them anyway.
    interval_seeds: int = 1
    interval_trees: int = 500
    interval_num_leaves: int = 31
    interval_learning_rate: float = 0.05
    interval_min_data_in_leaf: int = 30

    def as_dict(self) -> dict[str, Any]:
        """For the manifest."""
        return asdict(self)


# What a features file holds.
EXPECTED = {
    "features": "a list of names, as of `roost features --names`",
    "required": "a list of those features without which there is no valuation; it may be empty",
    "transaction": '"sale" or "lease"',
    "currency": 'three capital letters such as "USD"',
    "recipe": "other numbers for the training",
}


def _recipe(value: Any) -> Recipe:
    if not isinstance(value, dict):
        raise ValueError(f"recipe: `{shown(value)}` is no object (expected {EXPECTED['recipe']})")
    known = {f.name: f.type for f in fields(Recipe)}
    for name, number in value.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            expected = f"meant: {near[0]}?" if near else f"expected one of {', '.join(known)}"
            raise ValueError(f"recipe: `{shown(name)}` is unknown ({expected})")
        kinds = (int,) if known[name] in (int, "int") else (int, float)
        # What the trees need of it in particular, LightGBM says.
        if isinstance(number, bool) or not isinstance(number, kinds) or not 0 <= number < MOST:
            kind = "a whole number" if kinds == (int,) else "a number"
            raise ValueError(f"recipe.{name}: `{shown(number)}` (expected {kind} from 0 to {MOST:,})")
        if name in AT_LEAST_ONE and number < 1:
            raise ValueError(f"recipe.{name}: `{number}` (expected at least 1)")
    return Recipe(**value)


@dataclass(frozen=True)
class Task:
    """What a features file says."""

    features: list[str]
    required: list[str]
    transaction: str
    currency: str
    recipe: Recipe = field(default_factory=Recipe)

    @classmethod
    def read(cls, path: Path) -> "Task":
        """A features file; a member that is missing, unknown or of another kind is an error that names it."""
        try:
            return cls._of(json.loads(read_text(path)))
        except InputError:
            raise
        except json.JSONDecodeError as error:
            raise InputError(f"{path}:{error.lineno}: is no JSON: {error.msg} (features.json is a pattern)") from None
        except RecursionError:
            raise InputError(f"{path}: is nested too deep (features.json is a pattern)") from None
        except ValueError as error:
            raise InputError(f"{path}: {error}") from None

    @classmethod
    def _of(cls, value: Any) -> "Task":
        if not isinstance(value, dict):
            raise ValueError("is no JSON object (features.json is a pattern)")
        for name in ("features", "required", "transaction", "currency"):
            if name not in value:
                raise ValueError(f"has no `{name}` (expected {EXPECTED[name]})")
        if unknown := sorted(set(value) - set(EXPECTED)):
            raise ValueError(f"has `{shown(unknown[0])}`, which is unknown (expected {', '.join(EXPECTED)})")
        for name in ("features", "required"):
            names = value[name]
            if not isinstance(names, list) or not all(isinstance(one, str) and one for one in names):
                raise ValueError(f"{name}: `{shown(names)}` is no list of names (expected {EXPECTED[name]})")
            if twice := sorted({one for one in names if names.count(one) > 1}):
                raise ValueError(f"{name}: {twice[0]} is there twice (remove one)")
        if not value["features"]:
            raise ValueError(f"features: names none (expected {EXPECTED['features']})")
        if strangers := sorted(set(value["required"]) - set(value["features"])):
            raise ValueError(f"required: no feature: {', '.join(strangers)} (add them to `features`, or remove them)")
        if value["transaction"] not in ("sale", "lease"):
            raise ValueError(f"transaction: `{shown(value['transaction'])}` (expected {EXPECTED['transaction']})")
        currency = value["currency"]
        if not isinstance(currency, str) or not re.fullmatch("[A-Z]{3}", currency):
            raise ValueError(f"currency: `{shown(currency)}` (expected {EXPECTED['currency']})")
        return cls(value["features"], value["required"], value["transaction"], currency, _recipe(value.get("recipe", {})))

    def numeric_attributes(self) -> list[str]:
        """The attributes of the feed that a feature takes for numbers."""
        parts = [part for name in self.features for part in name.removeprefix("ratio.").split("/")]
        own = {p.removeprefix("attributes.") for p in parts if p.startswith("attributes.") and "=" not in p}
        # <word>.<neighbours>.<attribute>:<weight>+<attribute>:<weight>
        asked = [p.split(".", 2)[2] for p in parts if p.startswith(SIMILAR_PRICE)]
        return sorted(own | {pair.rpartition(":")[0] for pairs in asked for pair in pairs.split("+")})
