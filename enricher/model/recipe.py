"""What is to be learnt and how: the task (a JSON file) and the recipe (the numbers of the training). Plain values."""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

# What the names of the features begin with that compare sales by the feed's own numbers.
SIMILAR_PRICE = ("comparables_similar_price.", "comparables_similar_price_per_sqft.")


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
        """A features file; an unknown member of its recipe is an error."""
        value = json.loads(path.read_text(encoding="utf-8"))
        recipe = value.get("recipe", {})
        unknown = set(recipe) - {f.name for f in fields(Recipe)}
        if unknown:
            raise ValueError(f"{path}: recipe has no {', '.join(sorted(unknown))}")
        strangers = set(value["required"]) - set(value["features"])
        if strangers:
            raise ValueError(f"{path}: required, but no feature: {', '.join(sorted(strangers))}")
        return cls(value["features"], value["required"], value["transaction"], value["currency"], Recipe(**recipe))

    def numeric_attributes(self) -> list[str]:
        """The attributes of the feed that a feature takes for numbers."""
        parts = [part for name in self.features for part in name.removeprefix("ratio.").split("/")]
        own = {p.removeprefix("attributes.") for p in parts if p.startswith("attributes.") and "=" not in p}
        # <word>.<neighbours>.<attribute>:<weight>+<attribute>:<weight>
        asked = [p.split(".", 2)[2] for p in parts if p.startswith(SIMILAR_PRICE)]
        return sorted(own | {pair.rpartition(":")[0] for pairs in asked for pair in pairs.split("+")})
