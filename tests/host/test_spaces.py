"""Gymnasium's spaces, there and back."""

import json

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from quickstudy.errors import InvalidArgument
from quickstudy.host.spaces import Layout, WrongShape, layout_of

BOX = spaces.Box(-1.0, 1.0, (2,), np.float32)
MIXED = spaces.Dict(
    {
        "camera": spaces.Box(0, 255, (2, 2, 1), np.uint8),
        "gear": spaces.Discrete(3, start=-1),
        "levers": spaces.MultiDiscrete([2, 3]),
        "lamps": spaces.MultiBinary(2),
        "pair": spaces.Tuple((spaces.Box(-9, 9, (), np.float32), spaces.Discrete(2))),
    }
)


def test_observations_of_every_kind_by_hand():
    layout = layout_of(MIXED, spaces.Discrete(2)).obs
    raw = {
        "camera": np.array([[[0], [51]], [[255], [102]]], np.uint8),
        "gear": 1,
        "levers": np.array([1, 0]),
        "lamps": np.array([0, 1]),
        "pair": (np.float32(4.5), 0),
    }
    seen = layout.decode(layout.encode(raw))
    assert set(seen) == {"camera", "gear", "levers", "lamps", "pair"}
    np.testing.assert_allclose(seen["camera"][..., 0], [[0, 0.2], [1, 0.4]], rtol=1e-6)
    np.testing.assert_array_equal(seen["gear"], [0, 0, 1])
    np.testing.assert_array_equal(seen["levers"], [0, 1, 1, 0, 0])
    np.testing.assert_array_equal(seen["lamps"], [1, 0, 0, 1])
    np.testing.assert_array_equal(seen["pair"]["0"], 4.5)
    np.testing.assert_array_equal(seen["pair"]["1"], [1, 0])


def test_a_batch_is_decoded_along_its_last_axis():
    layout = layout_of(spaces.Box(-9, 9, (2, 3), np.float64), spaces.Discrete(2)).obs
    flat = np.arange(24, dtype=np.float32).reshape(4, 6)
    np.testing.assert_array_equal(layout.decode(flat), flat.reshape(4, 2, 3))


@given(st.integers(0, 2**31))
def test_whatever_a_space_holds_is_encoded_and_survives_json(seed):
    MIXED.seed(seed)
    layout = layout_of(MIXED, BOX)
    again = Layout.from_json(json.loads(json.dumps(layout.to_json())))
    assert again == layout
    flat = layout.obs.encode(MIXED.sample())
    assert flat.shape == (layout.obs.size,)
    assert flat.dtype == np.float32


@pytest.mark.parametrize(
    ("space", "raw", "message"),
    [
        (BOX, np.zeros(3), r"has shape \(3,\), and its space says \(2,\)"),
        (BOX, "north", "is not numeric"),
        (spaces.Discrete(2), 2, "holds 2, and its space 0 to 1"),
        (spaces.Discrete(2), 0.5, r"holds 0.5"),
        (spaces.Dict({"a": BOX}), {"b": np.zeros(2)}, "has no part 'a'"),
    ],
)
def test_a_wrong_observation_is_named(space, raw, message):
    with pytest.raises(WrongShape, match=message):
        layout_of(space, spaces.Discrete(2)).obs.encode(raw)


def test_actions_are_clipped_and_scaled_to_the_box():
    action = layout_of(BOX, spaces.Box(np.array([[-2.0], [0.0]]), np.array([[2.0], [1.0]]), dtype=np.float64)).action
    assert (action.num_actions, action.encoded_shape) == (None, (2,))
    np.testing.assert_allclose(action.decode(np.array([0.5, -3.0], np.float32)), [[1.0], [0.0]])
    assert action.decode(np.zeros(2, np.float32)).dtype == np.float64


def test_choices_are_unravelled():
    action = layout_of(BOX, spaces.MultiDiscrete([2, 3], start=[5, 0])).action
    assert (action.num_actions, action.encoded_shape) == (6, ())
    np.testing.assert_array_equal(action.decode(np.int32(4)), [6, 1])
    assert layout_of(BOX, spaces.Discrete(3, start=-1)).action.decode(np.int32(2)) == 1
    np.testing.assert_array_equal(layout_of(BOX, spaces.MultiBinary(3)).action.decode(np.int32(5)), [1, 0, 1])


@given(st.integers(0, 5))
def test_every_decoded_action_is_in_the_space(number):
    space = spaces.MultiDiscrete([2, 3], start=[5, 0])
    assert space.contains(layout_of(BOX, space).action.decode(np.int32(number)))


@pytest.mark.parametrize(
    ("obs", "action", "message"),
    [
        (spaces.Text(3), BOX, "observation_space Text.* cannot be used: the networks take Box"),
        (spaces.Sequence(BOX), BOX, "observation_space Sequence.* cannot be used"),
        (BOX, spaces.Dict({"a": BOX}), "action_space Dict.* cannot be used"),
        (BOX, spaces.Box(-np.inf, np.inf, (2,)), "action_space .* has no finite bounds"),
        (BOX, spaces.MultiDiscrete([9] * 5), "has 59,049 combinations, more than the 4,096"),
    ],
)
def test_other_spaces_are_refused(obs, action, message):
    with pytest.raises(InvalidArgument, match=message):
        layout_of(obs, action)
