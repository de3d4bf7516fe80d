import inspect
import pickle
import random
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from quickstudy import parallel
from quickstudy.checkpoint import Checkpointer
from quickstudy.errors import CheckpointError, InvalidArgument


class State(eqx.Module):
    model: eqx.Module
    key: jax.Array
    step: jax.Array
    other: dict


def make_state(seed, width=8):
    """A state with every kind of leaf; the seed decides what each array holds."""
    k_model, k_other = jax.random.split(jax.random.key(seed))
    other = {
        "bfloat16": jax.random.normal(k_other, (3, 5), jnp.bfloat16),
        "bool": jax.random.bernoulli(k_other, 0.5, (17,)),
        "uint8": jnp.full((2, 2), seed, jnp.uint8),
        "empty": jnp.zeros((0, 3)),
        "keys": jax.random.split(jax.random.key(seed, impl="rbg"), 3),
        "weak": jnp.asarray(0.1 * seed),
        "host": np.arange(seed, seed + 4.0),
        "host_scalar": np.float32(seed),
        "none": None,
        "number": 7,
    }
    return State(eqx.nn.MLP(2, 3, width, 1, key=k_model), jax.random.key(seed), jnp.int32(seed), other)


def bits(leaf):
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return np.asarray(leaf).tobytes()


def assert_same_bits(actual, expected):
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert type(a) is type(b)
        if eqx.is_array_like(b):
            assert (np.shape(a), getattr(a, "dtype", None)) == (np.shape(b), getattr(b, "dtype", None))
            assert getattr(a, "weak_type", None) == getattr(b, "weak_type", None)
            assert bits(a) == bits(b)
        else:
            assert a is b


def save_steps(directory, *steps, keep=2):
    with Checkpointer(directory, keep) as checkpointer:
        for step in steps:
            checkpointer.save(step, make_state(step))


def step_names(directory):
    return sorted(path.name for path in directory.iterdir())


def test_round_trip_keeps_every_bit_and_takes_the_rest_from_like(tmp_path):
    save_steps(tmp_path, 3)
    with Checkpointer(tmp_path) as checkpointer:
        assert checkpointer.latest_step() == 3
        assert_same_bits(checkpointer.restore(make_state(1)), make_state(3))


def test_what_is_saved_is_the_state_at_the_call(tmp_path):
    values = np.zeros(200_000)
    with Checkpointer(tmp_path) as checkpointer:
        checkpointer.save(1, {"values": values})
        values[:] = 1
        restored = checkpointer.restore({"values": values})
    assert not restored["values"].any()


def test_newest_are_kept_and_each_can_be_restored(tmp_path):
    save_steps(tmp_path, 1, 2, 10, 9, 11)  # the save of 9 supersedes 10
    assert step_names(tmp_path) == ["11", "9"]
    with Checkpointer(tmp_path) as checkpointer:
        assert_same_bits(checkpointer.restore(make_state(0), step=9), make_state(9))
        assert checkpointer.latest_step() == 11
        with pytest.raises(CheckpointError, match=r"no checkpoint of step 5: it has 9, 11$"):
            checkpointer.restore(make_state(0), step=5)


def test_keep_below_one_is_refused(tmp_path):
    with pytest.raises(InvalidArgument, match="keep must be a whole number of at least 1, got 0"):
        Checkpointer(tmp_path, keep=0)


@pytest.mark.parametrize("kind", ["missing", "empty", "a file", "foreign"])
def test_a_place_without_checkpoints(tmp_path, kind):
    directory = tmp_path / "checkpoints"
    if kind == "a file":
        directory.write_text("1")
    elif kind != "missing":
        directory.mkdir()
    if kind == "foreign":
        (directory / "12.txt").write_text("1")
        (directory / "7.orbax-checkpoint-tmp").mkdir()
    with Checkpointer(directory) as checkpointer:
        assert checkpointer.latest_step() is None
        with pytest.raises(CheckpointError, match="holds no checkpoint: check the path, or train first"):
            checkpointer.restore(make_state(0))


def test_another_width_names_the_first_leaf_that_differs(tmp_path):
    save_steps(tmp_path, 1)
    expected = (
        r"1 is of another state: leaf \.model\.layers\[0\]\.weight is float32\[8,2\] in the checkpoint and "
        r"float32\[9,2\] here; use the method and the options of the run's config.json"
    )
    with Checkpointer(tmp_path) as checkpointer, pytest.raises(CheckpointError, match=expected):
        checkpointer.restore(make_state(0, width=9))


