"""What a lab tells its page of a diagnosis or of any other result."""

from __future__ import annotations

import json
from typing import cast

from ...core.files import Json, JsonObject
from ...core.printable import printable_json
from ...doctor.diagnosis import Diagnosis
from ...doctor.findings import Finding
from ...doctor.measure_run import place_of
from ...models.network import Network
from ...pages.blocks import Facts
from ...pages.page import Page
from ...spec.edit import changed
from ...spec.spec import CompleteSpec

# The training goes on: that it ended too early is no finding.
_OF_AN_END = {"epochs-too-few"}


def finding_message(diagnosis: Diagnosis, spec: CompleteSpec) -> JsonObject:
    """The message with what the doctor says of a running training with that complete spec."""
    learned = diagnosis.learned
    findings = [finding for finding in diagnosis.findings if finding.code not in _OF_AN_END]
    kept = Diagnosis(
        learned,
        tuple(findings),
        tuple(cause for cause in diagnosis.causes if cause.finding.code not in _OF_AN_END),
        diagnosis.evidence,
    )
    return {
        "type": "finding",
        "findings": [_finding(finding, spec) for finding in findings],
        "causes": [cause.finding.code for cause in kept.causes],
        "learned": learned and learned.describe(),
        "verdict": kept.verdict,
        "healthy": kept.healthy,
    }


def _finding(finding: Finding, spec: CompleteSpec) -> JsonObject:
    evidence = Page(finding.code, (Facts((("measured", finding.measured), ("normal", finding.normal))),))
    remedies: list[Json] = [
        {"words": remedy.label, "set": dict(remedy.changes), "spec": changed(spec, remedy.changes).describe()}
        for remedy in finding.remedies
    ]
    return {
        "code": finding.code,
        "stage": finding.stage,
        "severity": finding.severity,
        "place": finding.place,
        "layers": cast("list[Json]", layers_named(finding.place, spec.network)),
        "message": finding.sentence,
        "evidence_html": evidence.fragment(),
        "remedies": remedies,
    }


def layers_named(place: str, network: Network) -> list[int]:
    """The layers, from 0, that the place of a finding names: one by one, from one to another, or all.

    >>> network = Network(["dense 4", "tanh", "dense 2"])
    >>> layers_named("layer 1 (dense 4) to layer 3 (dense 2)", network), layers_named("layer 2 (tanh)", network)
    ([0, 1, 2], [1])
    >>> layers_named("the loss", network)
    []
    """
    if place == "all layers":
        return list(range(len(network.layers)))
    named = [index for index, layer in enumerate(network.layers) if place_of(index, layer) in place]
    return list(range(named[0], named[-1] + 1)) if " to layer " in place and named else named


def page_message(page: Page) -> JsonObject:
    """A page as its title, its blocks as HTML without charts, and its charts as plotly's JSON."""
    figures: list[Json] = [json.loads(printable_json(figure.to_json())) for figure in page.figures()]
    return {"title": page.title, "summary": page.summary, "blocks": page.fragment(), "figures": figures}
