"""What a linear probe of codes finds, and where it refuses to look."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float

from quickstudy.catalog import FAMILIES
from quickstudy.collect.graph import GraphCollector
from quickstudy.envs.point import RotatedPointNavigation
from quickstudy.errors import InvalidArgument
from quickstudy.evaluation import evaluate
from quickstudy.experiment import Experiment
from quickstudy.learner import AbstractEncodingLearner
from quickstudy.meta import NoOptions
from quickstudy.probe import linear_probe, probe, r_squared
from quickstudy.types import Budget

RANDOM = np.random.default_rng(0)
CODES = RANDOM.normal(size=(2, 90, 3))
WEIGHTS = np.array([[1.0], [-2.0], [0.0]])


def test_a_probe_finds_what_is_linear_in_the_code_and_nothing_else():
    """The first number is linear in the first seed's codes, the second in neither's; the third never differs."""
    features = np.concatenate([CODES[0] @ WEIGHTS + 5.0, RANDOM.normal(size=(90, 1)), np.ones((90, 1))], axis=1)
    found = probe(CODES, features, ("linear", "unrelated", "same"))
    assert found is not None
    linear, unrelated = found["by_feature"]
    assert [linear["name"], unrelated["name"]] == ["linear", "unrelated"]
    # One seed says it all and the other one nothing at all, which cross-validation does not hide.
    assert 0.3 < linear["value"] < 0.51
    assert unrelated["value"] < 0.1
    assert found["r_squared"]["value"] == pytest.approx((linear["value"] + unrelated["value"]) / 2)


def test_the_scale_of_a_code_does_not_matter():
    features = CODES[0] @ WEIGHTS
    for scale in (1e-3, 1e3):
        said = linear_probe(scale * CODES[0, :60], features[:60], scale * CODES[0, 60:])
        assert r_squared(said, features[60:])[0] > 0.999


@pytest.mark.parametrize(
    ("codes", "features"),
    [
        (CODES[:, :, :0], CODES[0]),
        (CODES[:, :8], CODES[0, :8]),
        (CODES, np.ones((90, 2))),
        (np.where(CODES > 2, np.nan, CODES), CODES[0]),
    ],
    ids=["no code", "too few tasks", "tasks that are all alike", "codes that are not finite"],
)
def test_there_is_no_probe_of_nothing(codes: Any, features: Any):
    assert probe(codes, features) is None


@pytest.mark.parametrize("name", sorted(name for name, entry in FAMILIES.items() if not entry.extra))
def test_features_that_have_names_have_one_each(name: str):
    family = FAMILIES[name].load()()
    task = family.tasks("test").sample(key=jax.random.key(0))
    assert len(family.feature_names) in (0, len(family.task_features(task)))


class Seer(AbstractEncodingLearner[Any, Any, Any]):
    """Adds up what it observes, in its carry, and does nothing."""

    def init(self, params: Any, *, key: Any) -> Float[Array, ""]:
        return jnp.zeros(())

    def init_carry(self, params: Any) -> Float[Array, " F"]:
        return jnp.zeros(2)

    def act(self, params: Any, state: Any, carry: Any, timestep: Any, *, key: Any) -> Any:
        return jnp.ones(2), carry + timestep.obs, None

    def update(self, params: Any, state: Any, trajectory: Any, *, key: Any) -> Any:
        return state + 1.0, {}

    def code(self, params: Any, state: Any, carry: Any) -> Float[Array, " C"]:
        return jnp.concatenate([params * carry, state[None]])


def test_a_family_that_names_some_of_its_numbers_is_refused_before_anything_runs():
    class Halfway(RotatedPointNavigation):
        @property
        def feature_names(self) -> tuple[str, ...]:
            return ("cosine",)

    with pytest.raises(InvalidArgument, match=r"Halfway must name all [0-9]+ numbers.*got 1: cosine"):
        Experiment("random", "rotated-point-navigation", NoOptions(), Halfway(), 1, 1, 1)


def test_an_evaluation_keeps_the_codes_of_all_tasks():
    """A point that always pushes one way goes where the rotation turns it: the code is linear in cosine and sine."""
    family = RotatedPointNavigation()
    evaluation = evaluate(
        Seer(),
        jnp.array([1.0, 2.0]),
        GraphCollector(family.env),
        family.tasks("test"),
        Budget(3, 4),
        num_seeds=2,
        num_tasks=20,
        num_episodes=1,
        key=jax.random.key(0),
    )
    assert evaluation.codes is not None
    assert evaluation.codes.shape == (2, 20, 3)
    np.testing.assert_allclose(evaluation.codes[1, :, :2], 2 * evaluation.codes[0, :, :2], rtol=1e-5)
    np.testing.assert_array_equal(evaluation.codes[:, :, 2], 3.0)
    features = np.asarray(jax.vmap(family.task_features)(evaluation.tasks), np.float64)
    found = probe(evaluation.codes, features, family.feature_names)
    assert found is not None
    values = {one["name"]: one["value"] for one in found["by_feature"]}
    assert values["cosine of the rotation"] > 0.9
    assert values["sine of the rotation"] > 0.9
