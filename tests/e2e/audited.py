"""The audit logs of a lab, held against what its SAEs got."""

from collections import defaultdict
from pathlib import Path
from uuid import UUID

from witness import Witness

from keyhop.audit.files import numbers_in, path_of
from keyhop.audit.records import HandedOver, record_of, rows_of
from keyhop.audit.verification import Verification
from keyhop.lab import Lab
from keyhop.testing.violation import Violation

AUDIT_PROMISE = 7


def audit_directory(lab: Lab, kme: str) -> Path:
    """Where a node of a lab has its log."""
    return lab.directory / "nodes" / kme / "data" / "audit"


def check_audit_logs(lab: Lab, witness: Witness) -> None:
    """They are whole, and hold every key that an SAE got, at its KME. Raises Violation."""
    recorded: defaultdict[str, set[UUID]] = defaultdict(set)
    for kme in lab.inventory().kmes:
        directory = audit_directory(lab, kme.id)
        verdict = Verification(directory).run()
        if not verdict.whole:
            raise Violation(AUDIT_PROMISE, f"the audit log of {kme.id} is not whole: {verdict.problems[0]}")
        for sae, key_id in _handed_over(directory):
            recorded[sae].add(key_id)
    for key_id, seen in witness.keys.items():
        for sae in (seen.master, *seen.fetched):
            if key_id not in recorded[sae]:
                raise Violation(AUDIT_PROMISE, f"no audit log tells that {sae} got the key {key_id}")


def _handed_over(directory: Path) -> list[tuple[str, UUID]]:
    lines = (line for number in numbers_in(directory) for line in path_of(directory, number).read_bytes().splitlines())
    records = (record for line in lines if isinstance(record := record_of(line), HandedOver))
    return [(row.sae, UUID(row.key_id)) for record in records for row in rows_of(record)]