@pytest.mark.parametrize(
    ("name", "value", "difference"),
    [
        ("bool", jnp.zeros(17), r"\['bool'\] is bool\[17\] in the checkpoint and float32\[17\] here"),
        ("extra", jnp.zeros(2), r"\['extra'\] is missing in the checkpoint and float32\[2\] here"),
        ("bool", None, r"\['bool'\] is bool\[17\] in the checkpoint and missing here"),
        ("keys", jax.random.split(jax.random.key(0), 3), r"is key<rbg>\[3\] in the checkpoint and key<fry>\[3\] here"),
    ],
)
def test_another_method_names_the_leaf_that_differs(tmp_path, name, value, difference):
    save_steps(tmp_path, 1)
    like = make_state(0)
    like.other[name] = value
    with Checkpointer(tmp_path) as checkpointer, pytest.raises(CheckpointError, match=difference):
        checkpointer.restore(like)


@pytest.mark.parametrize("damage", ["truncated", "emptied", "removed", "flipped", "foreign"])
def test_no_damage_to_any_file_restores_a_wrong_state(tmp_path, damage):
    whole, hurt = tmp_path / "whole", tmp_path / "hurt"
    save_steps(whole, 1, 2)
    outcomes = []
    for file in sorted(path for path in (whole / "2").rglob("*") if path.is_file()):
        shutil.copytree(whole, hurt)
        damage_file(hurt / file.relative_to(whole), damage)
        with Checkpointer(hurt) as checkpointer, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            restored = checkpointer.restore(make_state(0))
        outcomes.append(int(restored.step))
        assert_same_bits(restored, make_state(outcomes[-1]))
        messages = [str(warning.message) for warning in caught]
        if outcomes[-1] == 1:
            assert len(messages) == 1
            assert "damaged checkpoint, step 2: " in messages[0]
            assert messages[0].endswith("; going back to step 1")
        else:
            assert messages == []
        shutil.rmtree(hurt)
    assert 1 in outcomes


def damage_file(file, damage):
    content = file.read_bytes()
    if damage == "truncated":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "emptied":
        file.write_bytes(b"")
    elif damage == "removed":
        file.unlink()
    elif damage == "flipped":
        middle = len(content) // 2
        file.write_bytes(
            content[:middle] + bytes([content[middle] ^ 0x10]) + content[middle + 1 :] if content else b"x"
        )
    else:
        file.write_bytes(b"\x89PNG\r\n" * 50)


def test_training_goes_on_from_the_older_checkpoint_and_replaces_the_damaged(tmp_path):
    save_steps(tmp_path, 1, 2)
    shutil.rmtree(tmp_path / "2" / "structure")
    with Checkpointer(tmp_path) as checkpointer:
        with pytest.warns(UserWarning, match="step 2: its structure cannot be read .*; going back to step 1"):
            checkpointer.restore(make_state(0))
        checkpointer.save(2, make_state(2))
    with Checkpointer(tmp_path) as checkpointer:
        assert_same_bits(checkpointer.restore(make_state(0)), make_state(2))


def test_nothing_readable_is_one_error_that_names_every_step(tmp_path):
    for step in (1, 2):
        (tmp_path / str(step)).mkdir()
    with Checkpointer(tmp_path) as checkpointer:
        with pytest.raises(CheckpointError, match=r"can be read, step 2: .*; step 1: .*; it cannot be resumed"):
            checkpointer.restore(make_state(0))
        with pytest.raises(CheckpointError, match=r"can be read, step 2: .*; other steps there: 1$"):
            checkpointer.restore(make_state(0), step=2)


class Bomb:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def test_nothing_is_unpickled(tmp_path):
    bomb = pickle.dumps(Bomb(tmp_path / "exploded"))
    save_steps(tmp_path / "run", 1)
    for file in [path for path in (tmp_path / "run" / "1").rglob("*") if path.is_file()]:
        file.write_bytes(bomb)
    for name in ("checkpoint", "state.pkl", "state/0.npy"):
        (tmp_path / "run" / "1" / name).write_bytes(bomb)
    with Checkpointer(tmp_path / "run") as checkpointer, pytest.raises(CheckpointError, match="cannot be read"):
        checkpointer.restore(make_state(0))
    assert not (tmp_path / "exploded").exists()
    pickle.loads(bomb)
    assert (tmp_path / "exploded").exists()  # the bomb is live


def test_only_a_writer_removes_unfinished_checkpoints(tmp_path):
    save_steps(tmp_path, 1)
    (tmp_path / "2.orbax-checkpoint-tmp" / "state").mkdir(parents=True)
    with Checkpointer(tmp_path) as reader:
        assert_same_bits(reader.restore(make_state(0)), make_state(1))
    assert step_names(tmp_path) == ["1", "2.orbax-checkpoint-tmp"]
    save_steps(tmp_path, 2)
    assert step_names(tmp_path) == ["1", "2"]


def test_a_place_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        Checkpointer(tmp_path / "file" / "checkpoints") as checkpointer,
        pytest.raises(CheckpointError, match=r"cannot write a checkpoint to .*file/checkpoints: "),
    ):
        checkpointer.save(1, make_state(1))


