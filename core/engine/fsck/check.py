"""Checking everything, and mending what was found."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import msgspec

from core.engine.fsck.containers import ContainerCheck
from core.engine.fsck.contents import ContentCheck
from core.engine.fsck.host import HostCheck
from core.engine.fsck.leftovers import leftover_troubles, skeleton_troubles
from core.engine.fsck.networks import NetworkCheck
from core.engine.fsck.survey import Survey
from core.engine.fsck.trouble import Trouble
from core.engine.fsck.volumes import VolumeCheck
from core.engine.records import ContainerRecords
from core.engine.volumes import EngineVolumes
from core.errors import EngineError
from core.model.findings import Finding
from core.model.progress import CancelToken
from core.state.paths import Roots

SECOND_LOOK_S = 0.3
"""Operations that are under way pass through states that look like leftovers: what is found twice counts."""
_MOST_ROUNDS = 6
"""Mending one thing may uncover the next: an image set aside leaves layers that nothing needs."""


class StoreCheck:
    """fsck of one data root. Other engines may be at work meanwhile. Args: firewall: the kind that is wanted."""

    def __init__(self, roots: Roots, records: ContainerRecords, volumes: EngineVolumes, firewall: str) -> None:
        self._roots = roots
        self._records = records
        self._volumes = volumes
        self._firewall = firewall

    def run(self, *, repair: bool, deep: bool, cancel: CancelToken) -> Sequence[Finding]:
        """What was found; with repair, what has become of it.

        Raises: Cancelled.
        """
        told: dict[tuple[str, str, str], Finding] = {}
        for _ in range(_MOST_ROUNDS):
            troubles = self._certain(deep=deep, cancel=cancel)
            new = [one for one in troubles if not _is_settled(told.get(_identity(one.finding)))]
            for trouble in new:
                finding = _mended(trouble) if repair else trouble.finding
                told[_identity(finding)] = finding
            if not repair or not any(finding.mend for finding in new):
                break
        return list(told.values())

    def _certain(self, *, deep: bool, cancel: CancelToken) -> list[Trouble]:
        first = {_identity(trouble.finding) for trouble in self._look(deep=deep, cancel=cancel)}
        if not first:
            return []
        time.sleep(SECOND_LOOK_S)
        return [t for t in self._look(deep=deep, cancel=cancel) if _identity(t.finding) in first]

    def _look(self, *, deep: bool, cancel: CancelToken) -> Iterator[Trouble]:
        survey = Survey(self._roots)
        if survey.missing_directories:
            yield from skeleton_troubles(survey)
            return
        yield from leftover_troubles(survey)
        yield from ContentCheck(survey, deep=deep, cancel=cancel).troubles()
        yield from ContainerCheck(survey, self._records).troubles()
        yield from VolumeCheck(survey, self._volumes).troubles()
        yield from NetworkCheck(survey, self._records, self._firewall).troubles()
        yield from HostCheck(survey, self._records).troubles()


def _is_settled(told: Finding | None) -> bool:
    """Whether there is nothing to be done about a finding any more; one that came back is mended once more."""
    return told is not None and not told.repaired


def _identity(finding: Finding) -> tuple[str, str, str]:
    return finding.kind, finding.key, finding.problem


def _mended(trouble: Trouble) -> Finding:
    finding, mend = trouble
    if mend is None:
        return finding
    try:
        mend()
    except EngineError as error:
        return msgspec.structs.replace(finding, failure=error.message)
    except OSError as error:
        return msgspec.structs.replace(finding, failure=str(error))
    return msgspec.structs.replace(finding, repaired=True)
