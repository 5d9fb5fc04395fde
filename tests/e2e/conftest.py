"""The command line under test: wharf, or the peers that WHARF_TEST_TARGETS names."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.compat.targets import Cli, opened

PEERS_FAIL = {
    ("docker", "test_A13_privileged_may_mount_and_others_may_not"): "needs CAP_SYS_RESOURCE for --privileged",
    ("podman", "test_A8_attach_joins_and_detaches_with_two_keys"): "podman 4 keeps reading after the keys",
    ("podman", "test_A15_what_can_not_be_given_is_said_and_the_container_runs"): "podman keeps silent",
    ("podman", "test_a_gpu_is_refused_with_the_reason"): "podman 4 ignores --gpus",
    ("podman", "test_A11_exec_of_what_can_not_be_run"): "podman says 255 of an unknown user",
    ("podman", "test_A16_a_memory_limit_ends_what_eats_too_much"): "podman on cgroup v1 does not see the OOM kill",
    ("podman", "test_environment_labels_workdir_user_and_entrypoint"): "podman makes no missing working directory",
} | {
    ("podman", name): why
    for name, why in {
        "test_C1_commit_keeps_files_author_and_message": "podman keeps a message in docker's image format only",
        "test_C1_commit_takes_short_flags_and_changes": "podman keeps a message in docker's image format only",
        "test_B12_history_has_a_row_for_each_layer": "podman keeps a message in docker's image format only",
        "test_dangling_images_are_pruned": "podman keeps a message in docker's image format only",
        "test_B1_ps_has_dockers_seven_columns": "podman 4 has no State field in its lists",
        "test_B4_logs": "podman takes flags in front of the name only",
        "test_B8_top_shows_what_ps_shows": "podman has columns of its own",
        "test_what_docker_refuses_is_refused": "podman has other words, or finds out when it starts",
        "test_a_device_rule_opens_what_mknod_makes": "podman gives no CAP_MKNOD",
        "test_B3_a_container_has_dockers_keys_in_dockers_order": "podman has keys of its own",
        "test_B3_what_was_asked_for_is_shown": "podman adds the mount options it chose",
        "test_B3_added_processes_are_listed_while_they_run": "podman shows an empty list, not null",
        "test_B3_an_image_and_a_volume": "podman has keys of its own",
        "test_B3_several_objects_and_a_missing_one": "podman 4 exits with 125",
        "test_B3_a_kind_can_be_asked_for": "podman 4 exits with 125",
        "test_B3_templates_have_dockers_functions": "podman prints some values otherwise",
        "test_SC1_fourteen_capabilities": "podman gives eleven",
        "test_SC7_SC8_SC9_SC10_SC11_SC13_refused_calls": "podman lets unshare through and says ENOSYS of others",
        "test_SC6_SC15_unknown_calls": "podman lets clone3 through",
        "test_a_domain_name": "podman has no domain names",
    }.items()
}
"""What is known to be otherwise there; if it comes right one day, the test says so."""

_TARGETS = os.environ.get("WHARF_TEST_TARGETS", "wharf").split(",")


@pytest.fixture(scope="session", params=_TARGETS)
def _session_cli(request: pytest.FixtureRequest) -> Iterator[Cli]:
    yield from opened(request.param)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for target in _TARGETS:
            name = getattr(item, "originalname", item.name)
            if (target, name) in PEERS_FAIL and f"[{target}" in item.name:
                item.add_marker(pytest.mark.xfail(reason=PEERS_FAIL[target, name], strict=True))


@pytest.fixture
def cli(_session_cli: Cli) -> Iterator[Cli]:
    """A command line; what the test makes is removed."""
    yield _session_cli
    _session_cli.clean()