@pytest.fixture
def compiled():
    """The names of JAX's compilation events, as they happen."""
    names = []
    listener = lambda event, duration_secs, **kwargs: names.append(event) if "compile" in event else None
    jax.monitoring.register_event_duration_secs_listener(listener)
    yield names
    jax.monitoring.unregister_event_duration_listener(listener)


def test_resumed_training_is_bit_identical_and_compiles_nothing_more(tmp_path, compiled):
    num_seeds = jax.device_count()  # one seed a device: `map_seeds` shards the seed axis
    optimizer = optax.adam(1e-2)

    @jax.jit
    def update(params, opt_state, key, step):
        def one(params, opt_state, key):
            x = jax.random.normal(jax.random.fold_in(key, step), (32, 4))
            gradient = jax.grad(lambda w: jnp.mean(jnp.tanh(x @ w) ** 2 - jnp.cos(x @ w)))(params)
            updates, opt_state = optimizer.update(gradient, opt_state)
            return optax.apply_updates(params, updates), opt_state

        params, opt_state = parallel.map_seeds(one)(params, opt_state, jax.random.split(key, num_seeds))
        return params, opt_state, key, step + 1

    def start(seed):
        params = jax.random.normal(jax.random.key(seed), (num_seeds, 4, 4))
        return params, jax.vmap(optimizer.init)(params), jax.random.key(seed), jnp.int32(0)

    state = start(0)
    for _ in range(3):
        state = update(*state)
    with Checkpointer(tmp_path) as checkpointer:
        checkpointer.save(3, state)
        resumed = checkpointer.restore(start(1))
    assert_same_bits(resumed, state)
    assert "/jax/core/compile/backend_compile_duration" in compiled
    compiled.clear()
    for _ in range(3):
        state, resumed = update(*state), update(*resumed)
    assert_same_bits(resumed, state)
    assert compiled == []
    if num_seeds > 1:
        assert len(state[0].sharding.device_set) == num_seeds


def test_restored_arrays_are_placed_as_those_of_like(tmp_path):
    mesh = parallel.mesh("seed")
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("seed"))
    state = {"committed": jnp.arange(4.0 * jax.device_count()), "free": jnp.ones(3)}
    like = {"committed": jax.device_put(state["committed"] * 0, sharding), "free": jnp.zeros(3)}
    with Checkpointer(tmp_path) as checkpointer:
        checkpointer.save(1, state)
        restored = checkpointer.restore(like)
    assert_same_bits(restored, state)
    assert restored["committed"].sharding == sharding
    assert not restored["free"].committed


def numbered_state(step):
    values = np.random.default_rng(step).normal(size=(64, 64)).astype(np.float32)
    key = jax.random.wrap_key_data(jnp.asarray([1, step], jnp.uint32))
    return {"host": np.full(400_000, float(step)), "device": jnp.asarray(values), "key": key}


WRITER = """
import sys
from pathlib import Path
import jax, jax.numpy as jnp, numpy as np, orbax.checkpoint
from quickstudy.checkpoint import Checkpointer

{numbered_state}

sys.stdin.readline()
with Checkpointer(Path(sys.argv[1])) as checkpointer:
    step = checkpointer.latest_step() or 0
    while True:
        checkpointer.save(step + 1, numbered_state(step + 1))  # returns when `step` is on disk
        print(step, flush=True)
        step += 1
"""


def start_writer(directory):
    program = WRITER.format(numbered_state=inspect.getsource(numbered_state))
    command = [sys.executable, "-W", "ignore", "-c", program, str(directory)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)


def test_a_writer_killed_at_any_moment_leaves_a_checkpoint_that_restores(tmp_path):
    """Three processes save in turn, each from where the last was killed; what they leave is right to the bit."""
    writers = [start_writer(tmp_path) for _ in range(3)]  # they import meanwhile, and wait for a line
    draw = random.Random(0)
    try:
        for writer in writers:
            writer.stdin.write("go\n")
            reported = [writer.stdout.readline() for _ in range(3)]
            assert all(reported)  # it lives, and is in the midst of its saves
            time.sleep(draw.uniform(0, 0.4))
            writer.kill()
            on_disk = max(map(int, [*reported, *writer.stdout.read().split()]))
            with Checkpointer(tmp_path) as checkpointer:
                step = checkpointer.latest_step()
                restored = checkpointer.restore(numbered_state(0))
            assert step in (on_disk, on_disk + 1, on_disk + 2)  # the report and the next commit may be cut off
            assert_same_bits(restored, numbered_state(step))
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()


def test_orbax_is_imported_at_first_use_only():
    program = "import sys, quickstudy.checkpoint; sys.exit('orbax.checkpoint' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
