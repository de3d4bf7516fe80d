"""Families from outside, through the same door as those that come along."""

import json

import pytest
from worlds import NoiseWorld

from quickstudy import catalog
from quickstudy.cli import main
from quickstudy.envs.point import PointNavigation
from quickstudy.errors import InvalidArgument
from quickstudy.experiment import Experiment
from quickstudy.host.family import HostFamily
from quickstudy.meta import NoOptions
from quickstudy.outside import COMPILED, VARIED, gym_id_as_family, short_name
from quickstudy.run_directory import RunDirectory

SMALL = ["--num-steps", "2", "--num-tasks", "2", "--num-seeds", "1", "--num-test-tasks", "2"]


def test_a_world_becomes_a_family_and_survives_its_config():
    family = catalog.family("worlds:NoiseWorld").load()()
    assert family == HostFamily(NoiseWorld())
    family = HostFamily(NoiseWorld(horizon=7), num_workers=2)
    experiment = Experiment("random", "worlds:NoiseWorld", NoOptions(), family, 1, 1, 1)
    config = json.loads(json.dumps(experiment.config()))
    assert config["family_options"]["world"] == {"horizon": 7, "num_episodes": 2, "num_streams": 2}
    assert Experiment.from_config(config) == experiment


def test_a_compiled_family_from_outside_is_itself():
    assert catalog.family("quickstudy.envs.point:PointNavigation").load()() == PointNavigation()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere:MyFamily", "there is no module 'nowhere': run from the directory that holds it"),
        ("worlds:NoiseWrld", "unknown class of module worlds 'NoiseWrld': did you mean 'NoiseWorld'"),
        ("worlds:np", "np is a module; give the class itself"),
        ("worlds:FaultyWorld", "cannot be made without arguments .* give every field a default"),
        ("worlds:NoiseEnv", "must be a dataclass"),
    ],
)
def test_what_is_no_family(name, message):
    with pytest.raises(InvalidArgument, match=message):
        catalog.family(name).load()()


def test_a_module_that_fails_to_import_something_else_says_so(tmp_path, monkeypatch):
    (tmp_path / "broken.py").write_text("import does_not_exist")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="does_not_exist"):
        catalog.family("broken:MyFamily").load()()


def test_vary_alone_has_no_environment():
    with pytest.raises(InvalidArgument, match="--vary m=1:2 needs --gym-id ID or --gymnax-id ID"):
        gym_id_as_family(["rl2", "--vary", "m=1:2"])
    with pytest.raises(InvalidArgument, match="are two families: give one"):
        gym_id_as_family(["rl2", "--gym-id", "A-v1", "--gymnax-id", "A-v1"])
    assert gym_id_as_family(["rl2", "--gymnax-id", "A-v1", "--vary", "m=1:2"]) == [
        "rl2",
        "--family",
        COMPILED,
        "--family.gymnax-id",
        "A-v1",
        "--family.vary",
        "m=1:2",
    ]
    assert gym_id_as_family(["--gym-id=A-v1", "--seed", "3"]) == [
        *("--seed", "3", "--family", VARIED, "--family.world.gym-id", "A-v1")
    ]


def test_runs_are_named_after_the_class_or_the_environment():
    assert short_name("my.module:MyFamily", None) == "MyFamily"
    for name in (VARIED, COMPILED):
        assert short_name(name, catalog.family(name).load()()) == "Pendulum-v1"
    assert short_name("grid-navigation", None) == "grid-navigation"


def test_the_whole_journey_of_a_registered_environment(tmp_path, capsys):
    run = str(tmp_path / "run")
    gym = ["--gym-id", "Pendulum-v1", "--vary", "m=0.5:2.0,l=0.5:1.5", "--family.world.max-steps", "5"]
    main(["train", "random", *gym, *SMALL, "--out", run])
    assert f"report: {run}" in capsys.readouterr().out.replace("\n", "")
    opened = RunDirectory.open(run)
    summary = json.loads((opened.evaluation("test") / "summary.json").read_text())
    assert [y["name"] for y in summary["yardsticks"]] == ["random"]
    assert "regret" not in summary
    (first, _) = json.loads((opened.evaluation("test") / "replays.json").read_text())
    assert set(first["replay"]["task"]) == {"l", "m"}
    main(["evaluate", run, "--split", "ood", "--num-tasks", "2"])
    assert (opened.evaluation("ood") / "summary.json").is_file()
    main(["adapt", run])
    assert "episode 2: return" in capsys.readouterr().out
