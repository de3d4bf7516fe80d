"""Hyperparameters as plain data."""

import pytest

from quickstudy.algorithms.context.rl2 import RL2
from quickstudy.errors import InvalidArgument
from quickstudy.options import to_options, with_options


def test_options_survive_the_way_to_json_and_back():
    method = with_options(RL2(), {"width": 7, "ppo": {"gamma": 0.5, "num_epochs": 1}})
    assert (method.width, method.ppo.gamma, method.ppo.num_epochs) == (7, 0.5, 1)
    assert method.ppo.trace == RL2().ppo.trace
    assert with_options(RL2(), to_options(method)) == method


def test_an_unknown_option_is_refused_with_the_nearest_one():
    with pytest.raises(InvalidArgument, match=r"unknown option of PPO 'gama': did you mean 'gamma'\?"):
        with_options(RL2(), {"ppo": {"gama": 0.5}})


def test_a_value_of_the_wrong_type_is_refused():
    with pytest.raises(InvalidArgument, match="option width of RL2 must be a int, got 'wide'"):
        with_options(RL2(), {"width": "wide"})


def test_a_whole_number_may_stand_for_a_float_but_a_bool_may_not():
    assert with_options(RL2(), {"ppo": {"gamma": 1}}).ppo.gamma == 1
    with pytest.raises(InvalidArgument, match="gamma"):
        with_options(RL2(), {"ppo": {"gamma": True}})
