"""Writes what became of tolerances as JUnit XML, which build servers show: one test suite a run, one case a domain."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass

from mixplan.report.text import in_line
from mixplan.report.tolerances import loss_of
from mixplan.saved.tolerances import Gate, Held, Verdict, worst


@dataclass(frozen=True)
class Gated:
    """One run with the verdicts on its tolerances.

    Attributes:
        label: What the run is called.
        gate: The verdicts.
        target: The sentence on the target's change.
        created: When it was measured, as ISO 8601; None where that was not kept.
        notes: What a reader should know of how these tolerances came to be.
        arms: By arm, the verdicts on all mixtures that were compared, this one among them.
    """

    label: str
    gate: Gate
    target: str = ""
    created: str | None = None
    notes: tuple[str, ...] = ()
    arms: tuple[tuple[str, Gate], ...] = ()


def junit_xml(runs: Sequence[Gated], *, strict: bool = False) -> bytes:
    """Write runs as one JUnit file.

    Args:
        runs: The runs.
        strict: Whether what is undecided counts as failed, as it does for the exit code then.

    Returns:
        UTF-8 XML. A failed tolerance is a `failure`, one that is undecided is `skipped`.
    """
    root = ET.Element("testsuites", name="mixplan tolerances")
    totals = [suite(root, run, strict=strict) for run in runs]
    for key in ("tests", "failures", "errors", "skipped"):
        root.set(key, str(sum(total[key] for total in totals)))
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'.encode()


def suite(root: ET.Element, run: Gated, *, strict: bool) -> dict[str, int]:
    """Add one run's suite; how many cases it has, by kind."""
    of_run = {name: [one for one in run.gate.held if one.domain == name] for name in run.gate.asked()}
    found = ET.SubElement(root, "testsuite", name=f"mixplan tolerances: {in_line(run.label)}")
    counts = {"tests": len(of_run), "failures": 0, "errors": 0, "skipped": 0}
    for name, held in of_run.items():
        case = ET.SubElement(found, "testcase", classname=f"mixplan.{in_line(run.label)}", name=in_line(name))
        verdict = worst(one.verdict for one in held)
        if verdict == "fail" or (verdict == "undecided" and strict):
            counts["failures"] += 1
            ET.SubElement(case, "failure", message=message(held, verdict), type=verdict).text = details(held)
        elif verdict == "undecided":
            counts["skipped"] += 1
            ET.SubElement(case, "skipped", message=message(held, verdict)).text = details(held)
        else:
            ET.SubElement(case, "system-out").text = details(held)
    for key, count in counts.items():
        found.set(key, str(count))
    if run.created is not None:
        found.set("timestamp", in_line(run.created))
    if run.notes:
        ET.SubElement(found, "system-out").text = "\n".join(map(in_line, run.notes))
    return counts


def message(held: Sequence[Held], verdict: Verdict) -> str:
    """What a build server shows of a case in one line."""
    return in_line("; ".join(line(one) for one in held if one.verdict == verdict))


def details(held: Sequence[Held]) -> str:
    """Every tolerance of a domain, one line each."""
    return "\n".join(in_line(f"{one.verdict}: {line(one)}") for one in held)


def line(one: Held) -> str:
    """What became of one tolerance."""
    lost = f"lost {loss_of(one).strip('()')}" if one.loss is not None else f"may lose {one.text}"
    return f"{lost}, {one.measure} on {one.items:,} rows" + (f". {one.reason}" if one.reason else "")
