"""Everything that has a name can be loaded, and a wrong name gets a hint."""

import pytest

from quickstudy import catalog
from quickstudy.errors import InvalidArgument
from quickstudy.experiment import Experiment
from quickstudy.family import AbstractFamily
from quickstudy.meta import AbstractMetaAlgorithm
from quickstudy.presets import PRESETS, preset, preset_for
from quickstudy.presets.gradient import GRADIENT_METHODS, ROLLOUTS
from quickstudy.presets.value import VALUED
from quickstudy.presets.worlds import WORLDS


@pytest.mark.parametrize("name", catalog.FAMILIES)
def test_every_family_loads_with_its_defaults(name):
    family = catalog.family(name).load()()
    assert isinstance(family, AbstractFamily)
    assert family.num_episodes >= 1


@pytest.mark.parametrize("name", catalog.METHODS)
def test_every_method_builds_for_a_bandit(name):
    family = catalog.family("bernoulli-bandit").load()()
    entry = catalog.method(name)
    assert isinstance(entry.build(entry.load()(), family), AbstractMetaAlgorithm)


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(InvalidArgument, match="did you mean 'rl2'"):
        catalog.method("rl22")
    with pytest.raises(InvalidArgument, match="did you mean 'grid-navigation'"):
        catalog.family("grid-navgation")
    with pytest.raises(InvalidArgument, match="did you mean 'bandit-10-5'"):
        preset("bandit-10-6")


def test_thompson_refuses_a_family_without_arms():
    family = catalog.family("grid-navigation").load()()
    entry = catalog.method("thompson")
    with pytest.raises(InvalidArgument, match="choose --family bernoulli-bandit"):
        entry.build(entry.load()(), family)


@pytest.mark.parametrize("name", ["r-max", "q-learning"])
def test_tabular_learners_refuse_a_family_that_does_not_show_its_state(name):
    entry, hidden = catalog.method(name), catalog.family("dark-key-to-door").load()()
    with pytest.raises(InvalidArgument, match="choose --family random-mdp"):
        entry.build(entry.load()(), hidden)
    for family in ("random-mdp", "grid-navigation", "dark-room", "bernoulli-bandit"):
        entry.build(entry.load()(), catalog.family(family).load()())


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_makes_an_experiment_that_survives_its_config(name):
    experiment = Experiment.from_preset(name, preset(name))
    assert Experiment.from_config(experiment.config()) == experiment
    assert experiment.num_seeds >= (2 if name in WORLDS else 5)  # environments of other libraries are slow
    options = experiment.method_options
    if hasattr(options, "ppo"):
        assert experiment.num_tasks % options.ppo.num_minibatches == 0
        assert options.ppo.anneal_steps == experiment.num_steps
    elif "ascent" in preset(name).method_options:
        assert options.ascent.anneal_steps == experiment.num_steps


@pytest.mark.parametrize("cell", ROLLOUTS)
def test_methods_that_learn_from_rollouts_get_equal_steps(cell):
    presets = {name: PRESETS[f"{cell}-{name}"] for name in GRADIENT_METHODS if name != "scratch-ppo"}
    experiments = [Experiment.from_preset(None, chosen) for chosen in presets.values()]
    totals = [experiment.num_steps * experiment.steps_per_update for experiment in experiments]
    assert max(totals) <= ROLLOUTS[cell].env_steps
    assert min(totals) > 0.95 * max(totals)
    assert {experiment.budgets.test for experiment in experiments} == {experiments[0].budgets.test}
    assert experiments[0].budgets.test.num_blocks == 4


@pytest.mark.parametrize("cell", VALUED)
def test_dqn_that_is_fine_tuned_gets_the_steps_of_mktn(cell):
    mktn, dqn = (Experiment.from_preset(None, PRESETS[f"{cell}-{name}"]) for name in ("mktn", "fine-tuned-dqn"))
    assert mktn.num_steps * mktn.steps_per_update == dqn.num_steps * dqn.steps_per_update


def test_a_method_and_family_take_their_defaults_from_the_preset():
    assert preset_for("rl2", "grid-navigation") is PRESETS["grid-navigation"]
    assert preset_for("random", "grid-navigation") is None
