"""Control groups that a dying task, or a killed engine, has left: whoever removes or sweeps clears them away."""

from __future__ import annotations

import os

from core.cgroups import driver
from core.engine.engine import Engine
from core.engine.reconcile import sweep
from core.engine.records import ContainerRecords
from core.model.container import ContainerSpec
from tests.conftest import STARTER, Runner, leftover_groups


def group_of(engine: Engine, container: str) -> driver.Cgroup:
    return driver.choose(driver.find_hierarchies(), f"{engine.roots.tag}/{container}")


def test_removal_takes_the_group_that_stayed_behind(engine: Engine) -> None:
    made = engine.containers.create(ContainerSpec(image=STARTER, command=("true",))).id
    group_of(engine, made).create()
    assert leftover_groups(engine) != []
    engine.containers.remove(made)
    assert leftover_groups(engine) == []


def test_sweep_takes_groups_of_containers_that_are_no_more_and_no_others(run: Runner) -> None:
    container = run.background("sleep", "1000")
    stopped = run.engine.containers.create(ContainerSpec(image=STARTER, command=("true",))).id
    for name in ("ab" * 32, stopped):
        group_of(run.engine, name).create()
    sweep(run.engine.roots, ContainerRecords(run.engine.roots))
    assert {os.path.basename(group) for group in leftover_groups(run.engine)} == {container, stopped}
    assert run.engine.containers.inspect(container).status == "running"
