"""What is told at a glance, without an engine, is what the engine's own lists say."""

from __future__ import annotations

from app.console.standing import standing_of
from core.engine.engine import Engine
from core.model.container import ContainerSpec
from core.model.limits import Limits
from core.state.glance import glance

STARTER = "wharf/starter:latest"


def test_A3_a_glance_agrees_with_the_lists(engine: Engine) -> None:
    def make(name: str, *command: str, limits: Limits | None = None) -> str:
        spec = ContainerSpec(image=STARTER, name=name, command=command, limits=limits or Limits())
        return engine.containers.create(spec).id

    make("fresh", "true")
    for name, command in (("done", "exit 0"), ("failed", "exit 3"), ("busy", "sleep 600"), ("frozen", "sleep 600")):
        engine.containers.start(make(name, "sh", "-c", command, limits=Limits(memory_bytes=64 * 1024**2)))
    for name in ("done", "failed"):
        engine.containers.wait(name)
    engine.containers.pause("frozen")
    engine.volumes.create("data")
    seen = glance(str(engine.roots.data), str(engine.roots.run), 4)
    assert seen is not None
    listed = engine.containers.list(all=True)
    assert [one.name for one in seen.containers] == [one.name for one in listed][:4]
    assert [one.standing for one in seen.containers] == [standing_of(one) for one in listed][:4]
    assert [one.image for one in seen.containers] == [STARTER] * 4
    assert {one.memory_limit_bytes for one in seen.containers} == {64 * 1024**2}
    assert seen[1:] == (5, len(engine.images.list()), 1, len(engine.networks.list()))
    engine.volumes.remove("data")
